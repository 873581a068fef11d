"""The rounds of DAgger: what is kept, what is learnt from, and that an interruption changes nothing."""

from dataclasses import replace

import numpy as np
import pytest

from tests.learn.test_gates import Ramp
from tests.worlds import COUNT_SPEC, CountWorld, ReachTask
from understudy.actor import Expert, Mixture
from understudy.data.store import Dataset
from understudy.fleet import Here, PolicyActor, Pool
from understudy.learn.clone import clone
from understudy.learn.dagger import (
    DaggerConfig,
    MixtureActor,
    Score,
    dagger,
    next_seed,
    require_seeds,
)
from understudy.learn.gates import BetaGate, SafeGate
from understudy.learn.supervised import LearnConfig
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.rollout import rollouts
from understudy.statistics import mean

TASK = ReachTask()
LEARNING = LearnConfig(steps=60, batch_size=64, learning_rate=3e-3)


class Laboratory:
    """Real stages, of a real task; each notes that it was asked, and one can be made to fail."""

    def __init__(self, folder, episodes=3):
        self.folder, self.log, self.fails = folder, [], None
        with Dataset.create(folder / "data", TASK.spec) as shown:
            for seed in range(2):
                world = TASK.build()
                shown.append(next(rollouts([world], Expert(), [seed])))
        self.config = DaggerConfig(rounds=2, episodes=episodes)

    def collect(self, number, checkpoint, seeds):
        self.log.append(("collect", number, list(seeds)))
        gate = BetaGate(share=0.3, hold=2)
        actor = MixtureActor(learner=PolicyActor(checkpoint=checkpoint), gate=gate)
        for count, episode in enumerate(Here(2).rollouts(TASK, actor, seeds)):
            if self.fails == ("collect", number) and count == 1:
                raise KeyboardInterrupt
            yield episode

    def train(self, number):
        folder = self.folder / f"policy-{number}"
        if not folder.exists():
            self.log.append(("train", number))
            if self.fails == ("train", number):
                raise KeyboardInterrupt
            with Dataset.open(self.folder / "data") as dataset:
                policy = clone(MlpConfig(width=32, depth=1, horizon=2), dataset, LEARNING)
            save_checkpoint(folder, "mlp", policy, {})
        return folder

    def evaluate(self, number, checkpoint):
        self.log.append(("evaluate", number))
        if self.fails == ("evaluate", number):
            raise KeyboardInterrupt
        played = Here(4).rollouts(TASK, PolicyActor(checkpoint=checkpoint), range(10_000, 10_008))
        return Score(None, mean([e.rewards.sum() for e in played]))

    def rounds(self, done=0):
        with Dataset.open(self.folder / "data") as dataset:
            yield from dagger(
                dataset,
                self.config,
                collect=self.collect,
                train=self.train,
                evaluate=self.evaluate,
                first_seed=2,
                done=done,
            )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    laboratory = Laboratory(tmp_path_factory.mktemp("unbroken"))
    return laboratory, list(laboratory.rounds())


def test_every_round_adds_to_one_dataset_and_is_measured(unbroken):
    laboratory, rounds = unbroken
    dataset = Dataset.open(laboratory.folder / "data")
    assert [r.episodes for r in rounds] == [2, 5, 8]
    assert [r.number for r in rounds] == [0, 1, 2]
    assert dataset.seeds == tuple(range(8))
    assert [s.partition(" ")[0] for s in dataset.sources] == ["expert"] * 2 + ["mixture"] * 6
    assert rounds[0].interventions is None
    assert 0 < rounds[1].interventions.value < 1
    assert rounds[2].ticks == int(dataset.lengths.sum())


def test_every_state_of_a_round_has_the_experts_label(unbroken):
    laboratory, _ = unbroken
    dataset = Dataset.open(laboratory.folder / "data")
    episode = dataset[4]
    state = episode.observations["observation.state"]
    expected = np.clip((state[:, 2:] - state[:, :2]) / 3, -0.1, 0.1)
    np.testing.assert_allclose(episode.labels, expected, atol=1e-6)
    same = (episode.actions == episode.labels).all(1)
    assert episode.intervention.tolist() == same.tolist()
    assert 0 < same.sum() < len(same)


