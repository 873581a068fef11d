"""An exponential moving average of weights, warmed up as in Diffusion Policy (Chi et al. 2023)."""

from __future__ import annotations


def decay_at(step: int, power: float = 0.75, most: float = 0.9999) -> float:
    """Return 1 - (1 + step)^-power, capped: early averages forget the random beginning."""
    return min(1.0 - (1.0 + step) ** -power, most)
