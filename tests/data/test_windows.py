from dataclasses import replace

import numpy as np
import pytest
import torch

from tests import demonstrations
from understudy.data.store import Dataset
from understudy.data.windows import TICK, Windows
from understudy.spec import ENVIRONMENT_STATE, STATE

LENGTHS = (20, 9, 31)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return demonstrations.dataset(
        tmp_path_factory.mktemp("windows") / "data", demonstrations.CONTINUOUS, LENGTHS
    )


def windows(dataset, **options):
    facts = {"history": 3, "horizon": 5, "batch_size": 8, "seed": 1}
    return Windows(dataset, **(facts | options))


def slowly(dataset, episodes, number, history, horizon):
    """One window, written down the obvious way."""
    for i in episodes:
        episode = dataset[i]
        if number < len(episode):
            break
        number -= len(episode)
    last = len(episode) - 1
    seen = [max(0, number + k) for k in range(1 - history, 1)]
    ahead = [number + h for h in range(horizon)]
    observations = {k: np.asarray(v)[seen] for k, v in episode.observations.items()}
    actions = episode.targets[[min(h, last) for h in ahead]]
    return observations | {TICK: np.array(seen)}, actions, [h <= last for h in ahead]


@pytest.mark.parametrize("episodes", [(0, 1, 2), (1,), (0, 2)])
def test_every_window_equals_the_obvious_one(dataset, episodes):
    made = windows(dataset, episodes=episodes)
    assert len(made) == sum(LENGTHS[i] for i in episodes)
    whole = made.gather(np.arange(len(made)))
    for number in range(len(made)):
        observations, actions, valid = slowly(dataset, episodes, number, 3, 5)
        for key, value in observations.items():
            np.testing.assert_array_equal(whole.observations[key][number], value)
        np.testing.assert_array_equal(whole.actions[number], actions)
        assert whole.valid[number].tolist() == valid


def test_a_batch_is_a_function_of_seed_and_step_alone(dataset):
    forward, backward = windows(dataset), windows(dataset)
    steps = list(range(30))
    one = {step: forward.batch(step).actions for step in steps}
    other = {step: backward.batch(step).actions for step in reversed(steps)}
    assert all(torch.equal(one[step], other[step]) for step in steps)
    assert not torch.equal(windows(dataset, seed=2).batch(0).actions, one[0])


