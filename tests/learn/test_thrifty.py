"""ThriftyDAgger: what risk learns, how often the thresholds call, and how long the expert stays."""

from dataclasses import replace

import numpy as np
import pytest

from tests.demonstrations import CAMERA
from tests.learn.test_gates import Ramp
from tests.worlds import COUNT_SPEC, CountWorld
from understudy.actor import Decision, Expert, Mixture
from understudy.data.store import Dataset
from understudy.learn.clone import clone
from understudy.learn.gates import BetaGate
from understudy.learn.supervised import LearnConfig
from understudy.learn.thrifty import Risk, calibrated, fit_risk, load_risk, save_risk
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.rollout import rollouts


class Constant:
    """Commands by the seed: the episodes of even seeds fail, as their sum stays below 1."""

    source = "constant"
    requests = ()

    def reset(self, slots, seeds):
        self.seeds = seeds

    def act(self, observations, info):
        return Decision(np.where(self.seeds % 2, 0.5, 0.1)[:, None].astype(np.float32))


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    with Dataset.create(tmp_path_factory.mktemp("thrifty") / "data", COUNT_SPEC) as dataset:
        for episode in rollouts([CountWorld()], Constant(), range(8)):
            dataset.append(episode)
    return dataset


@pytest.fixture(scope="module")
def risk(shown):
    return fit_risk(shown, range(8), COUNT_SPEC, 0)


def test_risk_is_high_where_episodes_failed(shown, risk):
    for i in range(8):
        episode = shown[i]
        found = risk.of(episode.observations, episode.actions)
        assert (found > 0.9).all() if i % 2 == 0 else (found < 0.1).all()


def test_risk_is_the_same_from_its_file(shown, risk, tmp_path):
    again = load_risk(save_risk(risk, tmp_path / "risk.safetensors"), COUNT_SPEC)
    episode = shown[1]
    np.testing.assert_array_equal(
        again.of(episode.observations, episode.actions),
        risk.of(episode.observations, episode.actions),
    )


def test_risk_needs_episodes_that_were_judged_and_vectors(tmp_path):
    with Dataset.create(tmp_path / "data", COUNT_SPEC) as dataset:
        episode = next(rollouts([CountWorld()], Expert(), [0]))
        dataset.append(replace(episode, success=None))
    with pytest.raises(ValueError, match="judged none"):
        fit_risk(dataset, [0], COUNT_SPEC, 0)
    with pytest.raises(ValueError, match="the world shows none"):
        Risk(CAMERA.only(["observation.images.front"]))


@pytest.fixture(scope="module")
def gate(shown, risk, tmp_path_factory):
    folder = tmp_path_factory.mktemp("members")
    members = []
    for seed in range(3):
        policy = clone(MlpConfig(width=8, depth=1), shown, LearnConfig(steps=30, seed=seed))
        members.append(save_checkpoint(folder / str(seed), "mlp", policy, {}))
    file = save_risk(risk, folder / "risk.safetensors")
    alone = Mixture(Expert(), Ramp(), BetaGate(share=0.0).build(COUNT_SPEC))
    pilot = list(rollouts([CountWorld()], alone, range(20, 60)))
    return calibrated(tuple(members), file, pilot, COUNT_SPEC, 0.3), pilot


def test_thresholds_call_as_often_as_is_wanted(gate):
    config, pilot = gate
    judge = config.build(COUNT_SPEC)
    calls = []
    for episode in pilot:
        judge.reset(np.array([True]), np.array([episode.seed]))
        for t in range(len(episode)):
            seen = {"observation.state": episode.observations["observation.state"][t : t + 1]}
            info = {"active": np.array([True]), "tick": np.array([t])}
            proposed = judge._members.propose(seen, info)
            novelty = judge._scale.spread(proposed)
            danger = judge._risk.of(seen, proposed[0])
            calls.append(novelty[0] > config.novel_above or danger[0] > config.risky_above)
    assert np.mean(calls) == pytest.approx(0.3, abs=0.05)


def test_an_expert_that_was_called_stays_until_the_learner_agrees(gate):
    config, _ = gate
    always = replace(config, novel_above=-1.0, agreed_below=0.06, safe_below=1.0)
    actor = Mixture(Expert(), Ramp(), always.build(COUNT_SPEC))
    [episode] = rollouts([CountWorld()], actor, [3])
    # called at once; from tick 4 the ramp is near enough to the expert's 0.5, and is called off; called again
    assert episode.intervention.tolist() == [True, True, True, True, False, True]
