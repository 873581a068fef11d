"""What domain randomisation draws."""

import numpy as np
import pytest

from understudy.physics.arm import NOMINAL
from understudy.physics.randomise import SHIFTED, WIDE, WORLDS, Randomisation


def test_the_nominal_world_is_as_designed():
    assert WORLDS["nominal"].draw(7) == (NOMINAL, 0.0)


def test_draws_fill_their_ranges_and_do_not_leave_them():
    drawn = [WIDE.draw(seed)[0] for seed in range(400)]
    for name in ("mass", "friction", "damping", "gain", "latency_s", "light"):
        low, high = getattr(WIDE, name)
        values = np.array([getattr(conditions, name) for conditions in drawn])
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high >= values.max() > high - 0.1 * (high - low)
    assert {conditions.pattern for conditions in drawn} == {"plain", "checker", "grain"}
    shifts = np.array([conditions.camera_shift_m for conditions in drawn])
    ways = np.linalg.norm(shifts, axis=1)
    assert 0.98 * WIDE.camera_shift_m[1] < ways.max() <= WIDE.camera_shift_m[1]
    assert ways.min() < 0.02 * WIDE.camera_shift_m[1]
    assert np.abs(shifts.mean(0)).max() < 0.1 * WIDE.camera_shift_m[1]  # in all directions


def test_factors_are_as_often_halved_as_doubled():
    masses = [Randomisation(mass=(0.5, 2.0)).draw(seed)[0].mass for seed in range(1000)]
    assert 0.45 < np.mean(np.array(masses) < 1) < 0.55


def test_the_same_seeds_draw_the_same_and_others_do_not():
    assert WIDE.draw(3) == WIDE.draw(3)
    assert WIDE.draw(3) != WIDE.draw(4)
    assert Randomisation(mass=(0.5, 2)).draw(3) != Randomisation(mass=(0.5, 2), seed=1).draw(3)


def test_the_world_for_tests_is_always_the_same_but_for_where_the_camera_went():
    first, second = SHIFTED.draw(0)[0], SHIFTED.draw(1)[0]
    assert (first.mass, first.friction, first.latency_s) == (1.5, 0.6, 0.03)
    assert (second.mass, second.friction, second.latency_s) == (1.5, 0.6, 0.03)
    for conditions in (first, second):
        assert np.linalg.norm(conditions.camera_shift_m) == pytest.approx(0.02)
    assert first.camera_shift_m != second.camera_shift_m


@pytest.mark.parametrize(
    "change",
    [
        *({"mass": (2.0, 1.0)}, {"gain": (0.0, 1.0)}, {"noise_m": (-1, 0)}),
        *(
            {"camera_shift_m": (-0.01, 0)},
            {"camera_shift_m": (0, np.nan)},
            {"camera_turn_rad": -0.1},
        ),
        *({"camera_turn_rad": np.inf}, {"light_tilt": -0.5}, {"light_tilt": np.nan}),
    ],
)
def test_impossible_ranges_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Randomisation(**change)
