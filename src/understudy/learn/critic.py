"""What expects returns of a policy: a network that sees the vectors of a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn

from understudy.nn.perceptron import perceptron
from understudy.nn.running import RunningMoments
from understudy.policies.base import Policy


@final
class Critic(nn.Module):
    """What a state is worth, in deviations of the returns; it sees all vectors of the window."""

    def __init__(self, size: int, history: int, width: int) -> None:
        super().__init__()
        self.sight = RunningMoments(size)
        self.scale = RunningMoments(1, memory=20_000)  # of returns, which change as it gets better
        self.network = nn.Sequential(
            *perceptron([history * size, width, width], 0.0), nn.Linear(width, 1)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Return (B,) of windows (B, K, D)."""
        return self.network(self.sight(vectors).flatten(1))[:, 0]


def vectors_of(observations: Mapping[str, Tensor], policy: Policy) -> Tensor:
    """All vectors that the policy sees, side by side, (B, K, D)."""
    parts = [observations[key].flatten(2).float() for key in policy.spec.vectors]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)
