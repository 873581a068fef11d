"""What a sweep found over each option that it varied, as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from understudy.statistics import Estimate

INCH = 3.2  # of a panel's side
BEST, OTHERS, STOPPED = "#1f7a6d", "#4a5560", "#c3c8cb"
Point = tuple[str, Estimate, bool]  # value, result, whether it was trained for all steps


def draw_landscape(
    path: Path, options: Mapping[str, Sequence[Point]], measure: str, log: Sequence[str]
) -> None:
    """Draw a panel for each option, results with their intervals over its values; .svg or .png.

    The first point of each option is that of the best; those that were stopped early are pale.
    Numbers lie on an axis, logarithmic for the options in `log`, words side by side.
    """
    figure = Figure(figsize=(INCH * len(options), INCH), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(options), squeeze=False, sharey=True)[0]
    for panel, (option, points) in zip(panels, options.items(), strict=True):
        panel.set(xlabel=option, xscale="log" if option in log else "linear")
        _draw(panel, points, option in log)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(measure)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _draw(panel: Axes, points: Sequence[Point], is_log: bool) -> None:
    words = sorted({word for word, _, _ in points}, key=_order)
    numeric = all(_number(word) is not None for word in words)
    for place, (word, estimate, is_whole) in reversed([*enumerate(points)]):
        number = _number(word)
        x = number if numeric and number is not None else words.index(word)
        low, high = estimate.interval.low, estimate.interval.high
        colour = BEST if place == 0 else OTHERS if is_whole else STOPPED
        if math.isfinite(low) and math.isfinite(high):
            panel.plot([x, x], [low, high], color=colour, linewidth=1)
        panel.plot([x], [estimate.value], "o", color=colour, markersize=7 if place == 0 else 4)
    if not numeric:
        panel.set_xticks(range(len(words)), words)
    elif len(words) <= 6 and not is_log:
        panel.set_xticks([float(word) for word in words], words)


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _order(word: str) -> tuple[float, str]:
    number = _number(word)
    return (math.inf if number is None else number, word)
