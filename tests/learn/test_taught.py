"""Of what a mixture played only what its expert said is learnt."""

import numpy as np

from tests.learn.test_gates import Ramp
from tests.worlds import COUNT_SPEC, CountWorld
from understudy.actor import Decision, Expert, Mixture
from understudy.data.store import Dataset
from understudy.learn.clone import windows_of
from understudy.learn.gates import BetaGate, PersonGate
from understudy.learn.taught import taught
from understudy.policies.mlp import MlpConfig
from understudy.rollout import rollouts


class Person:
    """Leads at the ticks given, and labels those alone."""

    source = "person"
    requests = ()

    def __init__(self, *ticks):
        self.ticks = ticks

    def reset(self, slots, seeds):
        pass

    def act(self, observations, info):
        leads = np.isin(info["tick"], self.ticks)
        command = np.full((len(leads), 1), 0.25, np.float32)
        return Decision(command, np.where(leads[:, None], command, np.nan), leads)

    def overruled(self, slots, command):
        pass


def helped(folder, leads=(1, 2)):
    """An episode of the expert, and one that a person helped a learner in, at the ticks that they lead."""
    dataset = Dataset.create(folder, COUNT_SPEC)
    dataset.append(next(rollouts([CountWorld()], Expert(), [0])))
    mixed = Mixture(Person(*leads), Ramp(), PersonGate().build(COUNT_SPEC))
    dataset.append(next(rollouts([CountWorld()], mixed, [3])))
    return dataset


def test_windows_hold_nothing_that_nobody_labelled(tmp_path):
    windows = windows_of(MlpConfig(), helped(tmp_path / "data"))
    learnt = windows.gather(np.arange(len(windows)))
    assert learnt.actions[:, 0, 0].tolist() == [0.5] * 3 + [0.25] * 2


def test_what_nobody_labelled_is_not_learnt_from(tmp_path):
    with Dataset.create(tmp_path / "data", COUNT_SPEC) as dataset:
        dataset.append(next(rollouts([CountWorld()], Expert(), [0])))
        assert taught(dataset, "labels") is None
        mixed = Mixture(Person(1, 2), Ramp(), PersonGate().build(COUNT_SPEC))
        dataset.append(next(rollouts([CountWorld()], mixed, [3])))
        corrected = Mixture(Expert(), Ramp(), BetaGate(share=0.5).build(COUNT_SPEC))
        dataset.append(next(rollouts([CountWorld()], corrected, [7])))
        helped = dataset[2].intervention.tolist()
        assert set(helped) == {True, False}
        person = [False, True, True, False, False, False]
        assert taught(dataset, "labels").tolist() == [True] * 3 + person + [True] * 6
        assert taught(dataset, "corrections").tolist() == [True] * 3 + person + helped
