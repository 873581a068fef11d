"""Work in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, final

from understudy.fleet.dispatch import Done, Event, Failed, Ground, Played, Ready
from understudy.fleet.fleet import Fleet, Idle
from understudy.fleet.job import Hands, Tell, Work, told


@final
class Here(Fleet):
    """`worlds` side by side in this process. A world that hangs hangs it."""

    def __init__(self, worlds: int = 16) -> None:
        super().__init__(1, worlds, float("inf"))

    def _ground(self, work: Work, watch: Tell, idle: Idle) -> Ground:
        return _Inside(work, watch, idle)

    def _end(self, worker: Hands) -> None:
        worker.close()


@final
class _Inside:
    """A ground of one worker, which works while its events are waited for, and is watched at it."""

    def __init__(self, work: Work, watch: Tell, idle: Idle) -> None:
        self._work, self._watch, self._idle = work, watch, idle
        self._hands: Hands | None = None
        self._unit: Generator[tuple[int, Any]] = _nothing()
        self._is_ready = False

    def start(self) -> int:
        self._hands = self._work.begin(
            self._watch, self._idle.workers.pop() if self._idle.workers else None
        )
        return 0

    def give(self, worker: int, numbers: Sequence[int]) -> None:
        assert self._hands is not None
        self._unit = self._hands.do(numbers)

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        if not self._is_ready:
            self._is_ready = True
            return [(0, Ready())]
        try:
            for number, result in self._unit:
                return [(0, Played(number, result))]
        except Exception as error:
            return [(0, Failed(told(error)))]
        return [(0, Done())]

    def release(self, worker: int) -> None:
        if not self._idle.is_kept:
            self.kill(worker)
        else:
            self._idle.workers.append(self._hands)

    def kill(self, worker: int) -> None:
        self._unit.close()
        if self._hands is not None:
            self._hands.close()


def _nothing() -> Generator[tuple[int, Any]]:
    yield from ()
