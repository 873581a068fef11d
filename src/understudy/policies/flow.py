"""Flow: actions from noise along a straightened path, in a few steps.

Rectified flow (Liu et al. 2022, arXiv 2209.03003) with times drawn logit-normally (Esser et al.
2024, arXiv 2403.03206) on the network of Diffusion Policy (Chi et al. 2023, arXiv 2303.04137).
Difference from the latter: the chunk begins at the current tick. The condition is everything that is
seen, flat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from understudy.data.windows import Batch, Windows
from understudy.nn.noise import euler
from understudy.nn.vision import VisionConfig
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.denoiser import DenoiserConfig, presets_with
from understudy.policies.heads import ActionCode, masked_mean
from understudy.policies.observe import Observations
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class FlowConfig(PolicyConfig):
    """Rectified flow: many ways of doing a task, learnt quickly and played in few steps."""

    presets: ClassVar[Mapping[str, Preset]] = presets_with({"inference_steps": 8})

    history: int = 2
    horizon: int = 16
    execute: int = 8
    inference_steps: int = 4
    """Euler steps of one prediction."""
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if self.inference_steps < 1:
            raise ValueError(f"inference_steps must be at least 1, got {self.inference_steps}")

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return Flow(self, spec)


@final
class Flow(Policy):
    """A velocity field from noise to chunks of actions."""

    config: FlowConfig

    def __init__(self, config: FlowConfig, spec: Spec) -> None:
        action = ActionCode(spec.action, "min_max")
        super().__init__(config, spec, noise_shape=(config.horizon, action.size), clips=True)
        self.config = config
        self.input = Observations(spec, config, config.vision, mode="min_max")
        self.action = action
        self.network = config.denoiser.build(
            action.size, config.horizon, config.history * self.input.size
        )

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.input.prepare(windows)
        self.action.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the velocity at a random time, over the valid steps."""
        seen = self.input(batch.observations).flatten(1)
        clean = self.action.encode(batch)
        noise = torch.randn_like(clean)
        time = torch.randn(len(clean), device=clean.device).sigmoid()  # (B,)
        noisy = torch.lerp(noise, clean, time[:, None, None])
        velocity = self.network(noisy, time, seen).float()
        errors = (velocity - (clean - noise)).square().mean(-1)  # (B, H)
        return {"total": masked_mean(errors, batch.valid)}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Follow the velocity from the noise (B, H, A) to actions, clipped to those shown."""
        seen = self.input(observations).flatten(1)
        values = euler(
            lambda noisy, time: self.network(noisy, time, seen), noise, self.config.inference_steps
        )
        return self.action.decode(values.clamp(-1, 1))
