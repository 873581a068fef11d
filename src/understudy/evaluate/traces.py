"""Where a tool was against where it should have been, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from understudy.episode import Episode
from understudy.spec import ENVIRONMENT_STATE
from understudy.tasks.panda_trace import CHAIN, measured_of

VIEWS = (("x", "y"), ("y", "z"))  # from above, and from in front
MOST_POINTS = 400  # of a curve
INCH = 3.2  # of a panel's side


def draw_traces(path: Path, episodes: Sequence[Episode]) -> None:
    """Draw episodes of panda-trace side by side, seen from above and from in front; .svg or .png.

    Grey is the reference, red where the flange was; the title says how far off it was.
    """
    figure = Figure(figsize=(INCH * len(episodes), INCH * len(VIEWS)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(VIEWS), len(episodes), squeeze=False)
    for episode, column in zip(episodes, panels.T, strict=True):
        kept = np.unique(np.linspace(0, len(episode) - 1, MOST_POINTS).round().astype(int))
        wanted = np.asarray(episode.observations[ENVIRONMENT_STATE])[kept]
        was = _flange(episode)[kept]
        trace = measured_of(episode)
        column[0].set_title(f"RMSE {trace.rmse_mm:.2f} mm, at most {trace.max_mm:.2f} mm", size=9)
        for panel, names in zip(column, VIEWS, strict=True):
            first, second = ("xyz".index(name) for name in names)
            panel.plot(wanted[:, first], wanted[:, second], color="0.75", linewidth=4)
            panel.plot(was[:, first], was[:, second], color="#c0392b", linewidth=1)
            panel.set(xlabel=f"{names[0]} (m)", ylabel=f"{names[1]} (m)", aspect="equal")
            panel.locator_params(nbins=5)
            panel.tick_params(labelsize=7)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _flange(episode: Episode) -> NDArray[np.float64]:
    """Where the flange was (T, 3)."""
    told = np.asarray(episode.actions, np.float64)
    return CHAIN.forward(np.clip(told, CHAIN.low_rad, CHAIN.high_rad))[0]
