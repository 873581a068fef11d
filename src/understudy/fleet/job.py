"""What a fleet is asked for, how one worker does its share of it, and what comes back."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from understudy.actor import Actor, Decision
from understudy.episode import Episode, Lost
from understudy.fleet.actors import ActorConfig
from understudy.rollout import Recorder, rollouts
from understudy.tasks.base import TaskConfig

T = TypeVar("T")
BEAT_S = 1.0  # between two signs of life


class Fleet(Protocol):
    """Plays one episode per seed, somewhere."""

    def play(
        self,
        task: TaskConfig,
        actor: ActorConfig,
        seeds: Sequence[int],
        of: Callable[[Episode], T],
        recorder: Recorder | None = None,
    ) -> Iterator[T | Lost]:
        """Yield what `of` makes of the episode of each seed, in their order, or that it is lost.

        `of` runs where the episode was played, so that no more travels than it keeps; it and the
        recorder (a dataset's `workshop`) must be sent there. A seed that the actor discards yields
        nothing. Raises ValueError or RuntimeError where no worker can begin at all.
        """
        ...

    def rollouts(
        self, task: TaskConfig, actor: ActorConfig, seeds: Sequence[int]
    ) -> Iterator[Episode]:
        """Yield one whole episode per seed, in order; raises RuntimeError for one that is lost."""
        ...


@final
@dataclass(frozen=True)
class Job(Generic[T]):
    """What all units of one call have in common; it travels to each worker once."""

    task: TaskConfig
    actor: ActorConfig
    worlds: int  # side by side in each worker
    of: Callable[[Episode], T]
    recorder: Recorder | None = None


@final
class Post(Generic[T]):
    """One worker's place: its worlds and its actor, built once and again after a failure.

    `beat` is called about once a second while worlds answer.
    """

    def __init__(self, job: Job[T], beat: Callable[[], None]) -> None:
        self._job, self._beat = job, beat
        self._worlds: list[gymnasium.Env[Any, Any]] = []
        self._build(1)

    def play(self, seeds: Sequence[int]) -> Generator[tuple[int, T]]:
        """Yield (seed, what is kept of its episode); whatever a world or the actor raises comes out."""
        try:
            self._build(min(self._job.worlds, len(seeds)))
            for episode in rollouts(self._worlds, self._actor, seeds, self._job.recorder):
                assert episode.seed is not None
                yield episode.seed, self._job.of(episode)
        except Exception:
            self.close()
            raise

    def _build(self, count: int) -> None:
        """Have so many worlds; an actor is for as many as it has seen first."""
        if len(self._worlds) < count:
            while len(self._worlds) < count:
                self._worlds.append(self._job.task.build())
            self._actor = _Alive(self._job.actor.build(self._job.task.spec), self._beat)

    def close(self) -> None:
        """Close the worlds; one that cannot even do that is left to its fate."""
        worlds, self._worlds = self._worlds, []
        for world in worlds:
            try:
                world.close()
            except Exception:  # it has failed already, and that is what is told
                continue


@final
class _Alive:
    """An actor that lets be known that its worlds still answer."""

    def __init__(self, actor: Actor, beat: Callable[[], None]) -> None:
        self._actor, self._beat = actor, beat
        self._due = 0.0

    @property
    def source(self) -> str:
        return self._actor.source

    @property
    def requests(self) -> tuple[str, ...]:
        return self._actor.requests

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        self._actor.reset(slots, seeds)

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        if time.monotonic() >= self._due:
            self._beat()
            self._due = time.monotonic() + BEAT_S
        return self._actor.act(observations, info)


def whole(episode: Episode) -> Episode:
    """What to keep where the episode itself is wanted."""
    return episode


def played(results: Iterable[T | Lost]) -> Iterator[T]:
    """Yield what was played; raises RuntimeError at the first that is lost."""
    for result in results:
        if isinstance(result, Lost):
            raise RuntimeError(
                f"the episode of seed {result.seed} failed {result.attempts} times: {result.reason}"
            )
        yield result


def told(error: BaseException) -> str:
    """An error in a line: its kind, what it says, and where it was raised."""
    said = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' if said else ''}{said}{where}"


def sendable(error: Exception) -> Exception:
    """The error without what belongs to its process; kinds that people act on stay what they are."""
    kind = ValueError if isinstance(error, ValueError) else RuntimeError
    return kind(str(error) if kind is ValueError else told(error))
