"""Options of a verb: frozen dataclasses to flags, by tyro; shared wording of paths and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import tyro

if TYPE_CHECKING:  # torch, which comes with it, is not for a --help
    from understudy.fleet import Fleet

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class FleetOptions:
    """Where work is done: rollouts, and the trainings of a sweep."""

    workers: int = 1
    """Processes that work; 1 stays in this one."""
    worlds: int = 16
    """Worlds side by side in each process."""
    fleet: Literal["local", "ray"] = "local"
    """local: processes of this machine; ray: workers of a Ray cluster."""
    address: str = ""
    """Of the Ray cluster, HOST:PORT or auto; one is started on this machine if none is given."""
    patience: float = 300.0
    """Seconds after which a worker that says nothing is taken to hang, and is replaced."""

    def build(self) -> Fleet:
        """Raises ValueError for numbers that make no sense, or where Ray is not installed."""
        from understudy.fleet import Here, Pool

        if self.fleet == "ray":
            from understudy.fleet.on_ray import OnRay

            return OnRay(self.workers, self.worlds, self.address, self.patience)
        if self.address:
            raise ValueError("--address is that of a Ray cluster: it needs --fleet ray")
        if self.workers == 1:
            return Here(self.worlds)
        return Pool(self.workers, self.worlds, self.patience)


def parse(
    options: type[T] | Any,
    arguments: Sequence[str],
    verb: str,
    description: str,
    default: T | None = None,
) -> T:
    """Read flags into a dataclass; --help prints and exits, a wrong flag exits with code 2.

    `default` has the values of flags that are not given, tyro.MISSING for those that must be.
    """
    return tyro.cli(
        options,
        args=list(arguments),
        prog=f"understudy {verb}",
        description=description,
        default=default,
        config=(tyro.conf.OmitArgPrefixes,),
    )


def words_of(options: Any, plain: Any) -> list[str]:
    """The flags that make `plain` into `options`, two dataclasses of one kind with others inside."""
    words: list[str] = []
    for entry in fields(options):
        value, default = getattr(options, entry.name), getattr(plain, entry.name)
        flag = entry.name.replace("_", "-")
        if is_dataclass(value):
            words += words_of(value, default)
        elif value == default:
            continue
        elif isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]
    return words


def plural(count: int, noun: str) -> str:
    """ "1 episode", "2 episodes"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
