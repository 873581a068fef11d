"""Curves drawn by hand, and what becomes of them."""

import json

import numpy as np
import pytest

from understudy.cli import main
from understudy.collect.pen import COLUMNS, HIGH, LOW, ROWS, Pen
from understudy.collect.source import Event, Script, Stopped
from understudy.data.store import Dataset
from understudy.spec import ENVIRONMENT_STATE
from understudy.tasks.base import Canvas

CANVAS = Canvas(low_m=(0.3, -0.3, 0.2), high_m=(0.6, 0.3, 0.6))
# From the middle of the picture a quarter of it to the right: y falls.
LINE = [
    ["slide", "pen x", 0.5], ["slide", "pen y", 0.5], ["down", "pen"], ["slide", "pen x", 0.75],
    ["slide", "pen y", 0.5], ["up", "pen"],
]  # fmt: skip


def drawn(*moments, undo=None):
    """What a script of [what, name, value] for each moment draws."""
    events = [(n, Event(*event)) for n, moment in enumerate(moments) for event in moment]
    source = Script([*events, (99, Event("quit"))])
    return Pen(CANVAS, source, undo).draw(), source


def test_a_line_is_drawn_where_the_mouse_was_held_at_the_middle_height():
    points, _ = drawn(LINE, [["slide", "pen x", 0.1]], [["down", "q"]])
    np.testing.assert_allclose(points[0], [0.45, 0.0, 0.4])
    np.testing.assert_allclose(points[-1, [0, 2]], [0.45, 0.4])
    assert points[-1, 1] < -0.1
    assert len(points) == 2


def test_a_slanted_line_has_no_stairs():
    slanted = [["slide", "pen x", 0.6], ["slide", "pen y", 0.4]]
    points, _ = drawn([*LINE[:3], *slanted], [["down", "q"]])
    assert len(points) == 2


def test_the_pen_is_lifted_by_keys_and_the_wheel_and_ends_at_the_box():
    up = [["slide", "pen wheel", 1.0], ["down", "w"]]
    points, source = drawn([*LINE[:3], *up], [["down", "s"], *LINE[3:]], [["down", "q"]])
    np.testing.assert_allclose(points[:, 2], [0.4, 0.41, 0.42, 0.41, 0.41])
    assert "height of 0.41 m" in source.said[-1][0]
    far = [["slide", "pen x", 2.0], LINE[1]]
    points, _ = drawn([*LINE[:3], ["slide", "pen wheel", 99.0]], far, [["down", "q"]])
    np.testing.assert_allclose(points[-1], [0.45, -0.3, 0.6])


def test_a_curve_is_not_done_before_it_has_a_length_and_can_be_cleared():
    points, source = drawn(
        [["down", "q"]], LINE, [["down", "c"]], [["down", "q"]],
        [["slide", "pen y", 0.3], ["down", "pen"], *LINE[:2]], [["down", "q"]],
    )  # fmt: skip
    assert [said for said in source.said if "nothing is drawn yet" in said[-1]]
    assert points[0, 0] > 0.45


def test_what_is_drawn_is_seen_in_the_colour_of_its_height():
    source = Script([(0, Event(*event)) for event in LINE])
    pen = Pen(CANVAS, source)
    with pytest.raises(Stopped):
        pen.draw()
    picture = pen.picture()
    assert picture.shape == (ROWS, COLUMNS, 3)
    middle = (LOW + HIGH) // 2
    row, column = ROWS // 2, 5 * COLUMNS // 8
    np.testing.assert_allclose(picture[row, column], middle, atol=1)
    assert not (np.abs(picture[row, COLUMNS // 4].astype(int) - middle) <= 1).all()


def test_the_expert_follows_what_was_drawn_and_the_last_can_be_undone(tmp_path):
    file = tmp_path / "hands.json"
    again = [[2, *event] for event in LINE]
    events = [[0, *event] for event in LINE] + [[1, "down", "q"], *again, [3, "down", "u"]]
    file.write_text(json.dumps([*events, [4, "down", "q"], [5, "quit"]]))
    words = ["collect", "--task", "panda-trace:spacing_m=0.02", "--device", "draw"]
    assert main([*words, "--script", str(file), "--out", str(tmp_path / "set")]) == 0
    dataset = Dataset.open(tmp_path / "set")
    assert len(dataset) == 2
    assert dataset.selected.tolist() == [1]
    episode = dataset[1]
    assert episode.success
    points = np.asarray(episode.observations[ENVIRONMENT_STATE])
    np.testing.assert_allclose(points[0], [0.45, 0.0, 0.4], atol=1e-6)


def test_the_last_curve_can_be_undone_as_well(tmp_path):
    file = tmp_path / "hands.json"
    events = [[0, *event] for event in LINE] + [[1, "down", "q"], [2, "down", "u"]]
    again = [[3, *event] for event in LINE] + [[4, "down", "q"], [5, "down", "q"]]
    file.write_text(json.dumps(events + again))
    words = ["collect", "--task", "panda-trace:spacing_m=0.02", "--device", "draw"]
    words += ["--episodes", "1", "--script", str(file)]
    assert main([*words, "--out", str(tmp_path / "set")]) == 0
    assert Dataset.open(tmp_path / "set").selected.tolist() == [1]


def test_the_next_drawing_says_that_the_last_was_undone():
    moments = [[["down", "u"]], LINE, [["down", "q"]]]
    events = [(n, Event(*event)) for n, moment in enumerate(moments) for event in moment]
    source = Script(events)
    pen = Pen(CANVAS, source, lambda: "undone: the last curve")
    pen.person.linger("1 curve saved")
    pen.draw()
    assert source.said[1][-1] == "undone: the last curve"


def test_a_mouse_that_speaks_often_leaves_points_a_millimetre_apart():
    often = [["slide", axis, 0.5 + n / 9e4] for n in range(9000) for axis in ("pen x", "pen y")]
    points, _ = drawn([*LINE[:3], *often], [["down", "q"]])
    steps_m = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps_m.min() >= 0.001
    assert len(points) < 200


def test_a_task_without_curves_cannot_be_drawn(tmp_path, capsys):
    words = ["collect", "--task", "pusht", "--device", "draw", "--out", str(tmp_path / "set")]
    assert main(words) == 2
    assert "follows no curves" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
