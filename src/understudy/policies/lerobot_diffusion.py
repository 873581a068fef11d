"""Diffusion Policy exactly as LeRobot 0.4.4 has it, so that its checkpoints run here and ours run there.

The network of Chi et al. 2023 (arXiv 2303.04137) with LeRobot's choices: the chunk begins with the
oldest observation's tick, levels are spaced from 0 up, DDIM keeps the noise that the network named
although the estimate was clipped, and actions past an episode's end count. Batch normalisation, where
a checkpoint has it, keeps statistics, scale and bias. `diffusion` is our own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.data.windows import Batch, Windows
from understudy.nn import noise as noising
from understudy.nn.lerobot_unet import LerobotUNet1d
from understudy.nn.vision import FrozenNorm, Resnet18, SpatialSoftmax, crop, group_norm
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.heads import masked_mean
from understudy.policies.lerobot_scale import ScaleModes, Scales
from understudy.spec import ENVIRONMENT_STATE, STATE, Spec

SCALES = ScaleModes(state_scale="min_max", action_scale="min_max")


@final
@dataclass(frozen=True, kw_only=True)
class LerobotDiffusionConfig(PolicyConfig):
    """LeRobot's Diffusion Policy, number for number: to run, train on and give back its checkpoints."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {
            "small": Preset(learn={"batch_size": 64, "learning_rate": 5e-4, "precision": "auto"}),
            "paper": Preset(
                policy={"widths": (512, 1024, 2048), "crop": (84, 84)},
                learn={
                    "steps": 200_000,
                    "batch_size": 64,
                    "learning_rate": 1e-4,
                    "weight_decay": 1e-6,
                    "warmup_steps": 500,
                    "beta1": 0.95,
                    "gradient_clip": 10.0,
                    "ema_decay": 0.0,
                },
            ),
        }
    )

    history: int = 2
    horizon: int = 15
    """Actions from the current tick; LeRobot's horizon is history - 1 more."""
    execute: int = 8
    widths: tuple[int, ...] = (64, 128, 256)
    """Channels of each level (down_dims)."""
    kernel: int = 5
    """Actions that a convolution spans (kernel_size)."""
    groups: int = 8
    """Groups of the normalisation (n_groups)."""
    time_features: int = 128
    """Numbers that a noise level becomes (diffusion_step_embed_dim)."""
    film_scales: bool = True
    """The condition scales as well as shifts (use_film_scale_modulation)."""
    levels: int = 100
    """Noise levels in training (num_train_timesteps)."""
    target: Literal["noise", "sample"] = "noise"
    """What the network answers (prediction_type)."""
    sampler: Literal["ddpm", "ddim"] = "ddpm"
    """The way back (noise_scheduler_type)."""
    inference_steps: int = 100
    """Calls of the network in one prediction (num_inference_steps)."""
    keypoints: int = 32
    """Places that the spatial softmax looks for (spatial_softmax_num_keypoints)."""
    resize: tuple[int, ...] = ()
    """Rows and columns that frames are brought to first (resize_shape)."""
    crop: tuple[int, ...] = ()
    """Rows and columns that are seen: anywhere in training, the centre in use (crop_shape)."""
    group_norm: bool = True
    """Group normalisation in the encoders (use_group_norm); else frozen statistics."""
    encoder_each: bool = False
    """An encoder for each camera (use_separate_rgb_encoder_per_camera)."""
    masked: bool = False
    """Leave actions past an episode's end out of the loss (do_mask_loss_for_padding)."""
    scales: ScaleModes = field(default_factory=lambda: SCALES)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if self.tasks:
            raise ValueError("LeRobot's diffusion tells no tasks apart")
        if not 1 <= self.inference_steps <= self.levels:
            raise ValueError(
                f"inference_steps {self.inference_steps} outside 1..{self.levels}, the noise levels"
            )
        if self.span % 2 ** (len(self.widths) - 1):
            raise ValueError(
                f"history + horizon - 1 = {self.span} must be a multiple of "
                f"{2 ** (len(self.widths) - 1)}, for {len(self.widths)} widths"
            )
        if any(len(size) not in (0, 2) for size in (self.resize, self.crop)):
            raise ValueError("resize and crop are rows and columns, or nothing")

    @property
    def first_action(self) -> int:
        """The chunk begins with the oldest tick that is seen."""
        return 1 - self.history

    @property
    def span(self) -> int:
        """Actions that are denoised together, LeRobot's horizon."""
        return self.horizon + self.history - 1

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return LerobotDiffusion(self, spec)


