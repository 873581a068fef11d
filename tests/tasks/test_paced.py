"""Real time: a world keeps to its rate, with a clock of the test's own."""

import pytest

from understudy.tasks import make_task
from understudy.tasks.paced import Paced


class Clock:
    """Time that passes when it is slept, or when the test says so."""

    def __init__(self):
        self.time_s = 100.0

    def now(self):
        return self.time_s

    def sleep(self, duration_s):
        assert duration_s > 0
        self.time_s += duration_s


@pytest.fixture
def paced():
    clock = Clock()
    world = Paced(make_task("mountain-car").build(), clock.now, clock.sleep)
    world.reset(seed=0)
    return world, clock


def test_a_step_returns_when_its_tick_is_over(paced):
    world, clock = paced
    for tick in range(1, 31):
        world.step([1])
        assert clock.time_s == pytest.approx(100 + tick / 30)
    assert world.late == 0


def test_thinking_takes_its_time_from_the_tick(paced):
    world, clock = paced
    world.step([1])
    clock.time_s += 0.02
    world.step([1])
    assert clock.time_s == pytest.approx(100 + 2 / 30)


def test_a_late_step_is_counted_and_does_not_hurry_the_next(paced):
    world, clock = paced
    world.step([1])
    clock.time_s += 1.0
    world.step([1])
    late_s = clock.time_s
    world.step([1])
    assert world.late == 1
    assert clock.time_s == pytest.approx(late_s + 1 / 30)


def test_waiting_before_the_first_step_is_not_late(paced):
    world, clock = paced
    clock.time_s += 10
    world.step([1])
    assert world.late == 0
    assert clock.time_s == pytest.approx(110 + 1 / 30)
