"""Diffusion Policy (Chi et al. 2023, arXiv 2303.04137): actions from noise, level by level.

Matched: the conditional U-Net, 100 levels of the squared cosine schedule, the noise as target,
actions normalised to [-1, 1] and estimates clipped to it, the average of the weights in use.
Differences: the chunk begins at the current tick (there it begins with the first of the K
observations), the preset `small` has dropout and plays with DDIM in 10 steps, SiLU for Mish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, final

import torch
from torch import Tensor

from understudy.data.windows import Batch, Windows
from understudy.nn import noise as noising
from understudy.nn.noise import Sampler, Target
from understudy.nn.vision import VisionConfig
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.denoiser import DenoiserConfig, presets_with
from understudy.policies.heads import ActionCode, masked_mean
from understudy.policies.observe import Observations
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class DiffusionConfig(PolicyConfig):
    """Diffusion Policy: denoised chunks, for human data with many ways of doing a task."""

    presets: ClassVar[Mapping[str, Preset]] = presets_with(
        {"sampler": "ddpm", "inference_steps": 100}
    )

    history: int = 2
    horizon: int = 16
    execute: int = 8
    levels: int = 100
    """Noise levels in training."""
    target: Target = "noise"
    """What the network answers: the noise, the clean sample, or the velocity between them."""
    sampler: Sampler = "ddim"
    """ddpm: random, wants all levels; ddim and dpm (DPM-Solver++): few steps."""
    inference_steps: int = 10
    """Calls of the network in one prediction."""
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if not 1 <= self.inference_steps <= self.levels:
            raise ValueError(
                f"inference_steps {self.inference_steps} outside 1..{self.levels}, the noise levels"
            )

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return Diffusion(self, spec)


@final
class Diffusion(Policy):
    """A denoiser of chunks of actions."""

    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig, spec: Spec) -> None:
        action = ActionCode(spec.action, "min_max")
        draws = noising.draws(config.sampler, config.inference_steps)
        super().__init__(config, spec, noise_shape=(draws, config.horizon, action.size), clips=True)
        self.config = config
        self.input = Observations(spec, config, config.vision, mode="min_max")
        self.action = action
        self.noising = noising.Diffusion(config.levels, config.target)
        self.network = config.denoiser.build(
            action.size, config.horizon, config.history * self.input.size
        )

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.input.prepare(windows)
        self.action.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the answer at a random noise level, over the valid steps."""
        seen = self.input(batch.observations).flatten(1)
        clean = self.action.encode(batch)
        noise = torch.randn_like(clean)
        level = torch.randint(self.config.levels, (len(clean),), device=clean.device)
        noisy = self.noising.add(clean, noise, level)
        answer = self.network(noisy, self.noising.time(level), seen).float()
        wanted = self.noising.wanted(clean, noise, level)
        errors = (answer - wanted).square().mean(-1)  # (B, H)
        return {"total": masked_mean(errors, batch.valid)}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Denoise (B, S, H, D) into actions (B, H, A); only DDPM has S > 1."""
        seen = self.input(observations).flatten(1)
        values = self.noising.sample(
            lambda noisy, time: self.network(noisy, time, seen),
            noise,
            self.config.sampler,
            self.config.inference_steps,
        )
        return self.action.decode(values.clamp(-1, 1))
