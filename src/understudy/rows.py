"""The growing rows of episodes that run side by side, and the pictures of one."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

ROOM = 256  # ticks, at first
PICTURES = 32  # at first


@final
class Rows:
    """Columns of N slots that grow tick by tick; each slot is at a tick of its own.

    What all slots have is written for many of them at once.
    """

    def __init__(self, slots: int) -> None:
        self.ticks = np.zeros(slots, np.int64)
        self._room = ROOM
        self._columns: dict[str, NDArray[Any]] = {}  # (N, room, *shape)

    def write(self, name: str, slots: NDArray[np.int64], values: NDArray[Any]) -> None:
        """Note the rows of `values` (N, *shape) that belong to the slots numbered `slots`."""
        column = self._columns.get(name)
        if column is None:
            shape = (len(self.ticks), self._room, *values.shape[1:])
            column = self._columns[name] = np.zeros(shape, values.dtype)
        elif column.dtype != values.dtype:
            wider = np.promote_types(column.dtype, values.dtype)
            column = self._columns[name] = column.astype(wider)
        column[slots, self.ticks[slots]] = values[slots]

    def write_some(self, name: str, slots: NDArray[np.int64], values: Any) -> None:
        """Note what not every tick has; None: this one has not."""
        if values is not None:
            self.write(name, slots, np.asarray(values))
            self.write(_given(name), slots, np.ones(len(self.ticks), np.bool_))

    def advance(self, slots: NDArray[np.int64]) -> None:
        """Go on to the next tick in these slots."""
        self.ticks[slots] += 1
        if self.ticks.max() == self._room:
            self._room *= 2
            self._columns = {
                name: np.concatenate([column, np.zeros_like(column)], axis=1)
                for name, column in self._columns.items()
            }

    def read(self, name: str, slot: int) -> NDArray[Any]:
        """Return what a slot has in a column so far, (T, *shape)."""
        return self._columns[name][slot, : self.ticks[slot]].copy()

    def read_some(self, name: str, slot: int, absent: Any) -> NDArray[Any] | None:
        """As `read`, with `absent` at ticks that have none; None where no tick has one."""
        if _given(name) not in self._columns:
            return None
        values, given = self.read(name, slot), self.read(_given(name), slot)
        if given.all():
            return values
        if not given.any():
            return None
        return np.where(given.reshape(-1, *[1] * (values.ndim - 1)), values, absent)

    def clear(self, slot: int) -> None:
        """Begin anew in a slot."""
        for column in self._columns.values():
            column[slot, : self.ticks[slot]] = 0
        self.ticks[slot] = 0


@final
class Pictures:
    """Pictures (Y, X, 3) of one camera that come one after the other, in one piece of memory.

    Kept as an array each, those of 100 episodes of car-racing, all of them given back, left a process of
    3.9 GB behind: what torch asks for in between leaves holes that the next picture does not fit into.
    """

    def __init__(self, first: NDArray[np.uint8]) -> None:
        self._room = np.empty((PICTURES, *first.shape), np.uint8)
        self._count = 0
        self.add(first)

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Take a copy of the next one."""
        if self._count == len(self._room):
            self._room = np.concatenate([self._room, np.empty_like(self._room)])
        self._room[self._count] = picture
        self._count += 1

    def all(self) -> NDArray[np.uint8]:
        """Return those so far, (T, Y, X, 3)."""
        return self._room[: self._count].copy()


def _given(name: str) -> str:
    return f"{name} is given"
