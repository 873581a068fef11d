"""Shapes and axes of a plot, in percent of it: 0..100 from the left and from below.

The template sets shapes in SVG and text in HTML, so that text keeps its size on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from understudy.data.charts import Mark, Tick


@final
@dataclass(frozen=True)
class Chart:
    """A plot with axes."""

    title: str
    about: str  # the plot in words, for those who cannot see it
    marks: tuple[Mark, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_label: str
    y_label: str
    legend: tuple[tuple[str, str], ...] = ()  # (style, text)
    square: bool = False


@final
@dataclass(frozen=True)
class Track:
    """One interval on a line: where the number lies, and how far it might be off; 0..100."""

    about: str
    low: float
    high: float
    at: float
    ticks: tuple[Tick, ...]
    lines: tuple[tuple[float, str], ...] = ()  # (place, style)


@final
@dataclass(frozen=True)
class Axis:
    """Places values between `low` and `high` at 0..100."""

    low: float
    high: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """The place of a value."""
        if self.logarithmic:
            span = math.log(self.high / self.low)
            return round(100 * math.log(max(value, self.low) / self.low) / span, 2)
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self, count: int = 5) -> tuple[Tick, ...]:
        """Round numbers that lie on the axis."""
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            if last - first >= 1:
                step = max(1, (last - first) // 4)
                values = [10.0**power for power in range(first, last + 1, step)]
                return tuple(Tick(self.at(value), number(value)) for value in values)
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * k for k in (1, 2, 5, 10) if power * k >= 0.99 * rough)
        start = math.ceil(self.low / step - 1e-9)
        stop = math.floor(self.high / step + 1e-9)
        values = [k * step for k in range(start, stop + 1)]
        return tuple(Tick(self.at(v), number(v)) for v in values if not self.logarithmic or v > 0)


def number(value: float) -> str:
    """A number as an axis shows it: 1,500, 20k, 0.05, 1e-06."""
    if value == 0 or abs(value) < 1e-12:
        return "0"
    size = abs(value)
    if size >= 1e6:
        text = f"{value / 1e6:g}M"
    elif size >= 1e4:
        text = f"{value / 1e3:g}k"
    elif size >= 1:
        text = f"{value:,.4g}" if size < 1000 else f"{value:,.0f}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if value < 0 else text


def padded(low: float, high: float, share: float) -> Axis:
    """An axis from `low` to `high` and a `share` of that more at both ends; never empty."""
    margin = share * (high - low) or max(0.5, 0.05 * abs(high))
    return Axis(low - margin, high + margin)


def box(x: tuple[float, float], y: tuple[float, float], style: str, title: str = "") -> Mark:
    """A filled rectangle."""
    left, right, low, high = (f"{v:g}" for v in (*x, 100 - y[0], 100 - y[1]))
    return Mark(f"M{left} {low}V{high}H{right}V{low}Z", style, title)


def upright(x: float, style: str) -> Mark:
    """A line from bottom to top."""
    return Mark(f"M{x:g} 0V100", style)


def level(y: float) -> Mark:
    """A line from left to right, for a mean."""
    return Mark(f"M0 {100 - y:g}H100", "mean")


def dot(x: float, y: float, style: str, title: str) -> Mark:
    """A line of no length with round ends: a dot that stays round when the plot is stretched."""
    return Mark(f"M{x:g} {100 - y:g}h0", style, title)


def line(points: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    """The path through points (x, y)."""
    return "M" + "L".join(f"{x.at(step):g} {100 - y.at(value):g}" for step, value in points)
