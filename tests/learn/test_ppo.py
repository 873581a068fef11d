"""PPO against slow and obvious versions of its parts, and on small worlds whose best play is known."""

from dataclasses import dataclass, replace
from typing import ClassVar

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.fleet.troubled import Troubled
from understudy.fleet import Here, Pool
from understudy.learn.advantage import advantages, discounted, gains_of
from understudy.learn.fresh import fresh
from understudy.learn.played import played
from understudy.learn.ppo import PpoConfig, clipped, improve
from understudy.learn.practice import FIRST_SEED, SEEDS, Practice
from understudy.learn.reward import Judged, OwnReward
from understudy.policies.gaussian import GaussianConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Samples
from understudy.rollout import rollouts
from understudy.spec import STATE, Signal, Spec
from understudy.tasks import make_task
from understudy.tasks.base import TaskConfig

torch.set_num_threads(1)


def test_sums_and_advantages_are_those_of_the_definition():
    draws = np.random.default_rng(0)
    rewards, values = draws.normal(size=(2, 30))
    last, discount, trace = 1.7, 0.9, 0.8
    worth = [*values, last]
    expected = []
    for tick in range(30):
        surprises = [rewards[k] + discount * worth[k + 1] - worth[k] for k in range(tick, 30)]
        expected.append(sum((discount * trace) ** i * d for i, d in enumerate(surprises)))
    np.testing.assert_allclose(advantages(rewards, values, last, discount, trace), expected)
    sums = [sum(discount**i * r for i, r in enumerate(rewards[t:])) for t in range(30)]
    np.testing.assert_allclose(discounted(rewards, discount), sums)


def test_with_a_trace_of_one_the_advantage_is_what_was_earned_more_than_expected():
    rewards, values = np.array([1.0, 2.0, 3.0]), np.array([5.0, 6.0, 7.0])
    earned = discounted(np.array([*rewards, 10.0]), 0.5)[:-1]
    np.testing.assert_allclose(advantages(rewards, values, 10.0, 0.5, 1.0), earned - values)


def test_the_clipped_surrogate_is_that_of_the_paper():
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(64, generator=generator)
    now = before + 0.4 * torch.randn(64, generator=generator)
    gains = torch.randn(64, generator=generator)
    normal = (gains - gains.mean()) / gains.std()
    total = 0.0
    for ratio, gain in zip((now - before).exp().tolist(), normal.tolist(), strict=True):
        total += min(ratio * gain, min(max(ratio, 0.8), 1.2) * gain)
    surrogate, moved = clipped(now, before, gains, 0.2)
    assert surrogate.item() == pytest.approx(-total / 64, abs=1e-5)
    assert moved.item() > 0
    assert clipped(before, before, gains, 0.2)[1].item() == 0


def test_an_action_that_became_likely_enough_is_pushed_no_further():
    before = torch.zeros(2)
    gains = torch.tensor([1.0, -1.0])
    now = torch.tensor([0.5, -0.5], requires_grad=True)  # ratios 1.65 and 0.61: beyond 1 +- 0.2
    clipped(now, before, gains, 0.2)[0].backward()
    assert now.grad.tolist() == [0.0, 0.0]
    back = torch.tensor([-0.5, 0.5], requires_grad=True)
    clipped(back, before, gains, 0.2)[0].backward()
    assert (back.grad != 0).all()


class Corridor(gymnasium.Env):
    """Shows how long it has been; ends by itself after `length` ticks, or by the clock, as told."""

    def __init__(self, terminates, length=4):
        self.signals = CORRIDOR
        self.terminates, self.length = terminates, length
        self.observation_space = spaces.Dict({STATE: spaces.Box(-9, 9, (1,), np.float32)})
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.ticks = 0
        return self._seen(), {}

    def step(self, action):
        self.ticks += 1
        over = self.ticks == self.length
        return self._seen(), 1.0, over and self.terminates, over and not self.terminates, {}

    def _seen(self):
        return {STATE: np.array([self.ticks], np.float32)}


CORRIDOR = Spec(
    observations={STATE: Signal((1,))}, action=Signal((1,), low=(-1.0,), high=(1.0,)), rate_hz=10.0
)


