"""A small network for denoising on a processor: residual blocks that mix time and channels in turn.

The H actions of a chunk are tokens; each block has one product over the tokens and two over the
channels (MLP-Mixer, Tolstikhin et al. 2021, arXiv 2105.01601). The condition scales and shifts what
each reads (FiLM, Perez et al. 2018), and the way around them is never interrupted.
"""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.nn.draw import normal
from understudy.nn.embed import waves


@final
class _Block(nn.Module):
    def __init__(self, horizon: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.over_time = nn.Linear(horizon, horizon)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor, film: Tensor) -> Tensor:
        """(B, H, width), (B, 4 * width) -> (B, H, width)."""
        first, second, third, fourth = film.unsqueeze(1).chunk(4, -1)
        hidden = self.norms[0](values) * (1 + first) + second
        hidden = self.over_time(hidden.transpose(1, 2)).transpose(1, 2)
        values = values + functional.silu(hidden)
        hidden = self.norms[1](values) * (1 + third) + fourth
        return values + self.narrow(self.dropout(functional.silu(self.widen(hidden))))


@final
class ResidualNetwork(nn.Module):
    """From noisy actions (B, H, A), times (B,) and a condition (B, G) to (B, H, A)."""

    def __init__(
        self,
        actions: int,
        horizon: int,
        condition: int,
        width: int = 256,
        depth: int = 6,
        time_features: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise ValueError(f"width and depth must be at least 1, got {width} and {depth}")
        self.time_features = time_features
        self.first = nn.Linear(actions, width)
        self.position = nn.Parameter(normal(horizon, width, over=10))
        self.seen = nn.Sequential(
            nn.Linear(condition + time_features, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
        )
        self.film = nn.Linear(width, depth * 4 * width)
        self.blocks = nn.ModuleList(_Block(horizon, width, dropout) for _ in range(depth))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, actions))

    def forward(self, actions: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return what the training asks for: noise, clean actions or a velocity, (B, H, A)."""
        instant = waves(100 * time, self.time_features)  # (B, time_features)
        seen = self.seen(torch.cat([instant, condition], -1))
        values = self.first(actions) + self.position
        for block, film in zip(
            self.blocks, self.film(seen).chunk(len(self.blocks), -1), strict=True
        ):
            values = block(values, film)
        return self.last(values)
