"""Rollouts in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar, final

from understudy.episode import Episode, Lost
from understudy.fleet.actors import ActorConfig
from understudy.fleet.dispatch import Dispatch, Done, Event, Failed, Played, Ready
from understudy.fleet.job import Job, Post, played, told, whole
from understudy.rollout import Recorder
from understudy.tasks.base import TaskConfig

T = TypeVar("T")


@final
class Here:
    """`worlds` side by side in this process. A world that hangs hangs it."""

    def __init__(self, worlds: int = 16) -> None:
        if worlds < 1:
            raise ValueError(f"worlds must be at least 1, got {worlds}")
        self.worlds = worlds

    def play(
        self,
        task: TaskConfig,
        actor: ActorConfig,
        seeds: Sequence[int],
        of: Callable[[Episode], T],
        recorder: Recorder | None = None,
    ) -> Iterator[T | Lost]:
        """Yield what `of` makes of each seed's episode, or that it is lost; see `Fleet`."""
        inside = _Inside(Job(task, actor, self.worlds, of, recorder))
        return Dispatch[T](inside, seeds, 1, max(1, len(seeds)), float("inf")).results()

    def rollouts(
        self, task: TaskConfig, actor: ActorConfig, seeds: Sequence[int]
    ) -> Iterator[Episode]:
        """Yield one whole episode per seed, in order; raises RuntimeError for one that is lost."""
        return played(self.play(task, actor, seeds, whole))


@final
class _Inside:
    """A ground of one worker, which works while its events are waited for."""

    def __init__(self, job: Job[Any]) -> None:
        self._job = job
        self._post: Post[Any] | None = None
        self._unit: Generator[tuple[int, Any]] = _nothing()
        self._is_ready = False

    def start(self) -> int:
        self._post = Post(self._job, lambda: None)
        return 0

    def give(self, worker: int, seeds: Sequence[int]) -> None:
        assert self._post is not None
        self._unit = self._post.play(seeds)

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        if not self._is_ready:
            self._is_ready = True
            return [(0, Ready())]
        try:
            for seed, result in self._unit:
                return [(0, Played(seed, result))]
        except Exception as error:
            return [(0, Failed(told(error)))]
        return [(0, Done())]

    def kill(self, worker: int) -> None:
        self._unit.close()
        if self._post is not None:
            self._post.close()


def _nothing() -> Generator[tuple[int, Any]]:
    yield from ()
