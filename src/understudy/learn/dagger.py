"""DAgger: let the learner act, ask the expert what was right, learn from all of it, and again.

Ross, Gordon & Bagnell 2011 (arXiv 1011.0686). A cloned policy drifts to states that nobody showed;
here such states are visited and labelled. What differs from the paper: a gate decides at every tick
who acts, of which the paper's coin is one; and the last policy counts, not the best of all rounds,
so that nothing is chosen but when to stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from understudy.actor import Mixture
from understudy.data.store import Dataset
from understudy.episode import Episode, Lost
from understudy.fleet import ExpertActor, PartnerConfig, PolicyActor
from understudy.learn.gates import GateConfig
from understudy.spec import Spec
from understudy.statistics import Estimate, mean

SEEDS = range(10_000)  # where demonstrations and corrections begin; selection and reports follow


@final
@dataclass(frozen=True, kw_only=True)
class MixtureActor:
    """An expert and the policy that it corrects, of whom a gate decides who acts."""

    learner: PolicyActor
    gate: GateConfig
    expert: PartnerConfig = field(
        default_factory=ExpertActor
    )  # the task's own, or a stronger policy

    def build(self, spec: Spec) -> Mixture:
        """Load what is a policy and build the gate; raises ValueError where they do not fit the world."""
        expert, learner = self.expert.partner(spec), self.learner.partner(spec)
        return Mixture(expert, learner, self.gate.build(spec))


@final
@dataclass(frozen=True, kw_only=True)
class DaggerConfig:
    """How many rounds of how many episodes, and when it is enough."""

    rounds: int = 5
    """Rounds of corrections, after learning from the demonstrations."""
    episodes: int = 20
    """Episodes that learner and expert play in each round."""
    target_success: float | None = None
    """Stop as soon as this share of the evaluated episodes succeeds, 0..1."""
    target_score: float | None = None
    """Stop as soon as the mean score is this high; with both, both."""

    def __post_init__(self) -> None:
        if self.rounds < 0 or self.episodes < 1:
            raise ValueError(
                f"rounds must not be negative, episodes at least 1, got {self.rounds}, {self.episodes}"
            )
        if self.target_success is not None and not 0 < self.target_success <= 1:
            raise ValueError(f"target_success must lie in 0..1, got {self.target_success}")
        if self.target_score is not None and not math.isfinite(self.target_score):
            raise ValueError(f"target_score must be finite, got {self.target_score}")

    def is_met(self, score: Score) -> bool:
        """Whether a target is set and what was measured reaches it."""
        success, least = self.target_success, self.target_score
        if success is not None and (score.success is None or score.success.value < success):
            return False
        if least is not None and score.score.value < least:
            return False
        return success is not None or least is not None


@final
@dataclass(frozen=True)
class Score:
    """How good a policy is, measured on starts that are there to choose by."""

    success: Estimate | None  # None: the world does not judge
    score: Estimate


@final
@dataclass(frozen=True)
class Round:
    """What a round came to; round 0 learns from the demonstrations alone."""

    number: int
    episodes: int  # in the dataset
    ticks: int
    # share of an episode's ticks at which the expert acted, the mean over this round's episodes
    interventions: Estimate | None
    score: Score
    checkpoint: Path
    is_enough: bool  # the target is met
    lost: tuple[Lost, ...] = ()  # seeds of this round that gave no episode


def dagger(
    dataset: Dataset,
    config: DaggerConfig,
    *,
    collect: Callable[[int, Path, Sequence[int]], Iterator[Episode | Lost]],
    train: Callable[[int], Path],
    evaluate: Callable[[int, Path], Score],
    first_seed: int,
    done: int = 0,
) -> Iterator[Round]:
    """Yield a report after each round of collecting, aggregating, training and evaluating.

    `collect(number, checkpoint, seeds)` plays a mixture of the expert and the last round's policy,
    one episode per seed; `train(number)` learns from all of `dataset` and returns a checkpoint;
    `evaluate(number, checkpoint)` measures it. Round r takes the seeds from `first_seed` +
    (r - 1) * episodes. The dataset, open for writing, begins with the demonstrations and gets every
    episode as soon as it is over.

    To go on after an interruption, call it again with the number of rounds that are `done`: what the
    round under way has collected is not played again, `train` and `evaluate` go on with what they
    find. The dataset and the policies are those of an unbroken run. Raises ValueError where the
    seeds do not suffice, or the dataset is empty.
    """
    if not len(dataset):
        raise ValueError(f"{dataset.folder} holds no demonstrations to begin with")
    require_seeds(config, first_seed)
    checkpoint = train(done - 1) if done else None
    for number in range(done, config.rounds + 1):
        interventions, lost = None, ()
        if number:
            assert checkpoint is not None
            start = first_seed + (number - 1) * config.episodes
            seeds = range(start, start + config.episodes)
            interventions, lost = _aggregate(dataset, seeds, partial(collect, number, checkpoint))
        checkpoint = train(number)
        score = evaluate(number, checkpoint)
        is_enough = config.is_met(score)
        episodes, ticks = len(dataset), int(dataset.lengths.sum())
        yield Round(number, episodes, ticks, interventions, score, checkpoint, is_enough, lost)
        if is_enough:
            return


def require_seeds(config: DaggerConfig, first_seed: int) -> None:
    """Raise ValueError unless all rounds' seeds are among those of demonstrations."""
    last = first_seed + config.rounds * config.episodes - 1
    if not (first_seed in SEEDS and last < len(SEEDS)):
        raise ValueError(
            f"{config.rounds} rounds of {config.episodes} episodes take the seeds {first_seed} to "
            f"{last}, which are not all within 0..{SEEDS[-1]}: fewer episodes, or fewer rounds"
        )


def next_seed(dataset: Dataset) -> int:
    """The first seed that comes after those of all episodes of a dataset."""
    return 1 + max((seed for seed in dataset.seeds if seed is not None), default=-1)


def _aggregate(
    dataset: Dataset,
    seeds: range,
    collect: Callable[[Sequence[int]], Iterator[Episode | Lost]],
) -> tuple[Estimate, tuple[Lost, ...]]:
    """Append the episodes of the seeds that the dataset does not have; returns the mean share of an
    episode's ticks at which the expert acted, and what was lost."""
    found = {seed: i for i, seed in enumerate(dataset.seeds) if seed in seeds}
    rest = [seed for seed in seeds if seed not in found]
    lost: list[Lost] = []
    for played in collect(rest) if rest else ():
        if isinstance(played, Lost):
            lost.append(played)
        else:
            found[played.seed] = len(dataset)
            dataset.append(played)
    shares = [_share(dataset[i]) for i in found.values()]
    if not shares:
        raise RuntimeError(
            "no episode of the round was kept, so there is nothing new to learn from"
        )
    return replace(mean(shares), is_rate=True), tuple(lost)


def _share(episode: Episode) -> float:
    return 0.0 if episode.intervention is None else float(np.mean(episode.intervention))
