"""AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) over one flat vector of weights."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor


@final
class AdamW:
    """Updates `values` (P,) from `gradients` (P,) in place; the first `decayed` weights decay.

    It calls the fused kernel behind torch.optim.AdamW(fused=True), and equals it bit for bit
    (tested). Measured on 1,300 weights, one thread: 14 us an update, 56 us through the class, whose
    first use also takes 1.8 s of imports.
    """

    def __init__(
        self,
        values: Tensor,
        gradients: Tensor,
        decayed: int,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        epsilon: float = 1e-8,
    ) -> None:
        self.first = torch.zeros_like(values)  # (P,)
        self.second = torch.zeros_like(values)  # (P,)
        self._steps = torch.zeros((), dtype=torch.float32, device=values.device)
        self._betas, self._epsilon = betas, epsilon
        vectors = (values, gradients, self.first, self.second)
        cuts = ((slice(None, decayed), weight_decay), (slice(decayed, None), 0.0))
        self._groups = [
            ([[vector[cut]] for vector in vectors], decay)
            for cut, decay in cuts
            if values[cut].numel()
        ]

    @torch.no_grad()
    def update(self, step: int, learning_rate: float) -> None:
        """Apply the update number `step`, counted from 0."""
        for (values, gradients, first, second), decay in self._groups:
            self._steps.fill_(step + 1)
            torch._fused_adamw_(  # pyright: ignore[reportPrivateImportUsage]  # not in torch's stubs
                values,
                gradients,
                first,
                second,
                [],
                [self._steps],
                lr=learning_rate,
                beta1=self._betas[0],
                beta2=self._betas[1],
                weight_decay=decay,
                eps=self._epsilon,
                amsgrad=False,
                maximize=False,
            )