@dataclass(frozen=True, kw_only=True)
class CorridorTask(TaskConfig):
    has_expert: ClassVar[bool] = False
    terminates: bool
    length: int = 4

    @property
    def spec(self):
        return CORRIDOR

    def build(self, render_mode=None):
        return Corridor(self.terminates, self.length)


SMALL = GaussianConfig(width=8, depth=1, modes=1)


def test_episodes_lie_side_by_side_with_a_row_for_what_was_seen_last():
    policy = fresh(SMALL, CORRIDOR, seed=0)
    episodes = list(rollouts([Corridor(True), Corridor(False)], Samples(policy), range(3)))
    rows = played(episodes, CORRIDOR, history=2)
    assert rows.ticks == 12
    assert rows.ends.tolist() == [4, 9, 14]
    assert rows.rows.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13]
    seen = rows.batch.observations[STATE]  # (15, 2, 1)
    assert seen[:5, :, 0].tolist() == [[0, 0], [0, 1], [1, 2], [2, 3], [3, 4]]
    np.testing.assert_array_equal(rows.batch.actions[5:9, 0], episodes[1].actions)
    assert rows.rewards.tolist() == [1, 1, 1, 1, 0] * 3
    assert set(zip(rows.terminated.tolist(), rows.returns.tolist(), strict=True)) == {
        (True, 4.0),
        (False, 4.0),
    }


def test_an_episode_without_a_final_observation_gives_up_its_last_tick():
    policy = fresh(SMALL, CORRIDOR, seed=0)
    episode = next(rollouts([Corridor(True)], Samples(policy), [1]))
    rows = played([replace(episode, final_observation=None)], CORRIDOR, history=1)
    assert (rows.ticks, rows.ends.tolist()) == (3, [3])
    assert rows.batch.observations[STATE][:, 0, 0].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("terminates", [True, False])
def test_what_ran_out_of_time_is_worth_what_the_critic_expects_and_what_ended_what_it_is_told(
    terminates,
):
    policy = fresh(SMALL, CORRIDOR, seed=0)
    episodes = list(rollouts([Corridor(terminates)], Samples(policy), range(2)))
    rows = played(episodes, CORRIDOR, history=1)
    judged = Judged(rewards=torch.arange(8.0), after=torch.tensor([50.0, 70.0]))
    values = np.random.default_rng(0).normal(size=10)
    gains = gains_of(rows, judged, values, 0.9, 0.7)
    for episode, after in ((0, 50.0), (1, 70.0)):
        first, last = 5 * episode, after if terminates else values[5 * episode + 4]
        rewards = np.arange(8.0)[4 * episode : 4 * episode + 4]
        expected = advantages(rewards, values[first : first + 4], last, 0.9, 0.7)
        np.testing.assert_allclose(gains[4 * episode : 4 * episode + 4], expected)


def test_practice_starts_from_seeds_that_nothing_else_has_and_no_two_trainings_share_their_draws():
    policy = fresh(SMALL, CORRIDOR, seed=0)
    task = CorridorTask(terminates=True)
    with Here(3) as fleet:
        practice = Practice(policy, task, fleet, ticks=100, seed=0)
        first, second = practice.round(), practice.round()
        other = Practice(policy, task, fleet, ticks=100, seed=1).round()
    assert first.ticks >= 75
    assert not torch.equal(first.batch.actions[:5], second.batch.actions[:5])
    assert not torch.equal(first.batch.actions[:5], other.batch.actions[:5])
    assert min(FIRST_SEED, 100_000 - FIRST_SEED - SEEDS) >= 0
    assert FIRST_SEED >= 20_000


def test_it_learns_to_hold_a_pole_up_in_a_few_seconds():
    task = make_task("cart-pole")
    policy = fresh(MlpConfig(width=64, depth=2), task.spec, seed=0)
    config = PpoConfig(steps=20_000, learning_rate=3e-3, discount=0.98)
    reports = list(improve(policy, task, config, OwnReward()))
    assert reports[0].mean_return < 60
    assert max(report.mean_return for report in reports) > 250
    assert [r.step for r in reports] == sorted({r.step for r in reports})