@pytest.mark.parametrize("world_size", [2, 4])
def test_the_ranks_together_see_what_one_process_sees(dataset, world_size):
    alone = windows(dataset, batch_size=8)
    ranks = [
        windows(dataset, batch_size=8 // world_size, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    for step in range(20):
        shared = torch.cat([rank.batch(step).actions for rank in ranks])
        assert torch.equal(shared, alone.batch(step).actions)


def test_statistics_are_exact(dataset):
    made = windows(dataset, episodes=(0, 2))
    rows = np.concatenate([np.asarray(dataset[i].observations[STATE]) for i in (0, 2)])
    found = made.statistics(STATE)
    np.testing.assert_allclose(found.mean, rows.mean(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(found.std, rows.std(0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_array_equal(found.least, rows.min(0))
    np.testing.assert_array_equal(found.most, rows.max(0))


def test_labels_replace_actions_where_they_are_given(tmp_path):
    made = Dataset.create(tmp_path / "labelled", demonstrations.CONTINUOUS)
    episode = demonstrations.made_up(demonstrations.CONTINUOUS, 0, 4)
    labels = np.full((4, 2), np.nan, np.float32)
    labels[2] = [70, 80]
    made.append(replace(episode, labels=labels))
    targets = windows(made, horizon=1).gather(np.arange(4)).actions[:, 0]
    assert targets[2].tolist() == [70, 80]
    np.testing.assert_allclose(targets[[0, 1, 3]], episode.actions[[0, 1, 3]], rtol=1e-6)


def test_a_spec_with_fewer_observations_leaves_out_the_rest(dataset):
    made = windows(dataset, spec=dataset.spec.only([STATE]))
    assert ENVIRONMENT_STATE not in made.batch(0).observations


def test_episodes_of_several_tasks_are_numbered_by_task(tmp_path):
    made = Dataset.create(tmp_path / "tasks", demonstrations.CONTINUOUS)
    for seed, task in enumerate(["stack", "push", "stack"]):
        episode = demonstrations.made_up(demonstrations.CONTINUOUS, seed, 2)
        made.append(replace(episode, task=task))
    numbered = windows(made)
    assert numbered.tasks == ("push", "stack")
    assert numbered.gather(np.arange(6)).observations["task"].tolist() == [1, 1, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"history": 0}, "history"),
        ({"batch_size": 0}, "batch_size"),
        ({"rank": 2, "world_size": 2}, "rank"),
        ({"episodes": []}, "nothing to learn from"),
        ({"episodes": [1, 1]}, "must differ"),
        ({"episodes": [3]}, r"lie in 0\.\.2"),
        ({"episodes": np.array([True, False, True])}, "bool"),
    ],
)
def test_windows_that_make_no_sense_are_refused(dataset, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        windows(dataset, **options)


def test_an_empty_dataset_is_refused_with_what_to_do(tmp_path):
    empty = Dataset.create(tmp_path / "empty", demonstrations.CONTINUOUS)
    with pytest.raises(ValueError, match="collect or import"):
        windows(empty)


def test_a_chunk_may_begin_before_the_current_tick(dataset):
    plain, early = windows(dataset), windows(dataset, first_action=-2, horizon=7)
    before, after = (w.gather(np.arange(len(w))) for w in (plain, early))
    assert torch.equal(after.actions[:, 2:], before.actions)
    assert torch.equal(after.valid[:, 2:], before.valid)
    tick = after.observations[TICK][:, -1]
    assert torch.equal(after.valid[:, 0], tick >= 2)
    started = tick >= 2
    earlier = torch.arange(len(plain))[started] - 2
    assert torch.equal(after.actions[started, 0], before.actions[earlier, 0])
    assert torch.equal(after.actions[tick == 0][:, 0], before.actions[tick == 0][:, 0])


def test_the_last_action_of_an_episode_may_be_held(dataset):
    left_out, held = windows(dataset), windows(dataset, past_end="held")
    before, after = (w.gather(np.arange(len(w))) for w in (left_out, held))
    assert not before.valid.all()
    assert after.valid.all()
    assert torch.equal(after.actions, before.actions)
    last = after.actions[19]  # the first episode's last tick
    assert torch.equal(last, last[:1].expand_as(last))


def corrected(tmp_path, played_otherwise, taught=None, **options):
    """Windows of one episode of eight ticks whose labels are 0..7, the command another at some."""
    episode = demonstrations.made_up(demonstrations.CONTINUOUS, 0, 8)
    labels = np.repeat(np.arange(8.0)[:, None], 2, 1)
    actions = labels.copy()
    actions[played_otherwise] += 0.5
    made = Dataset.create(tmp_path / "data", demonstrations.CONTINUOUS)
    made.append(replace(episode, actions=actions, labels=labels))
    return windows(made, history=2, horizon=4, taught=taught, **options)


def test_a_chunk_is_learnt_up_to_where_something_else_was_played(tmp_path):
    made = corrected(tmp_path, [2, 5])
    whole = made.gather(np.arange(8))
    np.testing.assert_array_equal(whole.actions[:, 0, 0], np.arange(8))
    assert whole.valid.sum(1).tolist() == [3, 2, 1, 3, 2, 1, 2, 1]
    assert whole.valid[:, 0].all()


def test_a_held_end_is_learnt_where_the_chunk_leads_to_it(tmp_path):
    made = corrected(tmp_path, [5], past_end="held")
    assert made.gather(np.arange(8)).valid.sum(1).tolist() == [4, 4, 4, 3, 2, 1, 4, 4]


def test_steps_before_the_current_tick_are_learnt_whatever_was_played(tmp_path):
    made = corrected(tmp_path, [2], first_action=-1)
    assert made.gather(np.array([3])).valid.tolist() == [[True] * 4]


def test_ticks_that_are_not_taught_are_no_samples_and_no_steps(tmp_path):
    taught = np.array([0, 1, 1, 0, 0, 1, 1, 1], np.bool_)
    made = corrected(tmp_path, [], taught, batch_size=5)
    assert len(made) == 5
    assert sorted(made.batch(0).actions[:, 0, 0].tolist()) == [1, 2, 5, 6, 7]
    whole = made.gather(np.arange(5))
    assert whole.valid.sum(1).tolist() == [2, 2, 3, 2, 1]
    assert whole.observations[TICK].tolist() == [[0, 1], [1, 2], [4, 5], [5, 6], [6, 7]]


def test_nothing_that_is_taught_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no tick of the episodes is taught"):
        corrected(tmp_path, [], np.zeros(8, np.bool_))