def test_each_episode_counts_the_same_for_how_much_the_expert_acted(tmp_path):
    with Dataset.create(tmp_path / "data", COUNT_SPEC) as dataset:
        dataset.append(next(rollouts([CountWorld()], Expert(), [0])))
        mixed = Mixture(Expert(), Ramp(), BetaGate(share=0.5).build(COUNT_SPEC))
        *_, last = dagger(
            dataset,
            DaggerConfig(rounds=1, episodes=4),
            collect=lambda number, checkpoint, seeds: rollouts([CountWorld()], mixed, seeds),
            train=lambda number: tmp_path,
            evaluate=lambda number, checkpoint: Score(None, mean([0.0])),
            first_seed=1,
        )
        helped = [np.asarray(dataset[i].intervention) for i in range(1, 5)]
    assert [len(part) for part in helped] == [4, 5, 6, 3]
    assert last.interventions.value == pytest.approx(np.mean([part.mean() for part in helped]))
    assert last.interventions.value != pytest.approx(np.concatenate(helped).mean())
    assert last.interventions.n == 4


@pytest.mark.parametrize("stage", ["collect", "train", "evaluate"])
def test_an_interruption_in_any_stage_changes_neither_data_nor_policies(unbroken, tmp_path, stage):
    whole, rounds = unbroken
    laboratory = Laboratory(tmp_path)
    laboratory.fails = (stage, 1)
    with pytest.raises(KeyboardInterrupt):
        list(laboratory.rounds())
    laboratory.fails = None
    laboratory.log.clear()
    seen = list(laboratory.rounds(done=1))
    asked = [entry for entry in laboratory.log if entry[0] == "collect"]
    first = {"collect": [("collect", 1, [3, 4])]}.get(stage, [])
    assert asked == [*first, ("collect", 2, [5, 6, 7])]
    assert [r.number for r in seen] == [1, 2]
    assert [r.score for r in seen] == [r.score for r in rounds[1:]]
    ids = [Dataset.open(each.folder / "data").ids for each in (whole, laboratory)]
    assert ids[0] == ids[1]


def test_it_stops_when_the_target_is_met(unbroken, tmp_path):
    _, rounds = unbroken
    laboratory = Laboratory(tmp_path)
    laboratory.config = replace(laboratory.config, target_score=rounds[1].score.score.value)
    found = list(laboratory.rounds())
    met = [r.score.score.value >= rounds[1].score.score.value for r in rounds]
    assert len(found) == met.index(True) + 1
    assert [r.is_enough for r in found] == met[: len(found)]


def test_both_targets_must_be_met():
    config = DaggerConfig(target_success=0.9, target_score=-10.0)
    good, bad = mean([-5.0] * 5), mean([-20.0] * 5)
    assert config.is_met(Score(replace(good, value=0.95), good))
    assert not config.is_met(Score(replace(good, value=0.95), bad))
    assert not config.is_met(Score(replace(good, value=0.85), good))
    assert not config.is_met(Score(None, good))
    assert not DaggerConfig().is_met(Score(good, good))


def test_rounds_need_seeds_of_their_own():
    with pytest.raises(ValueError, match=r"seeds 9990 to 10009.*fewer episodes"):
        require_seeds(DaggerConfig(rounds=2, episodes=10), 9990)
    require_seeds(DaggerConfig(rounds=1, episodes=10), 9990)


def test_a_pool_mixes_as_this_process_does(unbroken):
    laboratory, _ = unbroken
    learner = PolicyActor(checkpoint=laboratory.folder / "policy-0")
    safe = SafeGate(discrepancy=0.02)
    spec = TASK.spec
    limited = replace(spec, action=replace(spec.action, low=(-0.1,) * 2, high=(0.1,) * 2))
    assert MixtureActor(learner=learner, gate=safe).build(limited).source.startswith("mixture of ")
    actor = MixtureActor(learner=learner, gate=BetaGate(share=0.4))
    here = [e.id for e in Here(3).rollouts(TASK, actor, range(20, 26))]
    pool = [e.id for e in Pool(1, 2).rollouts(TASK, actor, range(20, 26))]
    assert here == pool


def test_the_first_seed_of_a_round_follows_those_that_were_shown(unbroken):
    laboratory, _ = unbroken
    assert next_seed(Dataset.open(laboratory.folder / "data")) == 8
