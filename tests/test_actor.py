"""A mixture of an expert and a learner: who acts, what is labelled, and what follows from it."""

import numpy as np
import pytest

from tests.worlds import CountWorld
from understudy.actor import Decision, Expert, Mixture
from understudy.rollout import rollouts


class Learner:
    """Commands a hundredth of how often it was asked since it was last overruled."""

    source = "learner"
    requests = ()

    def reset(self, slots, seeds):
        self.asked = getattr(self, "asked", np.zeros(len(slots)))
        self.asked[slots] = 0

    def act(self, observations, info):
        self.asked += 1
        return Decision(self.asked[:, None].astype(np.float32) / 100)

    def overruled(self, slots, command):
        self.asked[slots] = 0


class At:
    """Calls the expert at the ticks given."""

    def __init__(self, *ticks):
        self.ticks = ticks

    def reset(self, slots, seeds):
        pass

    def expert_acts(self, observations, info, expert, learner):
        return np.isin(info["tick"], self.ticks)


def play(gate, seeds=(3,), count=1):
    worlds = [CountWorld() for _ in range(count)]
    return list(rollouts(worlds, Mixture(Expert(), Learner(), gate), seeds))


def test_who_acts_commands_and_every_state_has_the_experts_label():
    [episode] = play(At(1, 2))
    np.testing.assert_allclose(episode.actions[:, 0], [0.01, 0.5, 0.5, 0.01, 0.02, 0.03])
    assert episode.labels[:, 0].tolist() == [0.5] * 6
    assert episode.intervention.tolist() == [False, True, True, False, False, False]
    assert episode.source == "mixture of expert, learner"


def test_a_learner_that_was_overruled_plans_anew_at_once():
    [episode] = play(At(1))
    assert episode.actions[2, 0] == np.float32(0.01)


@pytest.mark.parametrize("count", [1, 3])
def test_a_mixed_episode_does_not_depend_on_its_neighbours(count):
    alone = [play(At(0, 2), [seed])[0].id for seed in range(5)]
    assert [e.id for e in play(At(0, 2), range(5), count)] == alone
