"""A U-Net over time that is steered by a condition (Janner et al. 2022, arXiv 2205.09991; Chi et al. 2023).

The network of Diffusion Policy: residual blocks of two convolutions with group normalisation, a
scale and a bias from the condition (FiLM, Perez et al. 2018) between them, two blocks a level.
Differences: sequences lie as (B, H, C), so that in bfloat16 a convolution is one matrix product;
SiLU in the place of Mish; the scales and biases of all blocks are one product; upsampling is a
product and a reshape. All of them are for speed on a processor. Lengths, widths and the
order of operations are the published ones, but for the scale, which is 1 more than the condition's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.nn.embed import waves


@final
class TemporalConvolution(nn.Module):
    """Convolution over the second dimension of (B, T, C), zeros outside; T / stride steps come out."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.inputs, self.kernel, self.stride = inputs, kernel, stride
        self.weight = nn.Parameter(torch.empty(outputs, kernel * inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        bound = (kernel * inputs) ** -0.5  # that of torch's own convolutions
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, values: Tensor) -> Tensor:
        """(B, T, inputs) -> (B, T / stride, outputs)."""
        ticks, margin = values.shape[1], self.kernel // 2
        if torch.is_grad_enabled() and not torch.is_autocast_enabled(values.device.type):
            return self._convolution(values, margin)
        padded = functional.pad(values, (0, 0, margin, margin))
        taps = [padded[:, tap : tap + ticks : self.stride] for tap in range(self.kernel)]
        return functional.linear(torch.cat(taps, -1), self.weight, self.bias)

    def _convolution(self, values: Tensor, margin: int) -> Tensor:
        """The same by the library's convolution, which is quicker with gradients in float32."""
        image = values.transpose(1, 2).unsqueeze(2)  # (B, C, 1, T)
        kernel = self.weight.view(-1, self.kernel, self.inputs).transpose(1, 2).unsqueeze(2)
        result = functional.conv2d(
            image, kernel, self.bias, stride=(1, self.stride), padding=(0, margin)
        )
        return result.squeeze(2).transpose(1, 2)


@final
class Normalization(nn.GroupNorm):
    """Group normalisation of (B, T, C)."""

    def forward(self, input: Tensor) -> Tensor:
        image = input.transpose(1, 2).unsqueeze(2)  # (B, C, 1, T), channels last in memory
        return nn.GroupNorm.forward(self, image).squeeze(2).transpose(1, 2)


@final
class _Block(nn.Module):
    """Two convolutions with a condition in between, and a way around them."""

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(
            TemporalConvolution(inputs, outputs, kernel), Normalization(groups, outputs), nn.SiLU()
        )
        self.second = nn.Sequential(
            TemporalConvolution(outputs, outputs, kernel),
            Normalization(groups, outputs),
            nn.SiLU(),
        )
        self.around = nn.Linear(inputs, outputs) if inputs != outputs else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.film_size = 2 * outputs

    def forward(self, values: Tensor, film: Tensor) -> Tensor:
        """(B, T, inputs), (B, 2 * outputs) -> (B, T, outputs)."""
        scale, bias = film.unsqueeze(1).chunk(2, -1)
        hidden = self.first(values)
        hidden = hidden * (1 + scale) + bias
        return self.second(self.dropout(hidden)) + self.around(values)


@final
class UNet1d(nn.Module):
    """From noisy actions (B, H, A), times (B,) and a condition (B, G) to (B, H, A).

    H must be a multiple of 2 to the number of levels less one. Times lie in 0..1.
    """

    def __init__(
        self,
        actions: int,
        condition: int,
        widths: Sequence[int] = (64, 128, 256),
        kernel: int = 5,
        groups: int = 8,
        time_features: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        is_wrong = any(width < groups or width % groups for width in widths)
        if not widths or is_wrong or kernel < 1 or kernel % 2 == 0:
            raise ValueError(
                f"widths {tuple(widths)} must be multiples of {groups} and the kernel odd, got {kernel}"
            )
        self.time_features = time_features
        self.time = nn.Sequential(
            nn.Linear(time_features, 4 * time_features),
            nn.SiLU(),
            nn.Linear(4 * time_features, time_features),
        )

        def pair(inputs: int, outputs: int) -> nn.ModuleList:
            return nn.ModuleList(
                [
                    _Block(inputs, outputs, kernel, groups, dropout),
                    _Block(outputs, outputs, kernel, groups, dropout),
                ]
            )

        self.down = nn.ModuleList(pair(a, b) for a, b in pairwise([actions, *widths]))
        self.shorten = nn.ModuleList(TemporalConvolution(w, w, 3, 2) for w in widths[:-1])
        self.middle = pair(widths[-1], widths[-1])
        self.up = nn.ModuleList(pair(2 * a, b) for a, b in pairwise(reversed(widths)))
        self.lengthen = nn.ModuleList(nn.Linear(w, 2 * w) for w in reversed(widths[:-1]))
        self.last = nn.Sequential(
            TemporalConvolution(widths[0], widths[0], kernel),
            Normalization(groups, widths[0]),
            nn.SiLU(),
            nn.Linear(widths[0], actions),
        )
        self.film_sizes = [block.film_size for block in self.modules() if isinstance(block, _Block)]
        self.film = nn.Linear(condition + time_features, sum(self.film_sizes))

    def forward(self, actions: Tensor, time: Tensor, condition: Tensor) -> Tensor:
        """Return what the training asks for: noise, clean actions or a velocity, (B, H, A)."""
        instant = self.time(waves(100 * time, self.time_features))  # (B, time_features)
        seen = functional.silu(torch.cat([instant, condition], -1))
        films = iter(self.film(seen).split(self.film_sizes, -1))
        values, kept = actions, []
        for level, pair in enumerate(self.down):
            values = _through(pair, values, films)
            kept.append(values)
            if level < len(self.shorten):
                values = self.shorten[level](values)  # (B, T / 2, C)
        values = _through(self.middle, values, films)
        for pair, lengthen in zip(self.up, self.lengthen, strict=True):
            values = _through(pair, torch.cat([values, kept.pop()], -1), films)
            values = lengthen(values)
            values = values.reshape(len(values), -1, values.shape[-1] // 2)  # (B, 2 T, C)
        return self.last(values)


def _through(pair: nn.Module, values: Tensor, films: Iterator[Tensor]) -> Tensor:
    for block in pair.children():
        values = block(values, next(films))
    return values
