import numpy as np
import pytest

from understudy.data.order import Order

COUNTS = np.array([20, 9, 31, 1, 14, 25])
EPISODE = np.repeat(np.arange(len(COUNTS)), COUNTS)


def order(**options):
    return Order(COUNTS, **({"batch_size": 10, "seed": 1} | options))


@pytest.mark.parametrize("block", [0, 1, 30, 1000])
def test_an_epoch_draws_each_window_once_and_epochs_differ(block):
    made = order(block=block)  # 100 windows: ten batches are an epoch
    first, second = made.draw(0, 10), made.draw(10, 10)
    assert sorted(first) == sorted(second) == list(range(100))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("block", [0, 30])
def test_a_step_draws_the_same_whatever_was_drawn_before_and_by_however_many(block):
    one, ranks = order(block=block), [order(block=block, batch_size=5, rank=r, world_size=2) for r in (0, 1)]  # fmt: skip
    forward = [one.draw(step) for step in range(25)]
    for step in reversed(range(25)):
        together = np.concatenate([rank.draw(step) for rank in ranks])
        assert together.tolist() == forward[step].tolist() == order(block=block).draw(step).tolist()
    assert order(block=block, seed=2).draw(0).tolist() != forward[0].tolist()


def test_the_windows_of_a_blocks_episodes_are_mixed_and_drawn_together():
    drawn = EPISODE[order(block=60).draw(0, 10)]
    spans = [np.ptp(np.flatnonzero(drawn == i)) for i in range(len(COUNTS))]
    assert max(spans) < 60 + COUNTS.max()
    assert np.count_nonzero(np.diff(drawn)) > 30


def test_around_names_the_episodes_of_the_block_of_now_and_of_the_next():
    made = order(block=30, batch_size=1)
    drawn = EPISODE[made.draw(0, 400)]
    step = 0
    while step < 200:
        now = [drawn[step]]
        while not _is_block(made, step, now):
            now.append(drawn[step + len(now)])
        for within in range(len(now)):
            named = made.around(step + within).tolist()
            assert set(now) == set(named[: len(set(now))])
        following = named[len(set(now)) :]
        step += len(now)
        ahead = drawn[step : step + COUNTS[following].sum()]
        assert set(following) == set(ahead.tolist())


def _is_block(made, step, now):
    """Whether the windows so far are all of the first episodes that are named."""
    named = made.around(step).tolist()[: len(set(now))]
    return set(named) == set(now) and len(now) == COUNTS[named].sum()


def test_a_rank_outside_its_world_is_refused():
    with pytest.raises(ValueError, match=r"rank 2 outside 0\.\.1"):
        order(rank=2, world_size=2)
