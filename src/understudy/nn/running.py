"""Moments of a stream of numbers: what is normalised by data that is still coming in."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn


@final
class RunningMoments(nn.Module):
    """Mean and deviation of all rows (n, D) that came, the parallel way (Chan, Golub & LeVeque 1983).

    With `memory` older rows fade: they count as so many at most, for what changes while it is
    learnt. Before the first row, the mean is 0 and the deviation 1.
    """

    count: Tensor  # ()
    mean: Tensor  # (D,)
    square: Tensor  # (D,) mean squared deviation

    def __init__(self, size: int, memory: float = float("inf")) -> None:
        super().__init__()
        self.memory = memory
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("square", torch.ones(size, dtype=torch.float64))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Take in rows (n, D)."""
        values, number = rows.double(), len(rows)
        mean, square = values.mean(0), values.var(0, correction=0)
        known = float(self.count.clamp_max(self.memory))
        share, away = number / (known + number), mean - self.mean
        self.mean += share * away
        self.square.copy_(
            (1 - share) * self.square + share * square + share * (1 - share) * away.square()
        )
        self.count.fill_(known + number)

    @property
    def deviation(self) -> Tensor:
        """(D,) float32; 1 where there is none."""
        deviation = self.square.sqrt().float()
        return torch.where(deviation > 1e-6 * (1 + self.mean.abs().float()), deviation, 1.0)

    def forward(self, values: Tensor) -> Tensor:
        """Standardise (..., D)."""
        return (values - self.mean.float()) / self.deviation
