"""What travels of an actor: enough to be built anew, wherever that is."""

import pickle

import pytest
import torch

from tests.fleet.troubled import Troubled
from understudy.fleet import LearningActor
from understudy.learn.fresh import fresh
from understudy.policies.gaussian import GaussianConfig
from understudy.policies.lstm import LstmConfig
from understudy.policies.player import Samples
from understudy.rollout import rollouts
from understudy.tasks import make_task

TASK = Troubled()
CONFIGS = [GaussianConfig(width=16, depth=1, modes=1), LstmConfig(width=8, history=3)]


def played(actor):
    worlds = [TASK.build() for _ in range(2)]
    return [episode.id for episode in rollouts(worlds, actor, range(3))]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_policy_that_is_sent_draws_what_it_would_have_drawn_when_it_was_taken_down(config):
    policy = fresh(config, TASK.spec, seed=0)
    taken = LearningActor.of(policy, stream=3)
    before = played(Samples(policy, 16, stream=3))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.5)
    sent = pickle.loads(pickle.dumps(taken))
    assert played(sent.build(TASK.spec)) == before
    assert played(LearningActor.of(policy, stream=3).build(TASK.spec)) != before
    assert played(LearningActor.of(policy, stream=4).build(TASK.spec)) != before


def test_what_this_process_draws_does_not_depend_on_who_is_built_in_it():
    taken = LearningActor.of(fresh(CONFIGS[0], TASK.spec, seed=0), stream=0)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    taken.build(TASK.spec)
    assert torch.equal(torch.rand(3), expected)


def test_a_policy_for_other_worlds_is_refused():
    taken = LearningActor.of(fresh(CONFIGS[0], TASK.spec, seed=0), stream=0)
    with pytest.raises(ValueError, match="do not fit together"):
        taken.build(make_task("cart-pole").spec)
