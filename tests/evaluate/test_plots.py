"""What is drawn is what was measured."""

from dataclasses import replace

import pytest

from understudy.evaluate.compare import compare
from understudy.evaluate.plots import (
    MOST_DOTS,
    difference_track,
    distribution,
    learning,
    pairs,
    strip,
)


def test_bars_count_every_episode_once(timid):
    chart = distribution(timid)
    assert chart is not None
    bars = [mark for mark in chart.marks if mark.style in ("good", "bad")]
    failed = [int(m.title.split(", ")[1].split()[0]) for m in bars if m.style == "bad"]
    assert sum(failed) == len(timid.failures)
    good_only = [int(m.title.split(": ")[1].split()[0]) for m in bars if m.style == "good"]
    assert sum(good_only) + sum(failed) >= 40
    assert f"failure: {len(timid.failures)}" in [text for _, text in chart.legend]


def test_equal_scores_have_no_distribution_but_a_strip(timid):
    rows = tuple(replace(row, return_=-200.0) for row in timid.rows)
    flat = replace(timid, rows=rows)
    assert distribution(flat) is None
    chart = strip(flat)
    assert chart is not None
    assert sum(mark.style.startswith("dot") for mark in chart.marks) == 40


def test_many_episodes_are_thinned_but_all_are_counted(timid):
    rows = tuple(replace(timid.rows[k % 40], seed=100_000 + k) for k in range(5000))
    chart = strip(replace(timid, rows=rows))
    assert chart is not None
    assert sum(mark.style.startswith("dot") for mark in chart.marks) == MOST_DOTS
    failed = sum(row.success is False for row in rows)
    assert f"failure: {failed:,}" in [text for _, text in chart.legend]


def test_each_shared_world_is_on_its_side_of_the_diagonal(timid, expert):
    chart = pairs(compare(timid, expert))
    assert chart is not None
    of_expert = {row.seed: row.return_ for row in expert.rows}
    behind = sum(row.return_ < of_expert[row.seed] for row in timid.rows)
    assert sum(mark.style == "dot bad" for mark in chart.marks) == behind
    assert f"expert ahead: {behind}" in [text for _, text in chart.legend]


def test_the_track_puts_zero_in_the_middle_and_the_interval_on_its_side(timid, expert):
    track = difference_track(compare(timid, expert).score)
    assert {style: at for at, style in track.lines}["zero"] == pytest.approx(50.0)
    assert 0 <= track.low <= track.at <= track.high < 50


def test_losses_have_their_held_out_twin_and_constants_are_not_drawn():
    rows = [
        {
            "step": s,
            "total": 1 / (s + 1),
            "mse": 1 / (s + 1),
            "kl": 0.5,
            "held_out_total": 2 / (s + 1),
            "learning_rate": 1.0 - s / 100,
            "samples_per_s": s,
        }
        for s in range(50)
    ]
    charts = learning(rows)
    assert [chart.title for chart in charts] == ["Loss (logarithmic)", "Learning rate"]
    assert [text for _, text in charts[0].legend] == ["training", "held out"]
    assert learning([]) == ()
    assert learning(rows[:1]) == ()
