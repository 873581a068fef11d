"""What the report draws of scores, pairs and learning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.evaluate.compare import Comparison, PairedTest
from understudy.evaluate.drawing import (
    Axis,
    Chart,
    Mark,
    Tick,
    Track,
    box,
    dot,
    level,
    line,
    number,
    padded,
    upright,
)
from understudy.evaluate.measure import Report
from understudy.statistics import Estimate

MOST_POINTS = 400  # of a curve
MOST_DOTS = 1_500  # beyond that, dots are left out evenly; legends count all
UNDRAWN = {"step", "samples_per_s", "waiting", "skipped"}  # columns of metrics that are no result


def distribution(report: Report) -> Chart | None:
    """How often each score occurred, failures apart, with the mean and its interval."""
    scores = report.scores
    if scores.size < 2 or np.ptp(scores) == 0:
        return None
    edges = _edges(scores)
    failed = np.array([row.success is False for row in report.rows])
    below, _ = np.histogram(scores[failed], edges)
    above, _ = np.histogram(scores[~failed], edges)
    x = padded(float(edges[0]), float(edges[-1]), 0.02)
    y = Axis(0.0, 1.12 * float((below + above).max()))
    marks = [_band(x, report.mean_score)]
    for left, right, low, high in zip(edges[:-1], edges[1:], below, above, strict=True):
        gap = 0.06 * (right - left)
        span = (x.at(left + gap), x.at(right - gap))
        words = f"{number(left)} to {number(right)}: {int(low + high)} episodes"
        if low:
            marks.append(box(span, (0.0, y.at(low)), "bad", f"{words}, {int(low)} failed"))
        if high:
            marks.append(box(span, (y.at(low), y.at(low + high)), "good", words))
    marks.append(upright(x.at(report.mean_score.value), "mean"))
    name = report.score.replace("_", " ")
    return Chart(
        title=f"Distribution of the {name}",
        about=f"Histogram of the {name} of {scores.size} episodes, from {scores.min():.4g} to "
        f"{scores.max():.4g}; mean {report.mean_score}.",
        marks=tuple(marks),
        x_ticks=x.ticks(6),
        y_ticks=_whole(y.ticks(4)),
        x_label=name,
        y_label="episodes",
        legend=_outcomes(report, "mean and its interval"),
    )


def strip(report: Report) -> Chart | None:
    """Every episode as a dot, from the worst score to the best."""
    if len(report.rows) < 2:
        return None
    rows = sorted(report.rows, key=report.score_of)
    scores = [report.score_of(row) for row in rows]
    x = Axis(-0.5, len(rows) - 0.5)
    y = padded(min(scores), max(scores), 0.08)
    estimate = report.mean_score
    low = max(estimate.interval.low, y.low)
    high = min(estimate.interval.high, y.high)
    marks = [box((0.0, 100.0), (y.at(low), y.at(high)), "band"), level(y.at(estimate.value))]
    for place in _places(len(rows), MOST_DOTS):
        row, score = rows[place], scores[place]
        outcome = {True: ", success", False: ", failure", None: ""}[row.success]
        style = "dot bad" if row.success is False else "dot good"
        marks.append(dot(x.at(place), y.at(score), style, f"seed {row.seed}: {score:.6g}{outcome}"))
    name = report.score.replace("_", " ")
    places = [k - 1 for k in _ranks(len(rows))]
    return Chart(
        title="Every episode, worst to best",
        about=f"Dot plot of the {name} of {len(rows)} episodes in order: worst {scores[0]:.4g}, "
        f"median {float(np.median(scores)):.4g}, best {scores[-1]:.4g}.",
        marks=tuple(marks),
        x_ticks=tuple(Tick(x.at(place), f"{place + 1:,}") for place in places),
        y_ticks=y.ticks(4),
        x_label="rank",
        y_label=name,
        legend=_outcomes(report, "mean and its interval"),
    )


def learning(rows: Sequence[Mapping[str, Any]]) -> tuple[Chart, ...]:
    """One plot for each loss, with its held-out twin, and one for the learning rate."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    drawn = [n for n in names if n not in UNDRAWN and not n.startswith("held_out_")]
    columns = {name: _column(rows, name) for name in names if name not in UNDRAWN}
    charts, seen = [], []
    for name in drawn:
        train, held = columns[name], columns.get(f"held_out_{name}", [])
        constant = len({value for _, value in [*train, *held]}) < 2
        if len(train) < 2 or constant or train in seen:  # a single part of a loss is the loss
            continue
        seen.append(train)
        if chart := _curve(name, train, held):
            charts.append(chart)
    return tuple(charts[:6])


def pairs(comparison: Comparison) -> Chart | None:
    """Each shared world as a dot: the score of b against the score of a."""
    a, b = comparison.a, comparison.b
    of_b = {row.seed: row for row in b.rows}
    points = [(b.score_of(of_b[row.seed]), a.score_of(row), row.seed) for row in a.rows]
    values = np.array([point[:2] for point in points])
    if np.ptp(values[:, 0]) == 0 and np.ptp(values[:, 1]) == 0:
        return None
    axis = padded(float(values.min()), float(values.max()), 0.06)
    test = comparison.score
    marks = [Mark("M0 100L100 0", "rule")]
    for place in _places(len(points), MOST_DOTS):
        theirs, ours, seed = points[place]
        style = "dot good" if ours > theirs else "dot bad" if ours < theirs else "dot even"
        words = f"seed {seed}: {test.a_name} {ours:.6g}, {test.b_name} {theirs:.6g}"
        marks.append(dot(axis.at(theirs), axis.at(ours), style, words))
    ahead = values[:, 1] - values[:, 0]
    above, below = int((ahead > 0).sum()), int((ahead < 0).sum())
    return Chart(
        title=f"{test.measure.capitalize()} in each shared world",
        about=f"Scatter plot of {len(points)} worlds: {test.a_name} ahead in {above}, "
        f"{test.b_name} ahead in {below}, even in {len(points) - above - below}.",
        marks=tuple(marks),
        x_ticks=axis.ticks(4),
        y_ticks=axis.ticks(4),
        x_label=test.b_name,
        y_label=test.a_name,
        legend=(
            ("good", f"{test.a_name} ahead: {above}"),
            ("bad", f"{test.b_name} ahead: {below}"),
            ("even", f"even: {len(points) - above - below}"),
        ),
        square=True,
    )


