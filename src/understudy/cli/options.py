"""Options of a verb: frozen dataclasses to flags, by tyro; shared wording of paths and counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import tyro

if TYPE_CHECKING:  # torch, which comes with it, is not for a --help
    from understudy.fleet import Here, Pool

T = TypeVar("T")


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


def fleet_of(workers: int, worlds: int) -> Here | Pool:
    """This process for one worker, else a pool."""
    from understudy.fleet import Here, Pool

    return Here(worlds) if workers == 1 else Pool(workers, worlds)


def plural(count: int, noun: str) -> str:
    """ "1 episode", "2 episodes"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