def test_a_round_of_a_single_step_teaches_nothing_and_breaks_nothing():
    policy = fresh(SMALL, CORRIDOR, seed=0)
    task = CorridorTask(terminates=True, length=1)
    learning = improve(policy, task, PpoConfig(steps=5, steps_per_round=1), OwnReward())
    assert next(learning).step == 4
    before = {name: value.clone() for name, value in policy.named_parameters()}
    assert next(learning).step == 5
    assert all(torch.equal(value, before[name]) for name, value in policy.named_parameters())


def test_it_goes_on_from_a_report_to_the_same_bits():
    task = make_task("cart-pole")
    config = PpoConfig(steps=800, steps_per_round=150, epochs=2)
    whole = fresh(MlpConfig(width=8, depth=1), task.spec, seed=0)
    *_, end = improve(whole, task, config, OwnReward())
    begun = fresh(MlpConfig(width=8, depth=1), task.spec, seed=0)
    reports = improve(begun, task, config, OwnReward())
    half = [next(reports) for _ in range(2)][-1]
    kept = {name: value.clone() for name, value in half.state.tensors.items()}
    resumed = fresh(MlpConfig(width=8, depth=1), task.spec, seed=5)
    resumed.load_state_dict(begun.state_dict())
    state = replace(half.state, tensors=kept)
    *_, again = improve(resumed, task, config, OwnReward(), resume=state)
    assert half.step < end.step == again.step
    for name, value in end.state.tensors.items():
        assert torch.equal(value, again.state.tensors[name]), name
    assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in whole.state_dict().items())


def on_ray():
    from understudy.fleet.on_ray import OnRay

    return OnRay(2, 3)


@pytest.mark.parametrize(
    ("ground", "trouble"),
    [(lambda: Here(1), "raises"), (lambda: Pool(2, 3), "is killed"), (on_ray, "is killed")],
    ids=["here", "pool", "ray"],
)
def test_every_ground_learns_to_the_same_bits_whatever_happens_on_it(ground, trouble, tmp_path):
    config = PpoConfig(steps=600, steps_per_round=200, epochs=2)

    def learnt(task, fleet):
        policy = fresh(GaussianConfig(width=64, depth=2, modes=1), task.spec, seed=0)
        reports = list(improve(policy, task, config, OwnReward(), fleet=fleet))
        rows = [replace(report, steps_per_s=0.0, state=reports[-1].state) for report in reports]
        return rows, reports[-1].state.tensors

    rows, tensors = learnt(Troubled(), None)
    assert [row.episodes for row in rows] == [40, 80, 120]
    troubles = tuple((FIRST_SEED + number, trouble, 1) for number in (3, 90))
    there = learnt(Troubled(troubles=troubles, counted_in=str(tmp_path)), ground())
    assert len(list(tmp_path.iterdir())) > 2  # they did happen, and were played again
    assert [replace(row, state=rows[0].state) for row in there[0]] == rows
    assert all(torch.equal(value, there[1][name]) for name, value in tensors.items())


def test_an_episode_that_is_lost_ends_the_training_with_its_reason(tmp_path):
    task = Troubled(troubles=((FIRST_SEED + 3, "raises", 99),), counted_in=str(tmp_path))
    policy = fresh(SMALL, task.spec, seed=0)
    with pytest.raises(RuntimeError, match="seed 20003 failed 3 times: OSError: the motor"):
        next(improve(policy, task, PpoConfig(steps_per_round=200), OwnReward()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"discount": 1.0},
        {"trace": 1.1},
        {"clip": 0.0},
        {"entropy": -1.0},
        {"batch_size": 1},
    ],
)
def test_values_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PpoConfig(**wrong)


def test_a_policy_that_tells_tasks_apart_is_refused():
    policy = fresh(replace(SMALL, tasks=("pull", "push")), CORRIDOR, seed=0)
    with pytest.raises(ValueError, match="one task is tried at a time"):
        next(improve(policy, CorridorTask(terminates=True), PpoConfig(), OwnReward()))