def rate_track(estimate: Estimate) -> Track:
    """A rate between 0 and 100 %."""
    interval = estimate.interval
    return Track(
        about=str(estimate),
        low=100 * interval.low,
        high=100 * interval.high,
        at=100 * estimate.value,
        ticks=tuple(Tick(k, f"{k} %") for k in (0, 50, 100)),
    )


def difference_track(test: PairedTest) -> Track:
    """The difference of a paired test, with 0 and what "no worse" allows."""
    estimate, scale = test.difference, 100.0 if test.difference.is_rate else 1.0
    interval = estimate.interval
    ends = [interval.low, interval.high, -test.margin, test.margin, estimate.value]
    reach = 1.15 * max(abs(end) for end in ends if math.isfinite(end)) * scale or 1.0
    axis = Axis(-reach, reach)

    def place(value: float) -> float:
        return (
            float(np.clip(axis.at(scale * value), 0.0, 100.0))
            if math.isfinite(value)
            else (100.0 if value > 0 else 0.0)
        )

    return Track(
        about=f"{test.measure}: difference {estimate}",
        low=place(interval.low),
        high=place(interval.high),
        at=place(estimate.value),
        ticks=axis.ticks(4),
        lines=((axis.at(0.0), "zero"), (place(-test.margin), "margin")),
    )


def _curve(
    name: str, train: list[tuple[float, float]], held: list[tuple[float, float]]
) -> Chart | None:
    values = [value for _, value in [*train, *held]]
    steps = [step for step, _ in [*train, *held]]
    if min(steps) == max(steps):
        return None
    is_loss = name != "learning_rate"
    positive = [value for value in values if value > 0]
    spans = len(positive) == len(values) and max(values) > 20 * min(values)
    if is_loss and spans:
        y = Axis(0.85 * min(values), 1.15 * max(values), logarithmic=True)
    else:
        y = padded(min(0.0, *values), max(values), 0.06)
    x = Axis(min(steps), max(steps))
    word = {"total": "Loss", "learning_rate": "Learning rate"}.get(name, name.replace("_", " "))
    marks = [Mark(line(train, x, y), "line train")]
    about = f"{word} over {max(steps):,.0f} steps: from {train[0][1]:.4g} to {train[-1][1]:.4g}"
    if held:
        marks.append(Mark(line(held, x, y), "line held"))
        best = min(held, key=lambda point: point[1])
        about += (
            f"; held out {held[-1][1]:.4g} at the end, lowest {best[1]:.4g} at step {best[0]:,.0f}"
        )
    return Chart(
        title=word[:1].upper() + word[1:] + (" (logarithmic)" if y.logarithmic else ""),
        about=f"{about}.",
        marks=tuple(marks),
        x_ticks=x.ticks(4),
        y_ticks=y.ticks(4),
        x_label="step",
        y_label="",
        legend=(("train", "training"), ("held", "held out")) if held else (),
    )


def _edges(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """As many bars as the data bear; whole numbers are never split between two of them."""
    bins = int(np.clip(2 * math.sqrt(scores.size), 6, 40))
    if not np.array_equal(scores, np.round(scores)):
        return np.histogram_bin_edges(scores, bins)
    width = math.ceil((np.ptp(scores) + 1) / bins)
    return np.arange(scores.min() - 0.5, scores.max() + width + 0.5, width)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """(step, value) where the value is a finite number, thinned to `MOST_POINTS`."""
    points = [
        (float(row["step"]), float(row[name]))
        for row in rows
        if _is_number(row.get("step")) and _is_number(row.get(name))
    ]
    return [points[place] for place in _places(len(points), MOST_POINTS)]


def _places(n: int, most: int) -> list[int]:
    """0..n-1, or `most` of them, evenly spaced with both ends."""
    return np.linspace(0, n - 1, min(n, most)).round().astype(int).tolist()


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _ranks(n: int) -> list[int]:
    """1, n and round numbers between them."""
    step = next(s for p in range(9) for s in (10**p, 2 * 10**p, 5 * 10**p) if n / s <= 5)
    return [1, *[k for k in range(step, n - step // 2, step) if k > max(1, step // 2)], n]


def _whole(ticks: Sequence[Tick]) -> tuple[Tick, ...]:
    return tuple(tick for tick in ticks if "." not in tick.text)


def _outcomes(report: Report, band: str) -> tuple[tuple[str, str], ...]:
    if report.successes is None:
        return (("good", "episode"), ("mean", band))
    failed = len(report.failures)
    return (
        ("good", f"success: {len(report.rows) - failed:,}"),
        ("bad", f"failure: {failed:,}"),
        ("mean", band),
    )


def _band(x: Axis, estimate: Estimate) -> Mark:
    low, high = (
        min(max(v, x.low), x.high) for v in (estimate.interval.low, estimate.interval.high)
    )
    return box((x.at(low), x.at(high)), (0.0, 100.0), "band", str(estimate))
