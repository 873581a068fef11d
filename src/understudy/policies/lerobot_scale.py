"""LeRobot's normalisation, number for number: what its checkpoints were trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import torch
from torch import Tensor, nn

from understudy.data.windows import Statistics, Windows
from understudy.nn.vision import PIXEL_DEVIATION, PIXEL_MEAN
from understudy.spec import ACTION, ENVIRONMENT_STATE, STATE, Spec

ScaleMode = Literal["mean_std", "min_max", "identity"]
EPSILON = 1e-8  # in the place of a deviation or a range of 0
# The statistics that a mode needs, by LeRobot's names.
STATISTICS: dict[ScaleMode, tuple[str, ...]] = {
    "mean_std": ("mean", "std"),
    "min_max": ("min", "max"),
    "identity": (),
}


@final
@dataclass(frozen=True, kw_only=True)
class ScaleModes:
    """How each kind of signal is normalised."""

    state_scale: ScaleMode = "mean_std"
    environment_scale: ScaleMode = "identity"
    """LeRobot leaves `observation.environment_state` as it is, unless told otherwise."""
    frames_scale: ScaleMode = "mean_std"
    action_scale: ScaleMode = "mean_std"

    def of(self, key: str) -> ScaleMode:
        """Return the mode of a signal."""
        if key == STATE:
            return self.state_scale
        if key == ENVIRONMENT_STATE:
            return self.environment_scale
        return self.action_scale if key == ACTION else self.frames_scale


@final
class Scale(nn.Module):
    """Maps a signal (..., D) as LeRobot's processors do, and back.

    A constant number is divided by 1e-8, as there: it must stay constant in use. The statistics
    themselves are kept, so that they can be written back.
    """

    first: Tensor  # (D,) mean or least
    second: Tensor  # (D,) deviation or most

    def __init__(self, size: int, mode: ScaleMode) -> None:
        super().__init__()
        self.mode: ScaleMode = mode
        unknown = torch.nan if mode != "identity" else 0.0
        self.register_buffer("first", torch.full((size,), unknown))
        self.register_buffer("second", torch.full((size,), unknown))

    @torch.no_grad()
    def fit(self, statistics: Statistics) -> None:
        """Take the statistics of a signal."""
        chosen = {
            "mean_std": (statistics.mean, statistics.std),
            "min_max": (statistics.least, statistics.most),
            "identity": None,
        }[self.mode]
        if chosen is not None:
            self.first.copy_(torch.from_numpy(chosen[0]))
            self.second.copy_(torch.from_numpy(chosen[1]))

    @property
    def span(self) -> tuple[Tensor, Tensor]:
        """Middle and half width of what becomes -1..1, (D,) each; 0 wide is the middle alone."""
        if self.mode == "identity":
            return self.first, torch.ones_like(self.first)
        if self.mode == "mean_std":
            return self.first, self.second
        return (self.first + self.second) / 2, (self.second - self.first) / 2

    def forward(self, values: Tensor) -> Tensor:
        """Normalise (..., D)."""
        self._require_fitted()
        if self.mode == "identity":
            return values
        if self.mode == "mean_std":
            return (values - self.first) / (self.second + EPSILON)
        return 2 * (values - self.first) / self._range() - 1

    def inverse(self, values: Tensor) -> Tensor:
        """Return (..., D) to the signal's own unit."""
        self._require_fitted()
        if self.mode == "identity":
            return values
        if self.mode == "mean_std":
            return values * self.second + self.first
        return (values + 1) / 2 * self._range() + self.first

    def _range(self) -> Tensor:
        width = self.second - self.first
        return torch.where(width == 0, torch.full_like(width, EPSILON), width)

    def _require_fitted(self) -> None:
        if bool(torch.isnan(self.first).any()):
            raise RuntimeError(
                "the normaliser was never fitted: call policy.prepare(windows) before training, "
                "or load a checkpoint"
            )


@final
class Scales(nn.Module):
    """What LeRobot's processors do around a policy: state, environment, frames, actions.

    Raises ValueError for signals that LeRobot's policies do not have.
    """

    def __init__(self, spec: Spec, modes: ScaleModes) -> None:
        super().__init__()
        other = [key for key in spec.vectors if key not in (STATE, ENVIRONMENT_STATE)]
        if other or spec.action.choices or len(spec.action.shape) != 1:
            wrong = f"observations {other}" if other else f"an action like {spec.action}"
            raise ValueError(f"LeRobot's policies have no {wrong}")
        self.vectors = tuple(key for key in (STATE, ENVIRONMENT_STATE) if key in spec.vectors)
        self.cameras = spec.cameras
        sizes = {key: spec.observations[key].size for key in self.vectors}
        sizes |= dict.fromkeys(self.cameras, 3)
        self.inputs = nn.ModuleDict(
            {plain(key): Scale(size, modes.of(key)) for key, size in sizes.items()}
        )
        self.action = Scale(spec.action.size, modes.action_scale)

    def prepare(self, windows: Windows) -> None:
        """Take the statistics of the vectors and targets; pixels, in 0..1, have ImageNet's."""
        for key in self.vectors:
            self.of(key).fit(windows.statistics(key))
        pixels = Statistics(
            np.array(PIXEL_MEAN), np.array(PIXEL_DEVIATION), np.zeros(3), np.ones(3)
        )
        for key in self.cameras:
            self.of(key).fit(pixels)
        self.action.fit(windows.statistics(ACTION))

    def of(self, key: str) -> Scale:
        """Return the scale of an observation, or of "action"."""
        scale = self.action if key == ACTION else self.inputs[plain(key)]
        assert isinstance(scale, Scale)
        return scale

    def forward(self, observations: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return normalised vectors (B, K, D) and frames (B, K, 3, Y, X)."""
        seen = {key: self.of(key)(observations[key].float()) for key in self.vectors}
        for key in self.cameras:
            frames = self.of(key)(observations[key].float() / 255)
            seen[key] = frames.movedim(-1, -3)
        return seen


def plain(key: str) -> str:
    """A signal's name as the name of a module."""
    return key.replace(".", "_")
