"""Hands units to workers, takes back what they made of them, and hands out again what failed.

A unit is a list of numbers: seeds that one worker plays side by side, or one errand. When it fails,
nobody knows which of its episodes was to blame: what is left of it goes on in two halves, until a seed
fails on its own. Only that counts against it, so that a worker that was killed costs time and no episode.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, final

from understudy.episode import Lost
from understudy.fleet.job import Shares, Tell

T = TypeVar("T")
ATTEMPTS = 3  # of a seed on its own
HOPELESS = 3  # seeds that are lost before any was played
STILLBORN = 3, 30  # workers in a row that end before they have begun; once others have begun
START_S = 300.0  # a worker has to begin within: it imports torch, perhaps from a slow disk
WAIT_S = 1.0


@final
@dataclass(frozen=True)
class Ready:
    """The worker has built its worlds and its actor."""


@final
@dataclass(frozen=True)
class Alive:
    """It still answers; perhaps it says how much of what is done."""

    shares: Shares


@final
@dataclass(frozen=True)
class Played(Generic[T]):
    """One episode, and what is kept of it."""

    seed: int
    result: T


@final
@dataclass(frozen=True)
class Done:
    """The unit is played; seeds of it that are missing were discarded by the actor."""


@final
@dataclass(frozen=True)
class Failed:
    """A world or the actor raised; the worker takes the next unit."""

    reason: str


@final
@dataclass(frozen=True)
class Unfit:
    """The worker cannot begin, and no other could."""

    error: Exception


@final
@dataclass(frozen=True)
class Gone:
    """The worker is dead."""

    reason: str


Event = Ready | Alive | Played[Any] | Done | Failed | Unfit | Gone


class Ground(Protocol):
    """Where workers live. A worker is a number."""

    def start(self) -> int:
        """Begin a worker; it says Ready when it is."""
        ...

    def give(self, worker: int, numbers: Sequence[int]) -> None:
        """Let a worker do a unit; one that is dead says Gone."""
        ...

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        """Return what workers said, waiting for the first word at most `timeout_s`."""
        ...

    def release(self, worker: int) -> None:
        """Do without a worker that is idle: it waits for other work, or ends."""
        ...

    def kill(self, worker: int) -> None:
        """End a worker at once; it says nothing more."""
        ...


@final
@dataclass
class _Worker:
    heard_s: float
    unit: list[int] = field(default_factory=list)  # what it has still to play
    is_ready: bool = False
    is_busy: bool = False


@final
class Dispatch(Generic[T]):
    """One call of a fleet's `play`."""

    def __init__(
        self,
        ground: Ground,
        units: Sequence[Sequence[int]],
        workers: int,
        patience_s: float,
        watch: Tell,
    ) -> None:
        self._ground, self._patience_s, self._watch = ground, patience_s, watch
        parts = [[int(seed) for seed in unit] for unit in units]
        self._order = [seed for part in parts for seed in part]
        if len(set(self._order)) < len(self._order):
            raise ValueError("seeds are given more than once; an episode is played once")
        self._waiting = deque(parts)
        largest = max(map(len, parts), default=0)
        self._ahead = 8 * workers * largest  # how far results may be before the one that is due
        self._count = min(workers, len(parts))
        self._workers: dict[int, _Worker] = {}
        self._stillborn, self._lost = 0, 0
        self._has_begun, self._has_played = False, False
        self._attempts: dict[int, int] = {}
        self._results: dict[int, T | Lost | None] = {}  # None: discarded
        self._next = 0
        self._place = {seed: place for place, seed in enumerate(self._order)}

    def results(self) -> Iterator[T | Lost]:
        """Yield the results in the order of the seeds; closing it ends the workers that are busy."""
        try:
            while self._next < len(self._order):
                self._employ()
                for worker, event in self._ground.events(WAIT_S):
                    if worker in self._workers:
                        self._take(worker, event)
                self._dismiss_the_silent()
                yield from self._due()
            self._settle()
        finally:
            for number, worker in self._workers.items():
                is_idle = worker.is_ready and not worker.is_busy
                (self._ground.release if is_idle else self._ground.kill)(number)

    def _settle(self) -> None:
        """Hear out those that have played all of their unit: they are about to say so."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until and any(
            worker.is_busy and not worker.unit for worker in self._workers.values()
        ):
            for worker, event in self._ground.events(WAIT_S):
                if worker in self._workers:
                    self._take(worker, event)

    def _employ(self) -> None:
        """Have as many workers as there is work for, and give each that is idle a unit."""
        now = time.monotonic()
        busy = sum(worker.is_busy for worker in self._workers.values())
        while len(self._workers) < min(self._count, busy + len(self._waiting)):
            self._workers[self._ground.start()] = _Worker(now)
        for number, worker in self._workers.items():
            if worker.is_ready and not worker.is_busy and self._has_work():
                worker.unit, worker.is_busy, worker.heard_s = self._waiting.popleft(), True, now
                self._ground.give(number, list(worker.unit))

    def _has_work(self) -> bool:
        return bool(self._waiting) and self._place[self._waiting[0][0]] < self._next + self._ahead

    def _take(self, number: int, event: Event) -> None:
        worker = self._workers[number]
        worker.heard_s = time.monotonic()
        match event:
            case Ready():
                worker.is_ready, self._has_begun, self._stillborn = True, True, 0
            case Played(seed, result):
                worker.unit.remove(seed)
                self._has_played = True
                self._results[seed] = result
                self._watch({seed: 1.0})
            case Done():
                self._results |= dict.fromkeys(worker.unit)
                if worker.unit:
                    self._watch(dict.fromkeys(worker.unit, 1.0))
                worker.unit, worker.is_busy = [], False
            case Failed(reason):
                self._play_again(worker.unit, reason)
                worker.unit, worker.is_busy = [], False
            case Unfit(error):
                raise error
            case Gone(reason):
                self._mourn(number, reason)
            case Alive(shares):
                self._watch(shares)

    def _mourn(self, number: int, reason: str) -> None:
        worker = self._workers.pop(number)
        if not worker.is_ready:
            self._stillborn += 1
            if self._stillborn >= STILLBORN[self._has_begun]:
                raise RuntimeError(
                    f"{self._stillborn} workers in a row ended before they could begin: {reason}. "
                    "Try fewer workers, or fewer worlds in each"
                )
        self._play_again(worker.unit, reason)

    def _dismiss_the_silent(self) -> None:
        """Kill workers of which nothing was heard for too long: a world hangs."""
        now = time.monotonic()
        for number, worker in list(self._workers.items()):
            limit_s = self._patience_s if worker.is_ready else START_S
            if (worker.is_busy or not worker.is_ready) and now - worker.heard_s > limit_s:
                self._ground.kill(number)
                self._mourn(number, f"no sign of life for {limit_s:g} s")

    def _play_again(self, unit: list[int], reason: str) -> None:
        """Put back what is left of a unit: first in line, for others wait for it."""
        if len(unit) > 1:
            half = -(-len(unit) // 2)
            self._waiting.extendleft([unit[half:], unit[:half]])
        elif unit:
            (seed,) = unit
            self._attempts[seed] = self._attempts.get(seed, 0) + 1
            if self._attempts[seed] < ATTEMPTS:
                self._waiting.appendleft([seed])
                return
            self._results[seed] = Lost(seed, ATTEMPTS, reason)
            self._watch({seed: 1.0})
            self._lost += 1
            if self._lost == HOPELESS and not self._has_played:
                raise RuntimeError(f"nothing can be done: {reason}")

    def _due(self) -> Iterator[T | Lost]:
        while self._next < len(self._order) and self._order[self._next] in self._results:
            result = self._results.pop(self._order[self._next])
            self._next += 1
            if result is not None:
                yield result
