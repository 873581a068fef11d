"""The survey of a dataset finds what is planted in it, and nothing in what is clean."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from understudy.data.survey import jerkiness, survey
from understudy.spec import ACTION, STATE, Signal, Spec

LENGTHS = (120, 80, 100)


@dataclass
class Numbers:
    """Smooth motion in two state dimensions and one action, over three episodes."""

    excluded: tuple[int, ...] = ()
    columns: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        time_s = np.concatenate([np.arange(n) for n in LENGTHS]) / 10
        state = np.stack([np.sin(time_s), 2 + np.cos(1.3 * time_s)], -1)
        self.columns = {STATE: state, ACTION: np.sin(time_s + 0.2)[:, None]}

    @property
    def spec(self) -> Spec:
        return Spec({STATE: Signal((2,), "float64", "m", ("x", "y"))}, Signal((1,), "float64"), 10)

    @property
    def lengths(self) -> np.ndarray:
        return np.array(LENGTHS)

    @property
    def selected(self) -> np.ndarray:
        return np.array([i for i in range(3) if i not in self.excluded], np.int64)

    def column(self, key: str) -> np.ndarray:
        return self.columns[key]


def test_smooth_motion_is_not_odd_and_its_numbers_are_right():
    dataset = Numbers()
    (state, action), odd = survey(dataset)
    assert odd == []
    assert (state.key, action.key) == (STATE, ACTION)
    x = dataset.columns[STATE][:, 0]
    assert [d.name for d in state.dimensions] == ["x", "y"]
    found = state.dimensions[0]
    assert (found.least, found.most) == (x.min(), x.max())
    assert (found.mean, found.std) == pytest.approx((x.mean(), x.std()))
    assert max(found.bars) == 1
    assert not found.is_constant
    assert action.dimensions[0].name == "0"


def test_what_never_changes_is_constant_and_still():
    dataset = Numbers()
    dataset.columns[STATE][:, 1] = 5.0
    (state, _), odd = survey(dataset)
    assert state.dimensions[1].is_constant
    assert state.dimensions[1].still == 1
    assert odd == []


def test_a_pause_counts_as_still_by_its_share_of_ticks():
    dataset = Numbers()
    dataset.columns[ACTION][0:61] = dataset.columns[ACTION][0]
    (_, action), _ = survey(dataset)
    assert action.still == pytest.approx(60 / (300 - 3), abs=0.03)


def test_the_step_from_one_episode_to_the_next_is_no_jump():
    dataset = Numbers()
    dataset.columns[STATE][120:200, 0] += 100  # the second episode lies elsewhere
    assert [o for o in survey(dataset)[1] if o.kind == "jump"] == []


def test_a_planted_jump_is_found_where_it_is():
    dataset = Numbers()
    dataset.columns[STATE][120 + 33 :, 1] += 4.0
    jumps = [o for o in survey(dataset)[1] if o.kind == "jump"]
    assert [(o.key, o.name, o.unit, o.episode, o.tick) for o in jumps] == [(STATE, "y", "m", 1, 33)]
    assert jumps[0].value - jumps[0].before == pytest.approx(4.0, abs=0.2)
    assert jumps[0].ratio > 20


def test_a_gripper_that_opens_and_closes_does_not_jump():
    dataset = Numbers()
    dataset.columns[STATE][:, 1] = np.arange(300) // 10 % 2
    assert survey(dataset)[1] == []


def test_a_planted_spike_is_a_far_value():
    dataset = Numbers()
    dataset.columns[ACTION][205] = 9.0
    far = [o for o in survey(dataset)[1] if o.kind == "far value"]
    assert [(o.key, o.episode, o.tick, o.value) for o in far] == [(ACTION, 2, 5, 9.0)]


def test_excluded_episodes_do_not_count():
    dataset = Numbers(excluded=(1,))
    dataset.columns[STATE][150, 1] = 99.0
    (state, _), odd = survey(dataset)
    assert state.dimensions[1].most < 4
    assert odd == []
    dataset.columns[STATE][205, 1] = 99.0
    assert {(o.episode, o.tick) for o in survey(dataset)[1]} >= {(2, 5)}


def test_values_that_are_missing_are_counted():
    dataset = Numbers()
    dataset.columns[STATE][7:9, 0] = np.nan
    dataset.columns[ACTION][:] = np.nan
    (state, action), odd = survey(dataset)
    assert state.dimensions[0].missing == 2
    assert action.dimensions[0].missing == 300
    assert odd == []


def test_the_jerkiest_episode_is_the_one_that_shakes():
    dataset = Numbers()
    dataset.columns[ACTION][120:200:2] += 0.2
    assert jerkiness(dataset).argmax() == 1
