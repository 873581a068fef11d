"""Prediction with weights of half the size: what a chunk for one world waits for is reading them.

Products are computed in bfloat16, as in training with `--precision`; normalisers, biases and the last
layer of a head stay float32. benchmarks/lean.py measures what it costs in success.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from understudy.data.windows import Batch, Windows
from understudy.policies.base import Policy
from understudy.policies.heads import Last


@final
class Lean(Policy):
    """A copy of a policy that predicts in bfloat16, on processors and GPUs that compute with it."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(
            policy.config, policy.spec, noise_shape=policy.noise_shape, clips=policy.clips
        )
        self.policy = copy.deepcopy(policy).requires_grad_(False)
        for module in self.policy.modules():
            if not isinstance(module, Last):
                for weight in module.parameters(recurse=False):
                    if weight.dim() > 1:
                        weight.data = weight.data.to(torch.bfloat16)

    def prepare(self, windows: Windows) -> None:
        """Raise TypeError: the policy that it is a copy of has seen its data."""
        raise TypeError("a lean copy only predicts; prepare and train the policy itself")

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Raise TypeError: it does not learn."""
        raise TypeError("a lean copy only predicts; prepare and train the policy itself")

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return actions (B, H, A) in their own unit, as the policy does, to about three digits."""
        with torch.autocast(noise.device.type, torch.bfloat16):
            actions = self.policy.predict(observations, noise)
        return actions.float() if actions.is_floating_point() else actions
