"""The U-Net of LeRobot's Diffusion Policy, number for number, with sequences as (B, T, C).

As `unet1d`, which it shares its fast convolutions with, but for Mish, one product a block for scale
and bias, a scale that is not 1 more, transposed convolutions on the way up, and levels in the place
of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.nn.embed import waves
from understudy.nn.unet1d import Normalization, TemporalConvolution


@final
class Doubling(nn.Module):
    """Transposed convolution of kernel 4, stride 2 and padding 1: (B, T, C) to (B, 2 T, C).

    Even steps are made of each step and the one before, odd ones of it and the one after.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(2 * channels, 2 * channels))  # rows: even, odd
        self.bias = nn.Parameter(torch.empty(channels))
        bound = (4 * channels) ** -0.5  # that of torch's own
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, 2 T, C)."""
        padded = functional.pad(values, (0, 0, 1, 1))
        before = torch.cat([values, padded[:, :-2]], -1)
        after = torch.cat([values, padded[:, 2:]], -1)
        even, odd = self.weight.chunk(2)
        pair = [functional.linear(x, w, self.bias) for x, w in ((before, even), (after, odd))]
        return torch.stack(pair, 2).flatten(1, 2)


@final
class _Block(nn.Module):
    """Two convolutions with a condition in between, and a way around them."""

    def __init__(
        self, inputs: int, outputs: int, condition: int, kernel: int, groups: int, scales: bool
    ) -> None:
        super().__init__()

        def half(first: int) -> nn.Sequential:
            return nn.Sequential(
                TemporalConvolution(first, outputs, kernel),
                Normalization(groups, outputs),
                nn.Mish(),
            )

        self.first, self.second = half(inputs), half(outputs)
        self.film = nn.Linear(condition, outputs * (2 if scales else 1))
        self.scales = scales
        self.around = nn.Linear(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, values: Tensor, condition: Tensor) -> Tensor:
        """(B, T, inputs), (B, G) -> (B, T, outputs)."""
        film = self.film(condition).unsqueeze(1)
        hidden = self.first(values)
        if self.scales:
            scale, bias = film.chunk(2, -1)
            hidden = scale * hidden + bias
        else:
            hidden = hidden + film
        return self.second(hidden) + self.around(values)


@final
class LerobotUNet1d(nn.Module):
    """From noisy actions (B, T, A), levels (B,) and a condition (B, G) to (B, T, A)."""

    def __init__(
        self,
        actions: int,
        condition: int,
        widths: Sequence[int],
        kernel: int,
        groups: int,
        time_features: int,
        scales: bool,
    ) -> None:
        super().__init__()
        self.time_features = time_features
        self.time = nn.Sequential(
            nn.Linear(time_features, 4 * time_features),
            nn.Mish(),
            nn.Linear(4 * time_features, time_features),
        )

        def pair(inputs: int, outputs: int) -> nn.ModuleList:
            sizes = (condition + time_features, kernel, groups, scales)
            return nn.ModuleList(
                [_Block(inputs, outputs, *sizes), _Block(outputs, outputs, *sizes)]
            )

        self.down = nn.ModuleList(pair(a, b) for a, b in pairwise([actions, *widths]))
        self.shorten = nn.ModuleList(TemporalConvolution(w, w, 3, 2) for w in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        self.up = nn.ModuleList(pair(2 * a, b) for a, b in pairwise(reversed(widths)))
        self.lengthen = nn.ModuleList(Doubling(w) for w in reversed(widths[:-1]))
        self.last = nn.Sequential(
            TemporalConvolution(widths[0], widths[0], kernel),
            Normalization(groups, widths[0]),
            nn.Mish(),
            nn.Linear(widths[0], actions),
        )

    def forward(self, actions: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """Return the noise or the clean actions, (B, T, A)."""
        instant = self.time(waves(level, self.time_features))
        seen = functional.mish(torch.cat([instant, condition], -1))
        values, kept = actions, []
        for level_number, pair in enumerate(self.down):
            values = _through(pair, values, seen)
            kept.append(values)
            if level_number < len(self.shorten):
                values = self.shorten[level_number](values)
        values = _through(self.middle, values, seen)
        for pair, lengthen in zip(self.up, self.lengthen, strict=True):
            values = lengthen(_through(pair, torch.cat([values, kept.pop()], -1), seen))
        return self.last(values)


def _through(pair: nn.Module, values: Tensor, condition: Tensor) -> Tensor:
    for block in pair.children():
        values = block(values, condition)
    return values
