"""Frames straight to bounded commands: a strided convolutional network over several frames at once.

The plain network of learning to drive from a camera (Bojarski et al. 2016, arXiv 1604.07316): the K
frames lie on top of each other as channels, so that a difference of two is a velocity, and a tanh
keeps each command within the limits that were shown. There is no spatial softmax: what matters in a
picture need not be a place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from understudy.data.windows import TASK, Batch, Windows
from understudy.nn.vision import crop, crop_size
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.heads import Choices, Error, Regression
from understudy.policies.observe import TASK_FEATURES, VectorInput, require_tasks, task_embedding
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class CnnConfig(PolicyConfig):
    """Convolutions over the last frames to bounded commands: for driving and games."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {
            "small": Preset(learn={"batch_size": 64}),
            "paper": Preset(  # Bojarski et al. 2016, whose kernels are 5, 5, 5, 3, 3
                policy={"history": 1, "channels": (24, 36, 48, 64, 64), "width": 100, "loss": "l2"},
                learn={"steps": 100_000, "batch_size": 64, "learning_rate": 1e-4},
            ),
        }
    )

    history: int = 4
    channels: tuple[int, ...] = (32, 48, 64, 64)
    """Channels of the convolutions; each halves the picture."""
    width: int = 256
    """Units of the layer after them."""
    dropout: float = 0.0
    """Share of hidden units switched off in training."""
    crop: float = 0
    """What is seen, anywhere in training, the centre in use: a square of so many pixels, or below 1
    that share of each side; 0: all of it."""
    loss: Error = "l1"
    """Error of continuous actions; a discrete action takes the cross-entropy."""

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if not self.channels or min(*self.channels, self.width) < 1 or self.crop < 0:
            raise ValueError(f"channels and width must be at least 1, crop at least 0, got {self}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in 0..1, got {self.dropout}")

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals; raises ValueError where there is no camera."""
        return Cnn(self, spec)


@final
class Cnn(Policy):
    """H bounded actions from K stacked frames of each camera."""

    config: CnnConfig

    def __init__(self, config: CnnConfig, spec: Spec) -> None:
        super().__init__(config, spec, clips=True)
        if not spec.cameras:
            raise ValueError(
                f"cnn reads cameras, there are only {list(spec.vectors)}; mlp reads vectors"
            )
        self.config = config
        self.cameras = spec.cameras
        shapes = [spec.observations[key].shape for key in self.cameras]
        self.trunks = nn.ModuleList(_trunk(config) for _ in self.cameras)
        self.vectors = VectorInput(spec)
        self.task = task_embedding(config.tasks, TASK_FEATURES)
        size = sum(_outputs(config, shape) for shape in shapes)
        size += config.history * self.vectors.size + (TASK_FEATURES if config.tasks else 0)
        self.network = nn.Sequential(
            nn.Linear(size, config.width), nn.SiLU(), nn.Dropout(config.dropout)
        )
        sizes = (config.width, config.horizon, spec.action)
        self.head = (
            Choices(*sizes)
            if spec.action.choices
            else Regression(*sizes, config.loss, bounded=True)
        )

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of vectors and actions."""
        require_tasks(self.config.tasks, windows)
        self.vectors.prepare(windows)
        self.head.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean error over the valid steps: cross-entropy, or L1 or L2 of actions within -1..1."""
        return self.head.loss(self._features(batch.observations), batch)

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return actions (B, H, A) within the least and the greatest shown."""
        return self.head.actions(self._features(observations), noise)

    def _features(self, observations: Mapping[str, Tensor]) -> Tensor:
        parts = [part.flatten(1) for part in self.vectors(observations)]
        for key, trunk in zip(self.cameras, self.trunks, strict=True):
            frames = observations[key]  # (B, K, Y, X, 3)
            if self.config.crop:
                size = crop_size(self.config.crop, tuple(frames.shape[2:]))
                frames = crop(frames, size, self.training)
            stacked = frames.movedim(1, 3).flatten(3)  # (B, Y, X, K * 3)
            pixels = stacked.permute(0, 3, 1, 2).float() / 127.5 - 1
            parts.append(trunk(pixels).flatten(1))
        if self.task is not None:
            parts.append(self.task(observations[TASK]))
        return self.network(torch.cat(parts, 1))  # (B, width)


def _trunk(config: CnnConfig) -> nn.Module:
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise([3 * config.history, *config.channels])):
        layers += [nn.Conv2d(inputs, outputs, 3 if number else 5, 2, 1 if number else 2), nn.SiLU()]
    return nn.Sequential(*layers)


def _outputs(config: CnnConfig, shape: tuple[int, ...]) -> int:
    """Numbers that a camera of this shape becomes; raises ValueError where a crop does not fit."""
    rows, columns = crop_size(config.crop, shape)
    for _ in config.channels:
        rows, columns = -(-rows // 2), -(-columns // 2)
    return rows * columns * config.channels[-1]
