"""Each fault is made on purpose and has to be found; what is right has to pass."""

from typing import get_args

import numpy as np
import pytest

from understudy.cli import main
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.physics.arms import ARMS, IIWA, PANDA, ArmName
from understudy.tasks.diagnosis import diagnose
from understudy.tasks.panda_trace import PandaTrace, solved


def pairs(count=60):
    angle = np.linspace(0, 5, count)
    points = np.stack([0.45 + 0 * angle, 0.1 * np.cos(angle), 0.4 + 0.1 * np.sin(angle)], 1)
    return points, solved(points)


def moved(joints, offset_m):
    places, turns = PANDA.flange_chain.forward(joints)
    return places + turns @ np.array(offset_m)


def test_what_is_right_has_no_faults():
    found = diagnose(*pairs(), PANDA)
    assert found.faults == ()
    assert found.notes == ()


def test_another_tool_frame_is_found_with_its_place():
    _, joints = pairs()
    [fault] = diagnose(moved(joints, [0.01, 0, 0.1066]), joints, PANDA).faults
    assert "another tool frame: 107.1 mm from the flange, at (10.0" in fault
    [fault] = diagnose(moved(joints, [0, 0, 0.1034]), joints, PANDA).faults
    assert fault.endswith("between the finger tips")


@pytest.mark.parametrize("shift", [1, 2, 6])
def test_shifted_columns_are_found_and_counted(shift):
    points, joints = pairs()
    found = diagnose(points, np.roll(joints, shift, 1), PANDA)
    assert found.shift == shift
    assert f"joint 1 seems to stand in column {shift + 1};" in found.faults[0]


def test_positions_that_belong_to_no_tool_are_called_so():
    points, joints = pairs()
    [fault] = diagnose(points[::-1].copy(), joints, PANDA).faults
    assert "are not those of the angles" in fault


def test_limits_are_counted_by_joint_and_by_row():
    points, joints = pairs(50)
    joints[10:20, 6] += 2 * np.pi  # where the flange is, and how it is turned, stays
    found = diagnose(points, joints, PANDA)
    assert found.outside_rows == pytest.approx(0.2)
    assert "20.0 % of rows exceed joint limits: joint 7 20.0 %" in found.faults


def test_hops_are_found_where_they_are_and_not_at_an_episodes_start():
    points, joints = pairs()
    joints[30:] = solved(points[30:], swung=True)
    found = diagnose(points, joints, PANDA)
    np.testing.assert_array_equal(found.hops, [29])
    assert "1 hops between branches, the first after row 29" in found.faults[0]
    assert diagnose(points, joints, PANDA, np.array([0, 30])).faults == ()


def test_neighbours_that_are_far_apart_may_turn_far():
    points, joints = pairs()
    far = [0, 20, 40, 59]
    assert np.abs(np.diff(joints[far], axis=0)).max() > 0.3
    assert diagnose(points[far], joints[far], PANDA).faults == ()


def test_a_jump_above_the_bound_is_found_between_points_of_usual_distance():
    for distance_m, turn_rad, hops in ((0.03, 0.29, 0), (0.03, 0.31, 1), (0.05, 0.34, 1)):
        points, joints = pairs()
        points[30:] = points[29] + distance_m * np.array([1, 0, 0]) + (points[30:] - points[30])
        joints[30:] = joints[29] + (joints[30:] - joints[30])
        joints[30:, 0] += turn_rad
        assert len(diagnose(points, joints, PANDA).hops) == hops


def test_repeated_rows_are_a_note():
    points, joints = pairs()
    twice = [np.repeat(part, [1] * 58 + [2, 3], 0) for part in (points, joints)]
    found = diagnose(*twice, PANDA)
    assert found.faults == ()
    assert found.notes == ("3 of 63 rows repeat an earlier one",)


def test_angles_of_another_arm_are_not_taken_for_this_ones():
    assert diagnose(*pairs(), IIWA).faults


def test_any_arm_of_ours_is_recognised_by_its_own_angles():
    assert {*ARMS} == {*get_args(ArmName)}
    for model in ARMS.values():
        joints = model.home_rad + np.linspace(0, 0.1, 60)[:, None]
        assert diagnose(model.flange_chain.forward(joints)[0], joints, model).faults == ()


def test_shapes_that_do_not_fit_are_refused():
    points, joints = pairs()
    with pytest.raises(ValueError, match=r"expected \(n, 3\) and \(n, 7\)"):
        diagnose(points, joints[:, :6], PANDA)
    with pytest.raises(ValueError, match="at least 4"):
        diagnose(points[:3], joints[:3], PANDA)


@pytest.mark.parametrize(("shows", "code"), [("clean", 0), ("mixed", 1), ("noisy", 1)])
def test_the_terminal_passes_good_demonstrations_and_fails_bad_ones(shows, code, tmp_path, capsys):
    task = PandaTrace(curve="circle", demonstrations=shows)
    with Dataset.create(tmp_path / "set", task.spec) as dataset:
        for episode in Here(worlds=1).rollouts(task, ExpertActor(), range(3)):
            dataset.append(episode)
    assert main(["data", "info", str(tmp_path / "set")]) == 0
    assert "continuity" not in capsys.readouterr().out
    assert main(["data", "info", str(tmp_path / "set"), "--arm", "panda"]) == code
    said = capsys.readouterr().out
    expected = {"clean": "continuity are right", "mixed": "hops between", "noisy": "not those of"}
    assert expected[shows] in said


def test_a_dataset_of_something_else_is_refused(tmp_path, capsys):
    from tests import demonstrations

    demonstrations.dataset(tmp_path / "set", demonstrations.CONTINUOUS)
    assert main(["data", "info", str(tmp_path / "set"), "--arm", "panda"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "the actions are 2 numbers, expected the 7 angles of a panda" in told
