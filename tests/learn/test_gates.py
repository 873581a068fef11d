"""Who acts, and when: each gate on a real world, in real worlds."""

import numpy as np
import pytest
import torch

from tests.worlds import COUNT_SPEC, CountWorld
from understudy.actor import Decision, Expert, Mixture
from understudy.learn.gates import (
    BetaGate,
    EnsembleGate,
    PersonGate,
    SafeGate,
    Scale,
    beta,
)
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.rollout import rollouts
from understudy.spec import Signal, Spec


class Ramp:
    """Commands 0, 0.1, 0.2 ... by the tick."""

    source = "ramp"
    requests = ()

    def reset(self, slots, seeds):
        pass

    def act(self, observations, info):
        return Decision(info["tick"][:, None].astype(np.float32) / 10)

    def overruled(self, slots, command):
        pass


def interventions(gate, seeds, count=1):
    worlds = [CountWorld() for _ in range(count)]
    actor = Mixture(Expert(), Ramp(), gate.build(COUNT_SPEC))
    return [e.intervention.tolist() for e in rollouts(worlds, actor, seeds)]


def test_schedules_fall_from_the_demonstrations_to_the_learner():
    assert [beta("exponential", i) for i in (0, 1, 2)] == [1, 0.7, 0.7**2]
    assert [beta("linear", i, over=4) for i in range(6)] == [1, 0.75, 0.5, 0.25, 0, 0]
    assert [beta("zero", i) for i in range(3)] == [1, 0, 0]


def test_the_coin_is_the_slots_own():
    seeds = range(40)
    alone = [interventions(BetaGate(share=0.5), [seed])[0] for seed in seeds]
    assert interventions(BetaGate(share=0.5), seeds, 7) == alone
    share = np.mean(np.concatenate(alone))
    assert 0.35 < share < 0.65
    assert not any(map(any, interventions(BetaGate(share=0.0), seeds)))
    assert all(map(all, interventions(BetaGate(share=1.0), seeds)))


def test_a_draw_holds_for_as_long_as_it_shall():
    for one in interventions(BetaGate(share=0.5, hold=3), range(3, 40, 4)):  # of six ticks each
        assert one[:3] in ([True] * 3, [False] * 3)
        assert one[3:] in ([True] * 3, [False] * 3)


def test_a_safe_gate_lets_the_learner_act_near_the_expert():
    [one] = interventions(SafeGate(discrepancy=0.06), [3])  # the expert says 0.5, the range is 2
    assert one == [True, True, True, True, False, False]


def test_choices_differ_wholly_or_not_at_all():
    scale = Scale(Signal((1,), "int64", choices=3))
    assert scale.apart(np.array([[0], [2]]), np.array([[1], [2]])).tolist() == [1, 0]
    votes = np.array([[[0], [1]], [[0], [2]], [[1], [1]], [[0], [0]]])  # of four for two worlds
    assert scale.spread(votes).tolist() == [0.25, 0.5]


def test_a_gate_that_compares_needs_the_limits_of_the_action():
    spec = Spec({"observation.state": Signal((2,))}, Signal((1,)), rate_hz=10.0, task="x")
    with pytest.raises(ValueError, match="needs limits"):
        SafeGate().build(spec)


@pytest.fixture
def members(tmp_path):
    """Two policies that know one number and differ in it: 0.5 and 0.7."""
    found = []
    for number, value in enumerate((0.5, 0.7)):
        policy = MlpConfig(width=4, depth=1).build(COUNT_SPEC)
        state = {
            key: torch.full_like(tensor, float(key.endswith("scale")))
            for key, tensor in policy.state_dict().items()
        }
        state["head.last.bias"] += value
        policy.load_state_dict(state)
        found.append(save_checkpoint(tmp_path / str(number), "mlp", policy, {}))
    return tuple(found)


def test_doubt_calls_the_expert_where_learner_and_expert_agree(members):
    calm = EnsembleGate(members=members, discrepancy=1.0, doubt=0.06)
    doubting = EnsembleGate(members=members, discrepancy=1.0, doubt=0.04)  # spread: 0.1 / 2
    assert interventions(calm, [0]) == [[False] * 3]
    assert interventions(doubting, [0]) == [[True] * 3]


def test_doubt_needs_more_than_one_policy(members):
    with pytest.raises(ValueError, match="at least 2 policies"):
        EnsembleGate(members=members[:1]).build(COUNT_SPEC)


def test_a_persons_gate_asks_who_leads():
    with pytest.raises(ValueError, match="does not say when it takes over"):
        interventions(PersonGate(), [0])
