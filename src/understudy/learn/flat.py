"""All trainable weights of a module as one vector, their gradients as another.

Clipping, the optimiser and the average then take a handful of operations instead of one per weight,
which counts for small networks: a step of a 2 x 32 one takes some 270 us in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

import torch
from torch import Tensor, nn


def ordered(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return the trainable parameters with their names in the order of the flat vector."""
    trainable = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    return sorted(trainable, key=lambda pair: pair[1].ndim < 2)


def unflatten(module: nn.Module, vector: Tensor) -> dict[str, Tensor]:
    """Cut a flat vector (P,) into copies of the parameters it stands for, by name."""
    named = ordered(module)
    parts = vector.split([p.numel() for _, p in named]) if named else ()
    return {name: part.view(p.shape).clone() for (name, p), part in zip(named, parts, strict=True)}


@final
class FlatParameters:
    """Moves a module's parameters into `values` (P,), with gradients in `gradients` (P,).

    Matrices and larger come first: `decayed` of the P weights are those that weight decay applies
    to; biases and scales are left alone (Loshchilov & Hutter 2019 decay all; leaving out what only
    shifts is common practice since).
    """

    values: Tensor  # (P,)
    gradients: Tensor  # (P,)

    def __init__(self, module: nn.Module) -> None:
        trainable = [parameter for _, parameter in ordered(module)]
        if any(p.dtype != torch.float32 for p in trainable):
            raise ValueError("every trainable parameter must be float32")
        self.parameters = trainable
        self.decayed = sum(p.numel() for p in trainable if p.ndim >= 2)
        self.values = torch.cat([p.detach().reshape(-1) for p in trainable] or [torch.empty(0)])
        self.gradients = torch.zeros_like(self.values)
        for parameter, value, gradient in zip(
            trainable, self._split(self.values), self._split(self.gradients), strict=True
        ):
            parameter.data = value
            parameter.grad = gradient

    def _split(self, flat: Tensor) -> list[Tensor]:
        parts = flat.split([p.numel() for p in self.parameters]) if self.parameters else ()
        return [part.view(p.shape) for part, p in zip(parts, self.parameters, strict=True)]

    @contextmanager
    def replaced_by(self, values: Tensor) -> Iterator[None]:
        """Let the module compute with other weights (P,), such as their average."""
        kept = self.values.clone()
        self.values.copy_(values)
        try:
            yield
        finally:
            self.values.copy_(kept)
