"""Transformer layers (Vaswani et al. 2017, arXiv 1706.03762) with positions added to queries and keys alone.

The form of DETR (Carion et al. 2020, arXiv 2005.12872) that ACT builds on: normalisation after each
sum, positions given anew in each layer and never added to the values.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional


@final
class Attention(nn.Module):
    """Attention with `heads` heads from queries (B, Q, D) over (B, S, D)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} must be a multiple of heads {heads}")
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.last = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, ignored: Tensor | None = None
    ) -> Tensor:
        """Return (B, Q, D); `ignored` (B, S) bool marks what is not to be looked at."""
        split = (
            layer(given).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, given in ((self.query, query), (self.key, key), (self.value, value))
        )
        mask = None if ignored is None else ~ignored[:, None, None]
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(*split, attn_mask=mask, dropout_p=dropout)
        return self.last(mixed.transpose(1, 2).flatten(2))


@final
class _Feedforward(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.norm(tokens + self.dropout(self.layers(tokens)))


@final
class EncoderLayer(nn.Module):
    """Tokens (B, S, D) that look at each other."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)
        self.feedforward = _Feedforward(width, hidden, dropout)

    def forward(self, tokens: Tensor, position: Tensor, ignored: Tensor | None = None) -> Tensor:
        """Return (B, S, D); `position` is (S, D), `ignored` (B, S) bool."""
        placed = tokens + position
        seen = self.attention(placed, placed, tokens, ignored)
        return self.feedforward(self.norm(tokens + self.dropout(seen)))


@final
class DecoderLayer(nn.Module):
    """Queries (B, Q, D) that look at each other, then at tokens (B, S, D)."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.among, self.across = (Attention(width, heads, dropout) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.feedforward = _Feedforward(width, hidden, dropout)

    def forward(self, queries: Tensor, place: Tensor, tokens: Tensor, position: Tensor) -> Tensor:
        """Return (B, Q, D); `place` (Q, D) belongs to the queries, `position` (S, D) to the tokens."""
        return self.look(self.settle(queries, place), place, tokens, position)

    def settle(self, queries: Tensor, place: Tensor) -> Tensor:
        """The first half: queries that looked at each other, whatever the tokens are."""
        placed = queries + place
        return self.norms[0](queries + self.dropout(self.among(placed, placed, queries)))

    def look(self, queries: Tensor, place: Tensor, tokens: Tensor, position: Tensor) -> Tensor:
        """The second half: settled queries that look at the tokens."""
        seen = self.across(queries + place, tokens + position, tokens)
        return self.feedforward(self.norms[1](queries + self.dropout(seen)))


def line_positions(count: int, width: int) -> Tensor:
    """Return sines and cosines (count, width) of positions 0, 1, ..."""
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = torch.arange(count)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (count, width)


def plane_positions(rows: int, columns: int, width: int) -> Tensor:
    """Return positions of pixels (rows * columns, width): half for the row, half for the column.

    As in DETR: places count from 1 and are scaled to 2 pi, so that they mean the same at each size.
    """
    if width % 4:
        raise ValueError(f"width {width} must be a multiple of 4 for positions in a picture")
    rate = torch.exp(torch.arange(0, width // 2, 2) * (-math.log(10_000.0) / (width // 2)))

    def along(count: int) -> Tensor:
        angle = (torch.arange(count) + 1)[:, None] * (2 * math.pi / count) * rate
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (count, width / 2)

    row = along(rows)[:, None].expand(-1, columns, -1)
    column = along(columns)[None].expand(rows, -1, -1)
    return torch.cat([row, column], -1).flatten(0, 1)  # (rows * columns, width)
