"""Numbers as waves: sinusoidal features of a time or a position (Vaswani et al. 2017, arXiv 1706.03762)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def waves(values: Tensor, size: int, longest: float = 10_000.0) -> Tensor:
    """Return (..., size) sines and cosines of (...), with periods from 2 pi to 2 pi * longest."""
    if size < 4 or size % 2:
        raise ValueError(f"size must be even and at least 4, got {size}")
    exponent = torch.arange(size // 2, device=values.device) / (size // 2 - 1)
    angle = values.float()[..., None] * torch.exp(-math.log(longest) * exponent)
    return torch.cat([angle.sin(), angle.cos()], -1)  # (..., size)
