"""Held-out episodes: whole, stratified, and the same for ever."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.data.split import split

IDS = [f"id{n}" for n in range(40)]
TASKS = ["push"] * 30 + ["pull"] * 10


def test_the_same_share_of_each_task_is_held_out():
    train, held = split(IDS, TASKS, 0.2, seed=0)
    assert [TASKS[i] for i in held].count("push") == 6
    assert [TASKS[i] for i in held].count("pull") == 2
    assert sorted([*train, *held]) == list(range(40))


def test_a_split_depends_on_ids_tasks_and_seed_only():
    order = np.random.default_rng(0).permutation(40)
    shuffled = split([IDS[i] for i in order], [TASKS[i] for i in order], 0.2, seed=0)
    assert {int(order[i]) for i in shuffled[1]} == set(split(IDS, TASKS, 0.2, seed=0)[1].tolist())
    drawn = {tuple(split(IDS, TASKS, 0.2, seed=seed)[1]) for seed in range(20)}
    assert len(drawn) > 15


def test_every_episode_is_held_out_about_as_often():
    counts = np.zeros(40)
    for seed in range(2000):
        counts[split(IDS, TASKS, 0.2, seed)[1]] += 1
    assert np.abs(counts / 2000 - 0.2).max() < 0.05


def test_tasks_of_one_episode_each_are_held_out_by_the_largest_remainder():
    train, held = split(IDS[:10], [f"task {n}" for n in range(10)], 0.2, seed=3)
    assert (len(train), len(held)) == (8, 2)


def test_an_added_episode_moves_few_others():
    before = {IDS[i] for i in split(IDS, TASKS, 0.2, seed=0)[1]}
    after = split([*IDS, "new"], [*TASKS, "push"], 0.2, seed=0)[1]
    assert len(before - {[*IDS, "new"][i] for i in after}) <= 1


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        split(IDS, TASKS, share, seed=0)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abc")), max_size=30),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_a_split_is_a_partition_and_copies_stay_together(episodes, share, seed):
    ids, tasks = [str(n) for n, _ in episodes], [task for _, task in episodes]
    train, held = split(ids, tasks, share, seed)
    assert sorted([*train, *held]) == list(range(len(ids)))
    assert not {ids[i] for i in train} & {ids[i] for i in held}
    if 0 < share < 1 and len(set(ids)) > 1:
        assert len(train)
        assert len(held)
