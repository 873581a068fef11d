"""Where a person's events come from, and where they see what happens: a window, or a script."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, final, get_args

import gymnasium
import numpy as np
from numpy.typing import NDArray

from understudy.rollout import world_spec

PICTURES_HZ = 30.0
What = Literal["down", "up", "lean", "axis", "slide", "blur", "quit"]


@final
@dataclass(frozen=True)
class Event:
    """A key or button goes down or up, or is held down farther or less; a gamepad's stick or a slider stands at a
    value; the window loses the keyboard or is closed."""

    what: What
    name: str = ""  # of the key, the stick or the slider
    value: float = 1.0  # how far a key is down, 0 to 1; of a stick's axis, -1 to 1; of a slider


@final
@dataclass(frozen=True)
class Slider:
    """One number that a hand can set."""

    name: str
    low: float
    high: float
    value: float
    unit: str = ""


class Source(Protocol):
    """Tells what a person does and shows them what comes of it."""

    def events(self) -> Sequence[Event]:
        """What has happened since the last call, in order."""
        ...

    def wait(self) -> None:
        """Let a moment pass, until there may be events again."""
        ...

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show what the world looks like (Y, X, 3)."""
        ...

    def say(self, lines: Sequence[str]) -> None:
        """Show a few lines of text, in the place of those before."""
        ...

    def place(self, sliders: Sequence[Slider]) -> None:
        """Put sliders where they stand, in the place of those before."""
        ...

    def close(self) -> None:
        """Close what was opened."""
        ...


def has_screen() -> bool:
    """Whether a display server says that it is there; other systems than Linux always have one."""
    if os.name != "posix" or os.uname().sysname == "Darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def require_screen() -> None:
    """Raise RuntimeError where no window can be opened, as far as that can be told without opening one."""
    if not has_screen():
        raise RuntimeError(
            "no window can be opened: there is no display; a screen is needed, or --script"
        )


class Stopped(Exception):
    """The person has closed the window: no more episodes."""


@final
class Script:
    """Events from a list, each at its moment: what tests and machines without a screen press.

    A moment passes with each call of `events`: one for each tick of an episode, and one for each
    time that a person is waited for. After the last event the window is closed.
    """

    def __init__(self, events: Sequence[tuple[int, Event]]) -> None:
        self._waiting = sorted(events, key=lambda entry: entry[0])
        self._moment = 0
        self.said: list[tuple[str, ...]] = []
        self.placed: list[tuple[Slider, ...]] = []

    @classmethod
    def read(cls, file: Path) -> Script:
        """Read a JSON list of [moment, what, name, value]; raises ValueError saying which entry is wrong.

        What is "down" or "up" of a key, "axis" of a stick, "slide" of a slider, or "quit".
        """
        try:
            entries = json.loads(file.read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"{file} is no script: {error}") from None
        if not isinstance(entries, list):
            raise ValueError(f"{file}: expected a list of [moment, what, key]")
        return cls([_entry(file, number, entry) for number, entry in enumerate(entries)])

    def events(self) -> Sequence[Event]:
        """See `Source`."""
        if not self._waiting:
            return [Event("quit")]
        due = [event for moment, event in self._waiting if moment <= self._moment]
        self._waiting = self._waiting[len(due) :]
        self._moment += 1
        return due

    def wait(self) -> None:
        """See `Source`: time passes by itself."""

    def show(self, picture: NDArray[np.uint8]) -> None:
        """See `Source`: nobody looks."""

    def say(self, lines: Sequence[str]) -> None:
        """See `Source`; kept in `said`."""
        self.said.append(tuple(lines))

    def place(self, sliders: Sequence[Slider]) -> None:
        """See `Source`; kept in `placed`."""
        self.placed.append(tuple(sliders))

    def close(self) -> None:
        """See `Source`."""


def _entry(file: Path, number: int, entry: Any) -> tuple[int, Event]:
    kinds = ((int,), (str,), (str,), (int, float))
    fits = isinstance(entry, list) and 2 <= len(entry) <= 4
    fits = fits and all(isinstance(part, kind) for part, kind in zip(entry, kinds, strict=False))
    if not fits or entry[1] not in get_args(What):
        raise ValueError(
            f"{file}, entry {number}: {entry!r}, expected [moment, what, name, value], what one of "
            f"{', '.join(get_args(What))}"
        )
    return entry[0], Event(*entry[1:])


@final
class Shown(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A world whose picture is shown at the start and after steps, at most `PICTURES_HZ` in a second of it."""

    def __init__(self, world: gymnasium.Env[Any, Any], source: Source) -> None:
        super().__init__(world)
        self._source = source
        self._every = max(1, round(world_spec(world).rate_hz / PICTURES_HZ))
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin, and show it."""
        begun = self.env.reset(seed=seed, options=options)
        self._steps = 0
        self._show()
        return begun

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and show it."""
        stepped = self.env.step(action)
        self._steps += 1
        if self._steps % self._every == 0:
            self._show()
        return stepped

    def _show(self) -> None:
        picture: Any = self.env.render()
        self._source.show(picture)