@final
class LerobotDiffusion(Policy):
    """A denoiser of chunks of actions."""

    config: LerobotDiffusionConfig

    def __init__(self, config: LerobotDiffusionConfig, spec: Spec) -> None:
        draws = noising.draws(config.sampler, config.inference_steps)
        super().__init__(
            config, spec, noise_shape=(draws, config.span, spec.action.size), clips=True
        )
        self.config = config
        self.scales = Scales(spec, config.scales)
        count = len(spec.cameras) if config.encoder_each else min(1, len(spec.cameras))
        self.encoders = nn.ModuleList(_Encoder(config) for _ in range(count))
        condition = sum(spec.observations[key].size for key in self.scales.vectors)
        condition += 2 * config.keypoints * len(spec.cameras)
        self.noising = noising.Diffusion(config.levels, config.target)
        self.network = LerobotUNet1d(
            spec.action.size,
            config.history * condition,
            config.widths,
            config.kernel,
            config.groups,
            config.time_features,
            config.film_scales,
        )

    def prepare(self, windows: Windows) -> None:
        """Take the statistics of the training data; pixels have ImageNet's."""
        self.scales.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the answer at a random noise level."""
        clean = self.scales.action(batch.actions)
        noise = torch.randn_like(clean)
        level = torch.randint(self.config.levels, (len(clean),), device=clean.device)
        noisy = self.noising.add(clean, noise, level)
        answer = self.network(noisy, level, self._seen(batch.observations)).float()
        errors = (answer - self.noising.wanted(clean, noise, level)).square().mean(-1)  # (B, T)
        total = masked_mean(errors, batch.valid) if self.config.masked else errors.mean()
        return {"total": total}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Denoise (B, S, T, A) into the actions from the current tick (B, H, A)."""
        config, seen = self.config, self._seen(observations)
        leap = config.levels // config.inference_steps
        levels = [leap * step for step in reversed(range(config.inference_steps))]

        def network(noisy: Tensor, time: Tensor) -> Tensor:
            return self.network(noisy, (time * config.levels).round(), seen)

        if config.sampler == "ddim":
            chunk = _ddim(self.noising, network, noise[:, 0], levels)
        else:
            chunk = self.noising.sample(network, noise, "ddpm", config.inference_steps, levels)
        return self.scales.action.inverse(chunk)[:, config.history - 1 :]

    def _seen(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Everything that is seen, side by side: state, frames, environment of each tick, (B, G)."""
        scaled = self.scales(observations)
        cameras = self.spec.cameras
        encoders = [
            self.encoders[i if self.config.encoder_each else 0] for i in range(len(cameras))
        ]
        parts = [scaled[STATE]] if STATE in scaled else []
        parts += [encoder(scaled[key]) for key, encoder in zip(cameras, encoders, strict=True)]
        parts += [scaled[ENVIRONMENT_STATE]] if ENVIRONMENT_STATE in scaled else []
        return torch.cat(parts, -1).flatten(1)


@final
class _Encoder(nn.Module):
    """Frames (B, K, 3, Y, X), normalised, to features (B, K, 2 * keypoints)."""

    def __init__(self, config: LerobotDiffusionConfig) -> None:
        super().__init__()
        self.resize, self.crop = config.resize, config.crop
        self.backbone = Resnet18(group_norm if config.group_norm else FrozenNorm)
        self.places = SpatialSoftmax(512, config.keypoints)
        self.last = nn.Linear(2 * config.keypoints, 2 * config.keypoints)

    def forward(self, frames: Tensor) -> Tensor:
        batch, history = frames.shape[:2]
        if self.resize:
            flat = functional.interpolate(
                frames.flatten(0, 1), list(self.resize), mode="bilinear", antialias=True
            )
            frames = flat.unflatten(0, (batch, history))
        if self.crop:
            size = (self.crop[0], self.crop[1])
            frames = crop(frames.movedim(2, -1), size, self.training).movedim(-1, 2)
        columns, rows = self.places(self.backbone(frames.flatten(0, 1))).chunk(2, -1)
        places = torch.stack([columns, rows], -1).flatten(1)  # LeRobot's order
        return functional.relu(self.last(places)).unflatten(0, (batch, history))


def _ddim(
    schedule: noising.Diffusion, network: noising.Network, noise: Tensor, levels: Sequence[int]
) -> Tensor:
    """DDIM (Song et al. 2020, arXiv 2010.02502) in which clipping does not change the noise."""
    noisy = noise
    for level, following in zip(levels, [*levels[1:], -1], strict=True):
        at = torch.full((len(noisy),), level, device=noisy.device)
        answer = network(noisy, schedule.time(at))
        now = float(schedule.kept[level])
        after = float(schedule.kept[following]) if following >= 0 else 1.0
        added = answer
        if schedule.target == "sample":
            added = (noisy - math.sqrt(now) * answer) / math.sqrt(1 - now)
        clean = schedule.clean(noisy, answer, at)
        noisy = math.sqrt(after) * clean + math.sqrt(1 - after) * added
    return noisy
