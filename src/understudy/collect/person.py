"""A person at a source of events: stopping, undoing and leaving, which they can whatever they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

from understudy.collect.source import Event, Source, Stopped

START, UNDO, STOP = "q", "u", "escape"
LABELS = {STOP: "Esc"}
GAP = "   "  # between the keys of a line


def label(key: str) -> str:
    """A key as people are told of it."""
    return LABELS.get(key, key.upper() if len(key) == 1 else key)


def help_of(keys: Mapping[str, str]) -> str:
    """A line that says what keys do, each by its label."""
    return GAP.join(f"{label(key)} {does}" for key, does in keys.items())


@final
class Person:
    """Tells what somebody does. They may stop at any time, and undo what was saved last when they are asked to go on.

    `undo` does so and returns what they are told; None where nothing is saved.
    """

    def __init__(self, source: Source, undo: Callable[[], str] | None) -> None:
        self._source, self._undo = source, undo
        self.notice = ""  # shown below all else

    def events(self) -> Sequence[Event]:
        """What has happened since the last call; raises Stopped when the window is closed or the stop key pressed."""
        events = self._source.events()
        for event in events:
            if event.what == "quit" or (event.what, event.name) == ("down", STOP):
                raise Stopped
        return events

    @property
    def undoing(self) -> dict[str, str]:
        """The key that undoes and what it does; none where nothing is saved."""
        return {} if self._undo is None else {UNDO: "undo the last saved"}

    def undoes(self, key: str) -> bool:
        """Whether this key, which was pressed, undoes; if so, it is done."""
        if key != UNDO or self._undo is None:
            return False
        self.notice = self._undo()
        return True

    def say(self, lines: Sequence[str]) -> None:
        """Show a few lines of text."""
        self._source.say([line for line in (*lines, self.notice) if line])

    def linger(self, state: str) -> None:
        """After the last of what they show: U still undoes it, Q or Esc leaves."""
        self.say([state, help_of({**self.undoing, START: "leave", STOP: "stop"})])
        while True:
            for event in self.events():
                if event.what == "down" and (event.name == START or self.undoes(event.name)):
                    return
            self._source.wait()
