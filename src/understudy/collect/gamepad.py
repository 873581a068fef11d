"""A gamepad: its sticks and buttons press keys, as far as they are pushed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from understudy.collect.person import GAP, START, UNDO, label
from understudy.collect.source import Event, Slider, Source
from understudy.collect.teleoperator import DISCARD, END, REDO

# A stick at rest is not quite in its middle.
DEAD = 0.15
PAD = "pad "  # before a button's name: keys have the same
BUTTONS = {"start": START, "back": END, "y": REDO, "b": DISCARD, "x": UNDO}


@final
class Gamepad:
    """A source whose sticks and buttons become keys; keys still count.

    `pad` names the key that a button ("a", told as "pad a") or half of a stick ("left x-") presses. A stick
    presses its key as far as it is pushed beyond its middle; let go, it releases it.
    """

    def __init__(self, source: Source, pad: Mapping[str, str]) -> None:
        self._source = source
        self._keys = {**BUTTONS, **pad}
        moves = GAP.join(f"{one} {key.upper()}" for one, key in pad.items())
        self._moves = f"sticks and buttons press keys: {moves}"
        self._down: set[str] = set()  # halves of sticks beyond the middle

    def events(self) -> Sequence[Event]:
        """See `Source`."""
        found: list[Event] = []
        for event in self._source.events():
            if event.what == "axis":
                found += self._pushed(event)
            elif event.what in ("down", "up") and event.name.startswith(PAD):
                key = self._keys.get(event.name.removeprefix(PAD))
                found += [Event(event.what, key)] if key else []
            else:
                found.append(event)
        return found

    def _pushed(self, event: Event) -> list[Event]:
        """What an axis does to the keys of its two halves."""
        found: list[Event] = []
        for end, value in (("-", -event.value), ("+", event.value)):
            half = f"{event.name}{end}"
            if half not in self._keys:
                continue
            far = min(1.0, max(0.0, (value - DEAD) / (1 - DEAD)))
            if far > 0:
                found.append(Event("lean" if half in self._down else "down", self._keys[half], far))
                self._down.add(half)
            elif half in self._down:
                found.append(Event("up", self._keys[half]))
                self._down.remove(half)
        return found

    def wait(self) -> None:
        """See `Source`."""
        self._source.wait()

    def show(self, picture: NDArray[np.uint8]) -> None:
        """See `Source`."""
        self._source.show(picture)

    def say(self, lines: Sequence[str]) -> None:
        """See `Source`; buttons are told of beside their keys."""
        hints = (part.partition(" ") for line in lines for part in line.split(GAP))
        does = {key: what for key, _, what in hints}
        known = [(button, label(key)) for button, key in BUTTONS.items()]
        buttons = GAP.join(f"{label(one)} {does[key]}" for one, key in known if key in does)
        self._source.say([*lines, self._moves, f"gamepad: {buttons}"])

    def place(self, sliders: Sequence[Slider]) -> None:
        """See `Source`."""
        self._source.place(sliders)

    def close(self) -> None:
        """See `Source`."""
        self._source.close()
