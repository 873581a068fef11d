"""Curves: where they lie, how they are stepped along, and files that hold them."""

from pathlib import Path

import numpy as np
import pytest

from understudy.tasks.curves import HIGH_M, LOW_M, draw, read_curve, resampled


@pytest.mark.parametrize("kind", ["circle", "square", "waypoints", "freehand"])
def test_a_curve_lies_in_the_box_and_its_seed_repeats_it(kind):
    for seed in range(30):
        points = resampled(draw(kind, np.random.default_rng(seed)), 0.005)
        assert (points >= LOW_M - 1e-9).all()
        assert (points <= HIGH_M + 1e-9).all()
        again = resampled(draw(kind, np.random.default_rng(seed)), 0.005)
        np.testing.assert_array_equal(points, again)


def test_freehand_strokes_come_to_every_part_of_the_box():
    points = np.concatenate([draw("freehand", np.random.default_rng(seed)) for seed in range(60)])
    where = ((points - LOW_M) / (HIGH_M - LOW_M) * 2.999).astype(int)
    assert len(np.unique(where, axis=0)) == 27


def test_a_freehand_stroke_turns_gently_everywhere():
    for seed in range(20):
        points = resampled(draw("freehand", np.random.default_rng(seed)), 0.001)
        ways = np.diff(points, axis=0)
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        assert (ways[1:] * ways[:-1]).sum(1).min() > 0


def test_circles_are_round_and_squares_have_four_equal_sides():
    circle = draw("circle", np.random.default_rng(1))
    away = np.linalg.norm(circle - circle[:-1].mean(0), axis=1)
    np.testing.assert_allclose(away, away[0], rtol=1e-5)
    square = draw("square", np.random.default_rng(1))
    sides = np.diff(square, axis=0)
    np.testing.assert_allclose(np.linalg.norm(sides, axis=1), np.linalg.norm(sides[0]), rtol=1e-9)
    np.testing.assert_allclose((sides[1:] * sides[:-1]).sum(1), 0, atol=1e-12)


def test_steps_along_a_curve_are_even_and_both_ends_are_kept():
    corner = np.array([[0, 0, 0], [0.03, 0, 0], [0.03, 0, 0], [0.03, 0.04, 0]])
    points = resampled(corner, 0.01)
    np.testing.assert_allclose(points[[0, 3, -1]], corner[[0, 1, -1]], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(np.diff(points, axis=0), axis=1), 0.01)
    assert len(resampled(corner, 0.0101)) == 8


def missed_mm(points, corner):
    """How far a corner (3,) is from the line through points (T, 3)."""
    begin, way = points[:-1], np.diff(points, axis=0)
    share = ((corner - begin) * way).sum(1) / (way * way).sum(1)
    nearest = begin + np.clip(share, 0, 1)[:, None] * way
    return 1e3 * np.linalg.norm(nearest - corner, axis=1).min()


@pytest.mark.parametrize(("spacing_m", "most"), [(0.005, "1.8"), (0.03, "11.2")])
def test_even_steps_cut_the_corners_of_squares_by_what_the_page_says(spacing_m, most):
    squares = [draw("square", np.random.default_rng(seed)) for seed in range(200)]
    cuts = [
        missed_mm(resampled(square, spacing_m), corner)
        for square in squares
        for corner in square[1:-1]
    ]
    assert f"{max(cuts):.1f}" == most
    page = Path(__file__).resolve().parents[2] / "docs" / "tasks" / "panda_trace.md"
    assert f"{most} mm" in page.read_text("utf-8")


def test_what_has_no_length_or_too_much_of_it_is_refused():
    with pytest.raises(ValueError, match="length above 0"):
        resampled(np.ones((3, 3)), 0.01)
    with pytest.raises(ValueError, match="at most 20,000"):
        resampled(np.array([[0, 0, 0], [1e6, 0, 0]]), 0.01)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0 0 0\n1 2\n", "line 2: 2 numbers, expected 3"),
        ("0 0\n1 2\n", "2 numbers a line, expected x y z in metres"),
        ("0 0 0\n1 2 x\n", "line 2"),
        ("0 0 0\n1 2 inf\n", "line 2"),
        ("0 0 0\n", "has 1 points"),
    ],
)
def test_a_file_that_is_no_curve_is_refused_with_its_line(text, complaint, tmp_path):
    file = tmp_path / "curve.txt"
    file.write_text(text)
    with pytest.raises(ValueError, match=complaint):
        read_curve(file)


def test_a_file_that_is_missing_or_too_large_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is no file"):
        read_curve(tmp_path / "none.txt")
    (tmp_path / "large.txt").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(ValueError, match="larger than"):
        read_curve(tmp_path / "large.txt")
