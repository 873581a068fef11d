"""DAgger in Python: a policy plays mountain-car, the expert says what was right, in rounds."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.fleet import Here, PolicyActor
from understudy.learn.clone import clone
from understudy.learn.dagger import DaggerConfig, MixtureActor, Score, dagger
from understudy.learn.gates import BetaGate, beta
from understudy.learn.supervised import LearnConfig
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.statistics import mean, rate
from understudy.tasks.mountain_car import MountainCar

task, fleet = MountainCar(), Here(worlds=16)


def collect(number: int, checkpoint: Path, seeds: Sequence[int]) -> Iterator[Episode]:
    """The expert acts at fewer ticks each round, and labels all."""
    gate = BetaGate(share=beta("exponential", number))
    actor = MixtureActor(learner=PolicyActor(checkpoint=checkpoint), gate=gate)
    return fleet.rollouts(task, actor, seeds)


def train(dataset: Dataset, number: int) -> Path:
    """Anew, from all rounds so far."""
    policy = clone(MlpConfig(bins=32, width=128, depth=2), dataset, LearnConfig(steps=400))
    return save_checkpoint(Path(f"policy-{number}"), "mlp", policy, {"round": number})


def evaluate(number: int, checkpoint: Path) -> Score:
    """On starts that are there to choose by."""
    played = list(fleet.rollouts(task, PolicyActor(checkpoint=checkpoint), range(10_000, 10_100)))
    returns = [float(episode.rewards.sum()) for episode in played]
    return Score(rate([bool(episode.success) for episode in played]), mean(returns))


with Dataset.open(Path("mountain-car-demonstrations")) as dataset:
    for found in dagger(
        dataset,
        DaggerConfig(rounds=2, episodes=5),
        collect=collect,
        train=partial(train, dataset),
        evaluate=evaluate,
        first_seed=1000,
    ):
        print(f"round {found.number}: {found.episodes} episodes, return {found.score.score}")
