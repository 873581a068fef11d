"""What a worker is for: to play rollouts, or to do any other piece of work; and what comes back."""

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
I_contra = TypeVar("I_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)
BEAT_S = 1.0  # between two signs of life

# How much of what is done, {number: share 0..1}; an empty one says no more than that somebody lives.
Shares = Mapping[int, float]
Tell = Callable[[Shares], None]


class Hands(Protocol):
    """A worker that has begun."""

    def do(self, numbers: Sequence[int]) -> Generator[tuple[int, Any]]:
        """Yield (number, result) of what is to be done; what goes wrong comes out."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class Work(Protocol):
    """What all units of one call have in common; it travels to each worker once."""

    def begin(self, tell: Tell, before: Hands | None) -> Hands:
        """Build what is needed; `tell` is to be called about once a second from then on.

        `before` is what this worker built for earlier work: it is taken over in part, or closed.
        """
        ...


class Errand(Protocol[I_contra, T_co]):
    """Any work on one item; it calls `tell` with the share that is done, about once a second."""

    def __call__(self, item: I_contra, tell: Callable[[float], None], /) -> T_co: ...


@final
@dataclass(frozen=True)
class Job(Generic[T]):
    """Rollouts; numbers are seeds."""

    task: TaskConfig
    actor: ActorConfig
    worlds: int  # side by side in each worker
    of: Callable[[Episode], T]
    recorder: Recorder | None = None

    def begin(self, tell: Tell, before: Hands | None) -> Post[T]:
        """Build the actor and the first world, or take over worlds of the same task."""
        worlds = []
        if isinstance(before, Post) and before.job.task == self.task:
            worlds = before.leave()
        elif before is not None:
            before.close()
        return Post(self, worlds, lambda: tell({}))


@final
@dataclass(frozen=True)
class Errands(Generic[T]):
    """One errand on each of a list of items; numbers are places in it."""

    errand: Errand[Any, T]
    items: tuple[Any, ...]

    def begin(self, tell: Tell, before: Hands | None) -> _Runner[T]:
        """There is nothing to build."""
        if before is not None:
            before.close()
        return _Runner(self, tell)


@final
class _Runner(Generic[T]):
    def __init__(self, errands: Errands[T], tell: Tell) -> None:
        self._errands, self._tell = errands, tell

    def do(self, numbers: Sequence[int]) -> Generator[tuple[int, T]]:
        for number in numbers:

            def tell(share: float, number: int = number) -> None:
                self._tell({number: share})

            yield number, self._errands.errand(self._errands.items[number], tell)

    def close(self) -> None:
        pass


@final
class Post(Generic[T]):
    """One worker's place: its worlds and its actor, built once and again after a failure.

    `beat` is called about once a second while worlds answer.
    """

    def __init__(
        self, job: Job[T], worlds: list[gymnasium.Env[Any, Any]], beat: Callable[[], None]
    ) -> None:
        self.job, self._beat = job, beat
        self._worlds = worlds[: job.worlds]
        for world in worlds[job.worlds :]:
            world.close()
        self._actor: Actor | None = None
        self._build(1)

    def do(self, numbers: Sequence[int]) -> Generator[tuple[int, T]]:
        """Yield (seed, what is kept of its episode); whatever a world or the actor raises comes out."""
        try:
            self._build(min(self.job.worlds, len(numbers)))
            assert self._actor is not None
            for episode in rollouts(self._worlds, self._actor, numbers, self.job.recorder):
                assert episode.seed is not None
                yield episode.seed, self.job.of(episode)
        except Exception:
            self.close()
            raise

    def _build(self, count: int) -> None:
        """Have so many worlds; an actor is for as many as it has seen first."""
        if self._actor is None or len(self._worlds) < count:
            while len(self._worlds) < count:
                self._worlds.append(self.job.task.build())
            self._actor = _Alive(self.job.actor.build(self.job.task.spec), self._beat)

    def leave(self) -> list[gymnasium.Env[Any, Any]]:
        """Hand over the worlds."""
        worlds, self._worlds = self._worlds, []
        return worlds

    def close(self) -> None:
        """Close the worlds; one that cannot even do that is left to its fate."""
        for world in self.leave():
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


def unwatched(shares: Shares) -> None:
    """Nobody looks how far things are."""


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
