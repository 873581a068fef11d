from dataclasses import replace

import numpy as np
import pytest

from understudy.episode import Episode
from understudy.spec import Signal, Spec

SPEC = Spec(
    observations={"observation.state": Signal((2,))}, action=Signal((1,)), rate_hz=10.0, task="t"
)


def episode(ticks: int = 3, **changes) -> Episode:
    facts = {
        "observations": {"observation.state": np.arange(2.0 * ticks).reshape(ticks, 2)},
        "actions": np.arange(ticks, dtype=np.float32)[:, None],
        "rewards": np.zeros(ticks),
        "time_s": np.arange(ticks) / 10,
        "terminated": True,
        "truncated": False,
    }
    return Episode(**(facts | changes))


def test_check_returns_the_dtypes_of_the_spec():
    checked = episode().check(SPEC)
    assert checked.observations["observation.state"].dtype == np.float32
    assert checked.time_s.dtype == np.float64


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"actions": np.zeros((0, 1))}, "no ticks"),
        ({"observations": {}}, "lacks"),
        ({"observations": {"observation.state": np.zeros((2, 2))}}, "shape"),
        ({"actions": np.full((3, 1), np.nan)}, "finite"),
        ({"rewards": np.zeros(2)}, "rewards"),
        ({"rewards": np.array([0, np.inf, 0])}, "tick 1"),
        ({"time_s": np.array([0.0, 0.2, 0.2])}, "increase"),
        ({"executed": np.zeros((3, 2))}, "executed"),
        ({"labels": np.array([[0.0], [np.inf], [1.0]])}, "labels"),
    ],
)
def test_check_names_what_is_wrong(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        episode(**changes).check(SPEC)


def test_targets_are_the_labels_where_there_are_any():
    labels = np.array([[np.nan], [7.0], [np.nan]], np.float32)
    assert episode(labels=labels).check(SPEC).targets.tolist() == [[0.0], [7.0], [2.0]]


def test_the_id_depends_on_all_that_was_seen_and_done_and_not_on_thinking_time():
    first = episode().identified().id
    assert episode().identified().id == first
    assert replace(episode(), act_s=np.ones(3, np.float32)).identified().id == first
    assert episode(rewards=np.array([0.0, 0.0, 1.0])).identified().id != first
    assert replace(episode(), seed=1).identified().id != first
    assert replace(episode(), task="other").identified().id != first
