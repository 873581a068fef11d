import threading
import time
from contextlib import closing

import pytest

from tests import demonstrations
from understudy.learn.ahead import Ahead
from understudy.learn.clone import windows_of
from understudy.policies.mlp import MlpConfig


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ahead") / "data"
    return demonstrations.dataset(folder, demonstrations.CAMERA, (9, 12))


class Watched:
    """Windows that note which batches were gathered, and can fail."""

    def __init__(self, real, fails_at=None):
        self.real, self.spec, self.fails_at = real, real.spec, fails_at
        self.gathered = []

    def batch(self, step):
        if step == self.fails_at:
            raise OSError("the disk is gone")
        self.gathered.append(step)
        return self.real.batch(step)


def windows(dataset, **options):
    return Watched(windows_of(MlpConfig(), dataset, batch_size=4, **options))


def test_the_batches_are_the_same_and_the_next_one_is_there_before_it_is_asked_for(dataset):
    made = windows(dataset)
    with closing(Ahead(made, 6)) as ahead:
        for step in range(2, 6):
            batch = ahead.take(step)
            expected = made.real.batch(step)
            assert batch.actions.equal(expected.actions)
            for _ in range(500):
                if made.gathered[-1] == min(step + 1, 5):
                    break
                time.sleep(0.01)
            assert made.gathered == list(range(2, min(step + 2, 6)))


def test_vectors_alone_are_gathered_without_a_thread(dataset):
    made = windows(dataset, inputs=("observation.state",))
    before = threading.active_count()
    with closing(Ahead(made, 6)) as ahead:
        ahead.take(0)
        assert made.gathered == [0]
        assert threading.active_count() == before


def test_what_fails_while_gathering_is_raised_where_the_batch_is_taken(dataset):
    made = windows(dataset)
    made.fails_at = 1
    before = threading.active_count()
    with closing(Ahead(made, 6)) as ahead:
        ahead.take(0)
        with pytest.raises(OSError, match="the disk is gone"):
            ahead.take(1)
    assert threading.active_count() == before
