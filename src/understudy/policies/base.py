"""The one contract of everything that is learnt: K observations in, H actions out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from understudy.data.windows import Batch, Statistics, Windows
from understudy.nn.encode import PiecewiseLinear
from understudy.nn.normalize import Mode, Normalizer
from understudy.spec import ACTION, Signal, Spec


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(ABC):
    """The configuration of one policy: plain numbers and words."""

    reads_cameras: ClassVar[bool] = False

    history: int = 1
    """Observations that are seen at once, K: the newest and K-1 before it."""
    horizon: int = 1
    """Actions that are predicted at once, H."""

    def __post_init__(self) -> None:
        for name in ("history", "horizon"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @abstractmethod
    def build(self, spec: Spec) -> Policy:
        """Build the untrained policy; raises ValueError where it cannot serve `spec`."""


class Policy(nn.Module, ABC):
    """A policy takes and gives raw units; its normalisers are part of its weights.

    `noise_shape` is the shape of the standard normal noise that one prediction takes, (0,) for
    none. `growing` names the buffers whose first dimension is that of the data (kNN's memory).
    """

    def __init__(
        self,
        config: PolicyConfig,
        spec: Spec,
        *,
        noise_shape: tuple[int, ...] = (0,),
        growing: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.config = config
        self.spec = spec
        self.noise_shape = noise_shape
        self.growing = growing

    @abstractmethod
    def prepare(self, windows: Windows) -> None:
        """Look at the training data once and fit the normalisers, or whatever stands for them."""

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return scalars; "total" is minimised, the rest are reported."""

    @abstractmethod
    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return actions (B, H, A) in their own unit (int64 choices where the action is discrete).

        Observations are {key: (B, K, *shape)} and the ticks since the episode's beginning
        {"tick": (B, K)} int64; noise is (B, *noise_shape).
        """


class VectorInput(nn.Module):
    """All vector observations of a window, side by side: (B, K, size).

    Each is standardised or, with `bins`, passed through a piecewise-linear encoding.
    """

    def __init__(self, spec: Spec, bins: int = 0) -> None:
        super().__init__()
        if not spec.vectors:
            raise ValueError(
                f"this policy reads vectors, and there are only cameras: {list(spec.observations)}"
            )
        self.keys = spec.vectors
        sizes = [spec.observations[key].size for key in self.keys]
        self.encoders = nn.ModuleList(
            PiecewiseLinear(size, bins) if bins else Normalizer(size, "mean_std") for size in sizes
        )
        self.size = sum(
            encoder.outputs if isinstance(encoder, PiecewiseLinear) else size
            for encoder, size in zip(self.encoders, sizes, strict=True)
        )

    def prepare(self, windows: Windows) -> None:
        """Fit the encoder of each observation."""
        for key, encoder in zip(self.keys, self.encoders, strict=True):
            if isinstance(encoder, PiecewiseLinear):
                encoder.fit(windows.rows(key))
            elif isinstance(encoder, Normalizer):
                fit(encoder, windows.statistics(key))

    def forward(self, observations: Mapping[str, Tensor]) -> Tensor:
        """Return (B, K, size) from {key: (B, K, *shape)}."""
        parts = [
            encoder(observations[key].flatten(2).float())
            for key, encoder in zip(self.keys, self.encoders, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


class ContinuousAction(nn.Module):
    """The normaliser of a continuous action, between (B, H, A) in its unit and the network's."""

    def __init__(self, signal: Signal, mode: Mode) -> None:
        super().__init__()
        self.normalizer = Normalizer(signal.size, mode)

    def prepare(self, windows: Windows) -> None:
        """Fit to the targets of the training data."""
        fit(self.normalizer, windows.statistics(ACTION))

    def encode(self, actions: Tensor) -> Tensor:
        """Normalise (B, H, A)."""
        return self.normalizer(actions)

    def decode(self, values: Tensor) -> Tensor:
        """Return (B, H, A) in the action's own unit."""
        return self.normalizer.inverse(values)


def fit(normalizer: Normalizer, statistics: Statistics) -> None:
    """Fit a normaliser to exact statistics."""
    normalizer.fit(
        torch.from_numpy(statistics.mean),
        torch.from_numpy(statistics.std),
        torch.from_numpy(statistics.least),
        torch.from_numpy(statistics.most),
    )


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of (B, H) over the steps inside their episode, (B, H) bool."""
    if values.shape[1] == 1:
        return values.mean()  # the current tick is always inside
    weight = valid.to(values.dtype)
    return (values * weight).sum() / weight.sum()
