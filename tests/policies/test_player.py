from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.worlds import COUNT_SPEC, CountWorld
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.player import Chunks, Ensemble
from understudy.rollout import rollouts
from understudy.spec import STATE


@dataclass(frozen=True, kw_only=True)
class EchoConfig(PolicyConfig):
    def build(self, spec):
        return Echo(self, spec, noise_shape=(1,))


class Echo(Policy):
    """Predicts 0, 0.1, 0.2 ... plus the newest sum and noise / 100; counts its calls."""

    calls = 0
    widths: tuple[int, ...] = ()

    def prepare(self, windows):
        pass

    def loss(self, batch):
        return {}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        self.calls += 1
        self.widths = (*self.widths, len(noise))
        self.seen = observations[STATE].clone()
        self.ticks = observations["tick"].clone()
        self.task = observations["task"].clone()
        ramp = torch.arange(self.config.horizon)[None, :, None] / 10
        return ramp + observations[STATE][:, -1:, 1:] + noise[:, None] / 100


def echo(history=1, horizon=4):
    return EchoConfig(history=history, horizon=horizon).build(COUNT_SPEC)


def play(actor, seeds, count=1):
    return list(rollouts([CountWorld() for _ in range(count)], actor, seeds))


@pytest.mark.parametrize(("execute", "calls"), [(1, 6), (2, 3), (4, 2)])
def test_the_network_is_asked_once_per_chunk(execute, calls):
    policy = echo()
    [episode] = play(Chunks(policy, execute), [3])  # six ticks
    assert len(episode) == 6
    assert policy.calls == calls  # the ceiling of 6 / execute


def test_a_chunk_is_played_in_order():
    policy = echo()
    [episode] = play(Chunks(policy, 4), [0])  # three ticks, one chunk
    steps = np.diff(episode.actions[:, 0])
    np.testing.assert_allclose(steps, 0.1, atol=1e-6)


def test_slots_that_need_no_chunk_cost_nothing_and_every_batch_has_the_same_width():
    policy = echo()
    play(Chunks(policy, 4, width=3), [3, 3 + 4, 3 + 8, 3 + 12], count=4)
    assert set(policy.widths) == {3}
    assert policy.calls == 4  # four slots in threes: two batches a chunk, two chunks


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_ensemble_asks_once_per_tick_and_batch(count):
    policy = echo()
    episodes = play(Ensemble(policy, width=2), [3, 3, 3], count)  # six ticks each
    batches = -(-count // 2)  # of two rows, for the worlds that run
    expected = {1: 18, 2: 6 + 6, 3: 6 * batches}[count]
    assert [len(episode) for episode in episodes] == [6, 6, 6]
    assert policy.calls == expected


@pytest.mark.parametrize(("execute", "count"), [(1, 2), (2, 2), (3, 2), (4, 2), (2, 4)])
def test_batched_worlds_of_unequal_length_ask_exactly_when_a_queue_is_empty(execute, count):
    policy, seeds = echo(), [0, 1, 2, 3]  # three to six ticks
    play(Chunks(policy, execute, width=1), seeds, count)
    assert policy.calls == sum(-(-(3 + seed) // execute) for seed in seeds)


def test_a_policy_that_tells_tasks_apart_is_told_the_task_of_its_world():
    config = EchoConfig(horizon=4, tasks=("clean", "count"))
    policy = Echo(config, COUNT_SPEC, noise_shape=(1,))
    play(Chunks(policy, width=2, task="count"), [3])
    assert policy.task.tolist() == [1, 1]
    with pytest.raises(ValueError, match="'cook'.*'clean', 'count'"):
        Chunks(policy, task="cook")


@pytest.mark.parametrize("make", [lambda p: Chunks(p, 2, width=2), lambda p: Ensemble(p, width=2)])
def test_noise_depends_on_the_seed_and_the_chunk_and_not_on_company(make):
    seeds = [5, 1, 8, 3, 2]
    alone = [play(make(echo()), [seed])[0].id for seed in seeds]
    assert [e.id for e in play(make(echo()), seeds, count=3)] == alone
    assert len(set(alone)) == len(seeds)


def test_the_history_begins_filled_with_the_first_observation_and_ends_with_the_newest():
    policy = echo(history=3, horizon=1)
    [episode] = play(Chunks(policy), [3])
    sums = np.asarray(episode.observations[STATE])[:, 1]
    np.testing.assert_array_equal(policy.seen[0, :, 1], sums[-3:])
    np.testing.assert_array_equal(policy.ticks[0], [3, 4, 5])
    first = echo(history=3, horizon=6)
    play(Chunks(first), [3])
    assert first.seen[0, :, 1].tolist() == [0, 0, 0]
    assert first.ticks[0].tolist() == [0, 0, 0]


def test_a_new_episode_forgets_the_one_before():
    policy = echo(history=3, horizon=1)
    together = play(Chunks(policy), [3, 4])
    assert together[1].id == play(Chunks(echo(history=3, horizon=1)), [4])[0].id


def test_the_ensemble_equals_the_formula_written_out():
    policy, decay = echo(horizon=3), 0.5
    [episode] = play(Ensemble(policy, decay), [1])  # four ticks
    sums = np.asarray(episode.observations[STATE])[:, 1]
    noise = [
        np.random.default_rng([1, call]).standard_normal(1, np.float32)[0] / 100
        for call in range(4)
    ]
    predicted = [[h / 10 + sums[t] + noise[t] for h in range(3)] for t in range(4)]
    for t in range(4):
        made_at = range(max(0, t - 2), t + 1)  # oldest first
        weights = np.exp(-decay * np.arange(len(made_at)))
        values = np.array([predicted[m][t - m] for m in made_at])
        expected = (weights * values).sum() / weights.sum()
        np.testing.assert_allclose(episode.actions[t, 0], expected, atol=1e-6)


def test_more_steps_than_the_horizon_cannot_be_executed():
    with pytest.raises(ValueError, match=r"1\.\.4"):
        Chunks(echo(), execute=5)


def test_choices_cannot_be_averaged():
    from dataclasses import replace

    from understudy.spec import Signal

    choices = replace(COUNT_SPEC, action=Signal((1,), "int64", choices=3))
    policy = EchoConfig().build(choices)
    with pytest.raises(ValueError, match="cannot be averaged"):
        Ensemble(policy)
