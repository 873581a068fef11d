"""Weights that begin as normal numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def normal(*shape: int, over: float = 1.0) -> Tensor:
    """Return torch.randn(*shape) / over; on the device "meta", which holds no numbers, the shape alone.

    Drawing there has torch import its compiler and a computer algebra, for as long as torch itself takes.
    """
    numbers = torch.empty(*shape)
    return numbers if numbers.is_meta else numbers.normal_().div_(over)
