"""Curves for a tool to follow: circles, squares, waypoints, freehand strokes and drawn ones; even steps along them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from understudy.data.text_rows import parse_rows
from understudy.physics.kinematics import Floats

Kind = Literal["circle", "square", "waypoints", "freehand"]
# Within a Panda's reach to the corners, the gripper down.
LOW_M, HIGH_M = np.array([0.3, -0.3, 0.2]), np.array([0.6, 0.3, 0.6])
RADIUS_M = (0.05, 0.13)  # of circles; of a square half the diagonal
CORNERS = 5  # of waypoints
KNOTS = (4, 8)  # of a freehand stroke
FINE = 2000  # points of a smooth curve before it is resampled
LARGEST_FILE, MOST_POINTS = 2**20, 20_000  # bytes; of a curve, 100 m at 5 mm


def draw(kind: Kind, draws: np.random.Generator, margin_m: float = 0.0) -> Floats:
    """Corners or fine points (n, 3) of a random curve within the box and so far around it, in metres."""
    low, high = LOW_M - margin_m, HIGH_M + margin_m
    if kind == "circle":
        angles = np.linspace(0, 2 * np.pi, FINE)
        return _placed(np.stack([np.cos(angles), np.sin(angles)], 1), low, high, draws)
    if kind == "square":
        corners = np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [1, 0]], np.float64)
        return _placed(corners, low, high, draws)
    if kind == "waypoints":
        return draws.uniform(low, high, (CORNERS, 3))
    knots = draws.uniform(low, high, (int(draws.integers(*KNOTS, endpoint=True)), 3))
    along = np.linspace(0, len(knots) - 1, FINE)
    return _pressed(CubicSpline(np.arange(len(knots)), knots)(along), low, high)


def resampled(points: Floats, spacing_m: float) -> Floats:
    """Points (T, 3) at even steps along the line through `points` (n, 3), both ends among them.

    The step is the one nearest to `spacing_m` of which the line has a whole number. Raises ValueError
    where the line has no length, or more than 20,000 steps.
    """
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    kept = np.concatenate([[True], lengths > 0])
    along = np.concatenate([[0.0], np.cumsum(lengths)])[kept]
    if not along[-1] > 0:
        raise ValueError("a curve has a length above 0; all its points are one")
    steps = max(1, round(along[-1] / spacing_m))
    if steps > MOST_POINTS:
        raise ValueError(
            f"the curve is {along[-1]:.4g} m long, {steps:,} steps of {1e3 * spacing_m:g} mm; "
            f"at most {MOST_POINTS:,}"
        )
    at = np.linspace(0, along[-1], steps + 1)
    return np.stack([np.interp(at, along, axis) for axis in points[kept].T], 1)  # (T, 3)


def read_curve(file: Path) -> Floats:
    """Points (n, 3) from a text file: x, y, z in metres a line, see `parse_rows`.

    Raises ValueError with the line that is wrong.
    """
    if not file.is_file():
        raise ValueError(f"{file} is no file; a curve is a text of lines x y z, in metres")
    if file.stat().st_size > LARGEST_FILE:
        raise ValueError(f"{file} is larger than {LARGEST_FILE} bytes, too much for a curve")
    points = parse_rows(file.read_text("utf-8-sig", "replace"), file)
    if points.shape[1] != 3:
        raise ValueError(f"{file} has {points.shape[1]} numbers a line, expected x y z in metres")
    if len(points) < 2:
        raise ValueError(f"{file} has {len(points)} points, a curve has at least 2")
    return points


def _placed(shape: Floats, low: Floats, high: Floats, draws: np.random.Generator) -> Floats:
    """A plane shape (n, 2) within [-1, 1], of a random size, turned and put somewhere in the box."""
    flat = np.concatenate([shape, np.zeros((len(shape), 1))], 1)
    turn = Rotation.from_quat(draws.normal(size=4))  # any, as likely as any other
    turned = turn.apply(flat) * draws.uniform(*RADIUS_M)
    return turned + draws.uniform(low - turned.min(0), high - turned.max(0))


def _pressed(points: Floats, low: Floats, high: Floats) -> Floats:
    """The curve (n, 3) with each axis along which it leaves the box pressed into it."""
    least, most = points.min(0), points.max(0)
    low, high = np.maximum(least, low), np.minimum(most, high)
    return low + (points - least) * (high - low) / (most - least)
