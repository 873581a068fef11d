"""Sweeps: which options train the best policy, as far as trials on selection starts can say.

Every configuration is trained with the same seeds and measured on the same starts. Stopping early is
successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943), with a difference that makes it
fair to slow starters: a stage with fewer steps is a whole training of that length, warm-up and decay
included, never a look at a longer one that is under way; and how many remain is fixed before, so that
results do not depend on who was ready first. It costs a part of the work of earlier stages again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray

from understudy.learn.space import Choice
from understudy.statistics import Estimate, paired_test, pooled_mean

By = Literal["success", "score"]


@final
@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """How a sweep searches."""

    search: Literal["grid", "random", "optuna"] = "random"
    """grid: every combination of lists; random: drawn; optuna: proposed by a model of what was good so far."""
    trials: int = 20
    """How many configurations; a grid tries all that it has."""
    seeds: int = 3
    """Trainings of each configuration: with --seed, and those that follow."""
    halving: int = 0
    """Train all for a part of the steps, keep the best 1 in so many, train these so many times as long, and again; 0:
    train all to the end."""
    at_once: int = 4
    """optuna: configurations that it proposes before it hears how they did; as many workers can be busy."""
    by: By = "success"
    """What decides; the score where a task does not judge, and between equals."""

    def __post_init__(self) -> None:
        for name in ("trials", "seeds", "at_once"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.halving < 0 or self.halving == 1:
            raise ValueError(f"halving must be 0 or at least 2, got {self.halving}")
        if self.halving and self.search == "optuna":
            raise ValueError(
                "halving is for grid and random: optuna's model would mix long and short trainings"
            )


@final
@dataclass(frozen=True)
class Attempt:
    """One training."""

    trial: int
    choice: Choice
    seed: int  # 0, 1, ...: so many after the first
    part: int = 1  # it takes 1/part of the steps


@final
@dataclass(frozen=True)
class Tried:
    """What a training came to on the selection starts, or why it came to nothing."""

    scores: tuple[float, ...] = ()
    successes: tuple[bool, ...] | None = None  # None: the task does not judge
    train_s: float = 0.0
    failure: str = ""


@final
@dataclass(frozen=True)
class Standing:
    """What is known of a configuration: its trainings of the last stage that it came to."""

    trial: int
    choice: Choice
    part: int
    tried: tuple[Tried, ...]  # one for each seed

    @property
    def failure(self) -> str:
        """Why it is out of the question; "" if it is not."""
        return next((one.failure for one in self.tried if one.failure), "")

    @cached_property
    def success(self) -> Estimate | None:
        """None where the task does not judge, or a training failed."""
        parts = [one.successes for one in self.tried]
        if self.failure or any(part is None for part in parts):
            return None
        return pooled_mean([np.array(part, np.bool_) for part in parts])

    @cached_property
    def score(self) -> Estimate | None:
        """None where a training failed."""
        return None if self.failure else pooled_mean([np.array(t.scores) for t in self.tried])

    def value(self, by: By) -> tuple[float, float]:
        """What it is ranked by, and then by; worst of all where a training failed."""
        if self.score is None:
            return -np.inf, -np.inf
        first = self.score if by == "score" or self.success is None else self.success
        return first.value, self.score.value

    def of_starts(self, by: By) -> NDArray[np.float64]:
        """(n,) the mean over its trainings for each start."""
        judged = by == "success" and self.success is not None
        tables = [np.array(t.successes if judged else t.scores, np.float64) for t in self.tried]
        return np.mean(tables, 0)


class Search(Protocol):
    """Proposes configurations."""

    def next(self, known: Mapping[int, float | None]) -> Sequence[Choice]:
        """The next ones, knowing how those before did, by number; None: it failed. Empty: no more."""
        ...


@final
@dataclass(frozen=True)
class Listed:
    """A grid, or what was drawn: known from the beginning."""

    choices: Sequence[Choice]

    def next(self, known: Mapping[int, float | None]) -> Sequence[Choice]:
        """All at once."""
        return [] if known else self.choices


@final
@dataclass(frozen=True)
class Progress:
    """Standings so far, the best first, after a stage or a generation of proposals."""

    standings: Sequence[Standing]
    stage: str  # in words


def sweep(
    search: Search,
    config: SweepConfig,
    try_out: Callable[[Sequence[Attempt]], Iterator[Tried]],
) -> Iterator[Progress]:
    """Yield the standings after each stage; `try_out` yields what became of each training, in order.

    Raises ValueError where every configuration failed.
    """
    standings: dict[int, Standing] = {}
    while choices := search.next(_values(standings, config.by)):
        first = len(standings)
        remain = dict(enumerate(choices, first))
        plan = stages(len(remain), config.halving)
        for count, part in plan:
            attempts = [
                Attempt(trial, remain[trial], seed, part)
                for trial in remain
                for seed in range(config.seeds)
            ]
            results = iter(list(try_out(attempts)))
            for trial, choice in remain.items():
                tried = tuple(next(results) for _ in range(config.seeds))
                standings[trial] = Standing(trial, choice, part, tried)
            ranking = ranked(standings.values(), config.by)
            yield Progress(ranking, _stage(first, count, part, len(plan)))
            reason = ranking[0].failure
            if reason:
                raise ValueError(f"every configuration failed; the first: {reason}")
            following = next((c for c, p in plan if p < part), 0)
            kept = [s.trial for s in ranking if s.trial in remain and not s.failure][:following]
            remain = {trial: remain[trial] for trial in sorted(kept)}


def stages(count: int, halving: int) -> list[tuple[int, int]]:
    """(configurations, part): all for 1/part of the steps, and so on; the last for all steps."""
    if not halving:
        return [(count, 1)]
    last = 0
    while count // halving ** (last + 1) >= 1:
        last += 1
    return [
        (max(1, count // halving**stage), halving ** (last - stage)) for stage in range(last + 1)
    ]


def ranked(standings: Iterable[Standing], by: By) -> list[Standing]:
    """The best first: who trained longer, who did better, who came earlier; failures last."""

    def place(standing: Standing) -> tuple[bool, int, float, float, int]:
        first, second = standing.value(by)
        return bool(standing.failure), standing.part, -first, -second, standing.trial

    return sorted(standings, key=place)


def told_apart(best: Standing, other: Standing, by: By) -> float | None:
    """p of "both are equally good", start by start; None where they trained for different lengths.

    The best was chosen for its luck too, so that p is too small for it.
    """
    if best.part != other.part or other.failure:
        return None
    by = by if best.success is not None and other.success is not None else "score"
    return paired_test(best.of_starts(by), other.of_starts(by))


def _values(standings: Mapping[int, Standing], by: By) -> dict[int, float | None]:
    return {
        number: None if standing.failure else standing.value(by)[0]
        for number, standing in standings.items()
    }


def _stage(first: int, count: int, part: int, of: int) -> str:
    who = f"{count} configuration{'' if count == 1 else 's'}"
    if of > 1:
        return f"{who}, {'all steps' if part == 1 else f'1/{part} of the steps'}"
    return who if not first else f"{count} more, {first + count} in all"
