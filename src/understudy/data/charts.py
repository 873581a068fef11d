"""Plots as shapes in percent of their frame, for a page that sets text in HTML and lines in SVG.

So text keeps its size on a narrow screen, and a plot weighs as much as its numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 480  # of a line; more cannot be told apart on a screen


@final
@dataclass(frozen=True)
class Mark:
    """One shape: an SVG path in 0..100, y down; `style` is a class of the template."""

    path: str
    style: str
    title: str = ""  # shown when pointed at


@final
@dataclass(frozen=True)
class Tick:
    """A number on an axis, at 0..100 from the left or from below."""

    at: float
    text: str


@final
@dataclass(frozen=True)
class Chart:
    """A plot with axes."""

    title: str
    unit: str
    about: str  # the plot in words, for those who cannot see it
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str


@final
@dataclass(frozen=True)
class Line:
    """One value over time."""

    name: str
    values: NDArray[Any]  # (T,)
    style: str


def over_time(
    title: str, unit: str, lines: Sequence[Line], rate_hz: float, shaded: NDArray[np.bool_] | None
) -> Chart:
    """Lines over the seconds of an episode; the ticks `shaded` (T,) get a background."""
    ticks = max(len(line.values) for line in lines)
    seconds = (0.0, max(ticks - 1, 1) / rate_hz)
    finite = np.concatenate([line.values[np.isfinite(line.values)] for line in lines])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
    margin = 0.06 * (high - low) or max(0.5, 0.05 * abs(high))
    scale = (low - margin, high + margin)
    marks = _shades(shaded) if shaded is not None else []
    for line in lines:
        style = f"line {line.style}"
        marks += [Mark(path, style, line.name) for path in _paths(line.values, scale, ticks)]
    return Chart(
        title=title,
        unit=unit,
        about=f"{title} from {number(low)} to {number(high)} {unit}".strip(),
        marks=tuple(marks),
        x_ticks=_ticks(seconds, 5, " s"),
        y_ticks=_ticks(scale, 3),
        x_label="",
    )


def histogram(title: str, values: NDArray[np.int64], x_label: str) -> Chart:
    """How many of whole numbers (n,) lie in each of at most 30 equal classes; n > 0."""
    low, high = int(values.min()), int(values.max())
    width = max(1, math.ceil((high - low + 1) / 30))
    edges = np.arange(low, high + width + 1, width)
    counts, _ = np.histogram(values, edges)
    span, top = (float(edges[0]), float(edges[-1])), float(counts.max())
    marks = []
    for left, count in zip(edges[:-1].tolist(), counts.tolist(), strict=True):
        if count:
            x0, x1 = _at(left, span), _at(left + width, span)
            y = 100 - 100 * count / (1.06 * top)
            gap = min(0.25, (x1 - x0) / 8)
            path = f"M{x0 + gap:.2f} 100V{y:.2f}H{x1 - gap:.2f}V100Z"
            classes = str(left) if width == 1 else f"{left}\N{EN DASH}{left + width - 1}"
            marks.append(Mark(path, "bar", f"{classes} {x_label}: {count}"))
    whole = tuple(tick for tick in _ticks((0.0, 1.06 * top), 4) if "." not in tick.text)
    about = f"{title}: {low} to {high} {x_label}"
    return Chart(title, "", about, tuple(marks), _ticks(span, 6), whole, x_label)


def bars(heights: Sequence[float]) -> str:
    """The path of touching bars of relative height 0..1 over the whole frame."""
    width = 100 / len(heights)
    return "".join(
        f"M{i * width:.1f} 100V{100 - 100 * height:.0f}H{(i + 0.82) * width:.1f}V100Z"
        for i, height in enumerate(heights)
        if height
    )


def number(value: float) -> str:
    """Four digits that mean something, with a true minus sign."""
    if value == 0:
        return "0"
    text = f"{value:,.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")


def _at(value: float, span: tuple[float, float]) -> float:
    return 100 * (value - span[0]) / (span[1] - span[0])


def _ticks(span: tuple[float, float], count: int, unit: str = "") -> tuple[Tick, ...]:
    """About `count` round numbers within a span, and never less than two."""
    rough = (span[1] - span[0]) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= 0.99 * rough)
    first, last = math.ceil(span[0] / step - 1e-9), math.floor(span[1] / step + 1e-9)
    if last - first < 1:
        return _ticks(span, count + 1, unit)
    values = [0.0 if k == 0 else float(f"{k * step:.12g}") for k in range(first, last + 1)]
    return tuple(Tick(round(_at(v, span), 2), number(v) + unit) for v in values)


def _paths(values: NDArray[Any], scale: tuple[float, float], ticks: int) -> list[str]:
    """One path per run of finite values."""
    places, kept = _thinned(values)
    finite = np.isfinite(kept)
    cuts = np.flatnonzero(np.diff(finite.astype(np.int8))) + 1
    paths = []
    for x, y in zip(np.split(places, cuts), np.split(kept, cuts), strict=True):
        if len(y) and np.isfinite(y[0]):
            points = zip(100 * x / max(ticks - 1, 1), 100 - _at_all(y, scale), strict=True)
            path = "M" + "L".join(f"{a:.2f} {b:.2f}" for a, b in points)
            paths.append(path if len(y) > 1 else path + "h0.4")
    return paths


def _at_all(values: NDArray[Any], span: tuple[float, float]) -> NDArray[Any]:
    return 100 * (values - span[0]) / (span[1] - span[0])


def _thinned(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """(places, values) with the least and the most of each stretch, so that no spike is lost."""
    values = np.asarray(values, np.float64)
    if len(values) <= MOST_POINTS or not np.isfinite(values).all():
        return np.arange(len(values)), values
    stretches = np.array_split(np.arange(len(values)), MOST_POINTS // 2)
    places = [s[i] for s in stretches for i in sorted({values[s].argmin(), values[s].argmax()})]
    kept = np.unique([0, *places, len(values) - 1])
    return kept, values[kept]


def _shades(shaded: NDArray[np.bool_]) -> list[Mark]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], shaded.astype(np.int8), [0]])))
    last = max(len(shaded) - 1, 1)
    return [
        Mark(f"M{100 * a / last:.2f} 0V100H{min(100.0, 100 * b / last):.2f}V0Z", "shade")
        for a, b in edges.reshape(-1, 2).tolist()
    ]
