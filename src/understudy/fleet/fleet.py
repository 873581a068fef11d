"""What all fleets can do; they differ in the ground that their workers live on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar, final

from understudy.episode import Episode, Lost
from understudy.fleet.actors import ActorConfig
from understudy.fleet.dispatch import Dispatch, Ground
from understudy.fleet.job import Errand, Errands, Job, Tell, Work, played, unwatched, whole
from understudy.rollout import Recorder
from understudy.tasks.base import TaskConfig

I = TypeVar("I")  # noqa: E741  what an errand is about
T = TypeVar("T")
PATIENCE_S = 300.0  # a tick may take as long: a large diffusion policy needs minutes for a chunk


@final
@dataclass
class Idle:
    """Workers that wait for further work, whatever a ground has of them; kept only within `with`."""

    is_kept: bool = False
    workers: list[Any] = field(default_factory=list)


class Fleet(ABC):
    """`workers`, each with `worlds` side by side and one thread.

    A worker of which nothing is heard for `patience_s` is killed and replaced: its worlds hang.
    Within `with`, workers and their worlds stay between calls. Raises ValueError for numbers that
    make no sense.
    """

    def __init__(self, workers: int, worlds: int = 16, patience_s: float = PATIENCE_S) -> None:
        for name, count in (("workers", workers), ("worlds", worlds)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count}")
        if not patience_s > 0:
            raise ValueError(f"patience must be positive, got {patience_s}")
        self.workers, self.worlds, self.patience_s = workers, worlds, patience_s
        self._idle = Idle()

    @abstractmethod
    def _ground(self, work: Work, watch: Tell, idle: Idle) -> Ground:
        """Where workers for this work begin; one inside this process tells `watch` itself."""

    @abstractmethod
    def _end(self, worker: Any) -> None:
        """End a worker that was idle."""

    @final
    def __enter__(self) -> Self:
        self._idle = Idle(is_kept=True)
        return self

    @final
    def __exit__(self, *_: object) -> None:
        idle, self._idle = self._idle, Idle()
        idle.is_kept = False  # a call that is still open releases none any more
        for worker in idle.workers:
            self._end(worker)

    @final
    def play(
        self,
        task: TaskConfig,
        actor: ActorConfig,
        seeds: Sequence[int],
        of: Callable[[Episode], T],
        recorder: Recorder | None = None,
        watch: Tell = unwatched,
    ) -> Iterator[T | Lost]:
        """Yield what `of` makes of the episode of each seed, in their order, or that it is lost.

        `of` runs where the episode was played, so that no more travels than it keeps; it and the
        recorder (a dataset's `workshop`) must be sent there. A seed that the actor discards yields
        nothing. `watch` hears of each episode when it is done, {seed: 1.0}, in whatever order.
        Raises ValueError or RuntimeError where no worker can begin at all.
        """
        job = Job(task, actor, self.worlds, of, recorder)
        return self._done(job, units_of(seeds, self.workers, self.worlds), watch)

    @final
    def rollouts(
        self, task: TaskConfig, actor: ActorConfig, seeds: Sequence[int]
    ) -> Iterator[Episode]:
        """Yield one whole episode per seed, in order; raises RuntimeError for one that is lost."""
        return played(self.play(task, actor, seeds, whole))

    @final
    def each(
        self, errand: Errand[I, T], items: Sequence[I], watch: Tell = unwatched
    ) -> Iterator[T | Lost]:
        """Yield what `errand` makes of each item, in their order, or that it is lost.

        Errand, items and results must be sent; an item may be worked on more than once, when a
        worker was killed. `watch` hears {place in items: share that is done}. `Lost.seed` is the
        place in items.
        """
        places = [[place] for place in range(len(items))]
        return self._done(Errands(errand, tuple(items)), places, watch)

    def _done(self, work: Work, units: Sequence[Sequence[int]], watch: Tell) -> Iterator[Any]:
        ground = self._ground(work, watch, self._idle)
        return Dispatch[Any](ground, units, self.workers, self.patience_s, watch).results()


def units_of(seeds: Sequence[int], workers: int, worlds: int) -> list[Sequence[int]]:
    """Seeds in the portions that workers are given: one for who is alone, else as many for each.

    Twice as many seeds as worlds, so that these are full most of the time, and no more, for results
    wait for those before them; what is left at the end is shared out equally, so that workers end
    together.
    """
    unit = 2 * worlds if workers > 1 else max(1, len(seeds))
    full = len(seeds) // (unit * workers) * workers
    rest = seeds[full * unit :]
    last = max(1, -(-len(rest) // workers))
    units = [seeds[unit * number : unit * (number + 1)] for number in range(full)]
    return units + [rest[start : start + last] for start in range(0, len(rest), last)]
