import numpy as np
import pytest

from understudy.rows import PICTURES, ROOM, Pictures, Rows


def written(rows: Rows, ticks: int, slots=(0, 2)) -> None:
    chosen = np.array(slots)
    for tick in range(ticks):
        rows.write("state", chosen, np.arange(6.0).reshape(3, 2) + 10 * tick)
        rows.advance(chosen)


@pytest.mark.parametrize("ticks", [1, ROOM, ROOM + 1, 3 * ROOM])
def test_every_tick_is_read_back_however_many_there_are(ticks):
    rows = Rows(3)
    written(rows, ticks)
    assert rows.ticks.tolist() == [ticks, 0, ticks]
    expected = np.array([4.0, 5.0]) + 10 * np.arange(ticks)[:, None]
    np.testing.assert_array_equal(rows.read("state", 2), expected)
    assert rows.read("state", 1).shape == (0, 2)


def test_slots_are_at_ticks_of_their_own_and_clearing_one_leaves_the_others():
    rows = Rows(3)
    written(rows, 2)
    written(rows, 1, slots=(1, 2))
    rows.clear(0)
    assert rows.ticks.tolist() == [0, 1, 3]
    assert rows.read("state", 1).tolist() == [[2, 3]]
    assert rows.read("state", 2).tolist() == [[4, 5], [14, 15], [4, 5]]


def test_what_was_read_does_not_change_with_what_follows():
    rows = Rows(3)
    written(rows, 2)
    read = rows.read("state", 0)
    rows.clear(0)
    written(rows, 2, slots=(0,))
    assert read.tolist() == [[0, 1], [10, 11]]


def test_ticks_without_a_value_are_filled_and_never_one_from_an_earlier_episode():
    rows, slots = Rows(2), np.array([0, 1])
    assert rows.read_some("label", 0, np.nan) is None
    rows.write_some("label", slots, np.array([[1], [2]]))
    rows.advance(slots)
    assert rows.read_some("label", 1, np.nan).tolist() == [[2]]
    assert rows.read_some("label", 1, np.nan).dtype.kind == "i"
    rows.write_some("label", slots, None)
    rows.advance(slots)
    np.testing.assert_array_equal(rows.read_some("label", 1, np.nan), [[2], [np.nan]])
    rows.clear(1)
    rows.advance(slots)
    assert rows.read_some("label", 1, np.nan) is None
    rows.write_some("label", slots, np.array([[0.5], [1.5]]))
    rows.advance(slots)
    np.testing.assert_array_equal(rows.read_some("label", 0, np.nan), [[1], [np.nan], [np.nan], [0.5]])  # fmt: skip


@pytest.mark.parametrize("count", [1, PICTURES, PICTURES + 1, 3 * PICTURES])
def test_pictures_are_returned_as_they_were_when_they_came(count):
    now = np.zeros((4, 5, 3), np.uint8)
    pictures = None
    for number in range(count):
        now[:] = number
        if pictures is None:
            pictures = Pictures(now)
        else:
            pictures.add(now)
    kept = pictures.all()
    assert kept.shape == (count, 4, 5, 3)
    np.testing.assert_array_equal(kept[:, 0, 0, 0], np.arange(count))
    pictures.add(now)
    assert len(kept) == count
