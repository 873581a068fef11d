"""What is known of a task from its worlds alone."""

import pytest

from understudy.tasks import make_task
from understudy.tasks.base import judges


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        ("cart-pole", True),
        ("mountain-car", True),
        ("kuka-sliders:trace=circle,seconds=1", True),  # which judges at the end alone
        ("pendulum", False),
        ("gym:CartPole-v1", False),
    ],
)
def test_a_world_is_asked_whether_it_judges(task, answer):
    assert judges(make_task(task)) is answer
