"""What a policy sees, as numbers side by side: vectors, cameras and the task, in any mix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from understudy.data.windows import TASK, Statistics, Windows
from understudy.nn.draw import normal
from understudy.nn.encode import PiecewiseLinear
from understudy.nn.normalize import Mode, Normalizer
from understudy.nn.vision import ImageEncoder, VisionConfig
from understudy.policies.base import PolicyConfig
from understudy.spec import Spec

TASK_FEATURES = 16  # numbers that a task's text becomes


@final
class VectorInput(nn.Module):
    """All vector observations of a window, side by side: (B, K, size).

    Each is normalised or, with `bins`, passed through a piecewise-linear encoding.
    """

    def __init__(self, spec: Spec, bins: int = 0, mode: Mode = "mean_std") -> None:
        super().__init__()
        self.keys = spec.vectors
        self.sizes = sizes = [spec.observations[key].size for key in self.keys]
        self.encoders = nn.ModuleList(
            PiecewiseLinear(size, bins) if bins else Normalizer(size, mode) for size in sizes
        )
        self.size = sum(
            encoder.outputs if isinstance(encoder, PiecewiseLinear) else size
            for encoder, size in zip(self.encoders, sizes, strict=True)
        )

    def prepare(self, windows: Windows) -> None:
        """Fit the encoder of each observation."""
        for key, encoder in zip(self.keys, self.encoders, strict=True):
            if isinstance(encoder, PiecewiseLinear):
                rows = windows.rows(key)
                encoder.fit(rows.reshape(len(rows), -1))  # (n, D)
            elif isinstance(encoder, Normalizer):
                fit(encoder, windows.statistics(key))

    @torch.no_grad()
    def adapt(self, mean: Tensor, deviation: Tensor) -> None:
        """Normalise by other moments, of all vectors side by side (D,); encodings by bins stay as they are."""
        parts = zip(self.encoders, mean.split(self.sizes), deviation.split(self.sizes), strict=True)
        for encoder, offset, scale in parts:
            if isinstance(encoder, Normalizer):
                encoder.offset.copy_(offset)
                encoder.scale.copy_(scale)

    def forward(self, observations: Mapping[str, Tensor]) -> list[Tensor]:
        """Return one (B, K, *) for each vector from {key: (B, K, *shape)}."""
        return [
            encoder(observations[key].reshape(*observations[key].shape[:2], size).float())
            for key, size, encoder in zip(self.keys, self.sizes, self.encoders, strict=True)
        ]


@final
class Observations(nn.Module):
    """Everything that is seen in a window, side by side: (B, K, size)."""

    def __init__(
        self,
        spec: Spec,
        config: PolicyConfig,
        vision: VisionConfig,
        bins: int = 0,
        mode: Mode = "mean_std",
    ) -> None:
        super().__init__()
        self.tasks = config.tasks
        self.vectors = VectorInput(spec, bins, mode)
        self.cameras = spec.cameras
        self.encoders = nn.ModuleList(
            ImageEncoder(vision, spec.observations[key].shape) for key in self.cameras
        )
        self.task = task_embedding(self.tasks, TASK_FEATURES)
        self.size = (
            self.vectors.size
            + vision.features * len(self.cameras)
            + (TASK_FEATURES if self.tasks else 0)
        )

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers, and begin with the given weights of the cameras' encoders."""
        require_tasks(self.tasks, windows)
        self.vectors.prepare(windows)
        for encoder in self.encoders:
            encoder.prepare()  # pyright: ignore[reportCallIssue]  # ModuleList forgets the class

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return (B, K, size) from {key: (B, K, *shape)} and {"task": (B,)}."""
        parts = self.vectors(observations)
        parts += [
            encoder(observations[key])
            for key, encoder in zip(self.cameras, self.encoders, strict=True)
        ]
        if self.task is not None:
            history = parts[0].shape[1]
            parts.append(self.task(observations[TASK])[:, None].expand(-1, history, -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


def task_embedding(tasks: Sequence[str], size: int) -> nn.Embedding | None:
    """What a task's number becomes, (size,) numbers drawn as torch draws them; None for a policy of one task."""
    if not tasks:
        return None
    return nn.Embedding.from_pretrained(normal(len(tasks), size), freeze=False)


def require_tasks(tasks: tuple[str, ...], windows: Windows) -> None:
    """Raise ValueError where a policy that tells tasks apart was made for others than the data's."""
    if tasks and tasks != windows.tasks:
        raise ValueError(f"the policy tells apart the tasks {tasks}, the data hold {windows.tasks}")


def fit(normalizer: Normalizer, statistics: Statistics) -> None:
    """Fit a normaliser to exact statistics."""
    normalizer.fit(
        torch.from_numpy(statistics.mean),
        torch.from_numpy(statistics.std),
        torch.from_numpy(statistics.least),
        torch.from_numpy(statistics.most),
    )
