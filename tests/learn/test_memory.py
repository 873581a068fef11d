"""What a discriminator remembers: the newest rows, and nothing that never came."""

import torch

from understudy.learn.discriminator import Transitions
from understudy.learn.memory import Memory


def rows(*numbers):
    column = torch.tensor(numbers, dtype=torch.float32)
    wide = column[:, None].expand(-1, 2)
    return Transitions(wide, column[:, None], wide + 1, -column, torch.ones(len(numbers)))


def test_the_oldest_rows_give_way_to_the_newest():
    memory = Memory(4, state=2, action=1)
    assert memory.rows.weights.tolist() == [0.0] * 4
    memory.add(rows(1, 2, 3))
    assert sorted(memory.rows.likelihoods.tolist()) == [-3.0, -2.0, -1.0, 0.0]
    assert memory.rows.weights.sum() == 3
    memory.add(rows(4, 5))
    assert sorted(memory.rows.actions[:, 0].tolist()) == [2.0, 3.0, 4.0, 5.0]
    assert torch.equal(memory.rows.following, memory.rows.states + 1)


def test_of_more_rows_than_there_is_room_for_the_last_are_kept():
    memory = Memory(2, state=2, action=1)
    memory.add(rows(1, 2, 3, 4, 5))
    assert sorted(memory.rows.actions[:, 0].tolist()) == [4.0, 5.0]


def test_nothing_is_remembered_without_room():
    memory = Memory(0, state=2, action=1)
    memory.add(rows(1, 2))
    assert rows(7).beside(memory.rows).actions[:, 0].tolist() == [7.0]
