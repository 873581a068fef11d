"""Plots: shapes stay inside their frame and lose nothing that a person would look for."""

import re

import numpy as np
import pytest

from understudy.data.charts import MOST_POINTS, Line, bars, histogram, number, over_time


def places(path: str) -> np.ndarray:
    return np.array([[float(a), float(b)] for a, b in re.findall(r"([\d.]+) ([\d.]+)", path)])


def test_a_line_lies_inside_its_frame_and_a_spike_survives_thinning():
    values = np.sin(np.arange(20_000) / 500)
    values[12_345] = 7.0
    chart = over_time("x", "m", [Line("x", values, "seen")], 100.0, None)
    points = places(chart.marks[0].path)
    assert len(points) <= 2 * MOST_POINTS
    assert points.min() >= 0
    assert points.max() <= 100
    spike = points[points[:, 1].argmin()]
    assert spike[0] == pytest.approx(100 * 12_345 / 19_999, abs=0.01)
    assert chart.x_ticks[0].text == "0 s"
    assert float(chart.x_ticks[-1].text.removesuffix(" s")) <= 200


def test_missing_values_leave_a_gap():
    values = np.array([0, 1, np.nan, 1, 0, np.nan, 2.0])
    assert len(over_time("x", "", [Line("x", values, "seen")], 10.0, None).marks) == 3


@pytest.mark.parametrize(
    "values", [[3.0], [3.0, 3.0, 3.0], [0.0], [1e-12, 2e-12], [np.nan, np.nan]]
)
def test_flat_short_and_empty_lines_can_be_drawn(values):
    chart = over_time("x", "", [Line("x", np.array(values), "seen")], 10.0, None)
    assert len(chart.y_ticks) >= 2
    assert all(0 <= tick.at <= 100 for tick in (*chart.y_ticks, *chart.x_ticks))


def test_interventions_are_shaded_where_they_are():
    shaded = np.zeros(11, np.bool_)
    shaded[[2, 3, 4, 8]] = True
    chart = over_time("x", "", [Line("x", np.zeros(11), "seen")], 10.0, shaded)
    assert [m.path.split(" ")[0] for m in chart.marks if m.style == "shade"] == ["M20.00", "M80.00"]


def test_a_histogram_counts_everything_once():
    values = np.random.default_rng(0).integers(49, 247, 206)
    chart = histogram("Lengths", values, "ticks")
    assert sum(int(mark.title.split(": ")[1]) for mark in chart.marks) == 206
    assert len(chart.marks) <= 30
    assert len(histogram("Lengths", np.array([5]), "ticks").marks) == 1


def test_numbers_are_short_and_have_a_true_minus_sign():
    shown = [number(v) for v in (0.0, -0.5, 12345.6, 0.1 + 0.2, 1e-9, 1e9)]
    assert shown == ["0", "\N{MINUS SIGN}0.5", "12,346", "0.3", "1e\N{MINUS SIGN}09", "1e+09"]


def test_bars_of_height_nothing_are_not_drawn():
    assert bars((0.0, 1.0, 0.5)).count("M") == 2
