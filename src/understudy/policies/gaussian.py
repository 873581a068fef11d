"""Behaviour cloning with a distribution: a diagonal Gaussian, or a mixture of them, over the chunk.

A mixture can hold several ways of doing the same where a regression would average them (Mandlekar
et al. 2021, arXiv 2108.03298: five modes, a floor of 1e-4 under the deviations, play with almost no
noise). Difference: with H > 1 one mode stands for the whole chunk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, final

from torch import Tensor, distributions

from understudy.data.windows import Batch, Windows
from understudy.nn.perceptron import perceptron
from understudy.nn.vision import VisionConfig
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.heads import Play, mixture
from understudy.policies.observe import Observations
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class GaussianConfig(PolicyConfig):
    """Gaussian or mixture of Gaussians: a likelihood, several ways of doing a task, one cheap call."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {
            "small": Preset(),
            "paper": Preset(  # robomimic's BC-GMM
                policy={"width": 1024, "depth": 2, "modes": 5, "least_deviation": 1e-4},
                learn={"steps": 200_000, "batch_size": 100, "learning_rate": 1e-4},
            ),
        }
    )

    width: int = 256
    """Units of each hidden layer."""
    depth: int = 3
    """Hidden layers."""
    bins: int = 0
    """Bins of the piecewise-linear encoding of each input number; 0: standardised numbers."""
    dropout: float = 0.0
    """Share of hidden units switched off in training."""
    modes: int = 5
    """Gaussians in the mixture; 1: a single diagonal one."""
    least_deviation: float = 1e-2
    """Floor under the standard deviations, in deviations of the action."""
    play: Play = "low_noise"
    """low_noise: draw a mode and follow its mean; sample: draw from the distribution."""
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if min(self.width, self.depth, self.modes) < 1 or self.bins < 0:
            raise ValueError(f"width, depth and modes must be at least 1, bins at least 0: {self}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in 0..1, got {self.dropout}")
        if not self.least_deviation > 0:
            raise ValueError(f"least_deviation must be positive, got {self.least_deviation}")

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return Gaussian(self, spec)


@final
class Gaussian(Policy):
    """A distribution over H actions from K observations."""

    config: GaussianConfig

    def __init__(self, config: GaussianConfig, spec: Spec) -> None:
        head = mixture(
            config.width,
            config.horizon,
            spec.action,
            config.modes,
            config.least_deviation,
            config.play,
        )
        super().__init__(config, spec, noise_shape=(head.draws,))
        self.config = config
        self.input = Observations(spec, config, config.vision, config.bins)
        widths = [config.history * self.input.size, *[config.width] * config.depth]
        self.network = perceptron(widths, config.dropout)
        self.head = head

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.input.prepare(windows)
        self.head.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Negative log likelihood of what was shown, per number and valid step."""
        return self.head.loss(self._features(batch.observations), batch)

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return a draw (B, H, A), or the likeliest choices."""
        return self.head.actions(self._features(observations), noise)

    def distribution(self, observations: Mapping[str, Tensor]) -> distributions.Distribution:
        """Return the distribution of chunks (B, H, A), in the actions' own unit."""
        return self.head.distribution(self._features(observations))

    def _features(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.network(self.input(observations).flatten(1))  # (B, width)
