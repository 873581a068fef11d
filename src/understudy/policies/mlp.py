"""Chunked behaviour cloning with a multilayer perceptron: one regression, or one classification, a step.

The plain baseline (Pomerleau 1989) that predicts H actions at once (action chunking: Zhao et al. 2023,
arXiv 2304.13705). Inputs can pass through a piecewise-linear encoding (Gorishniy et al. 2022, arXiv
2203.05556) with which a small network can draw a sharp border, as a bang-bang expert needs.
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
from understudy.policies.heads import Choices, Error, regression
from understudy.policies.observe import Observations
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class MlpConfig(PolicyConfig):
    """Multilayer perceptron: fast, strong where the expert is unimodal."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {
            "small": Preset(),
            "paper": Preset(  # robomimic's BC (Mandlekar et al. 2021)
                policy={"width": 1024, "depth": 2, "loss": "l2"},
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
    loss: Error = "l1"
    """Error of continuous actions; a discrete action takes the cross-entropy."""
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if self.width < 1 or self.depth < 1 or self.bins < 0:
            raise ValueError(f"width and depth must be at least 1, bins at least 0, got {self}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in 0..1, got {self.dropout}")

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return Mlp(self, spec)


@final
class Mlp(Policy):
    """H actions from K observations through one stack of layers."""

    config: MlpConfig

    def __init__(self, config: MlpConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.config = config
        self.input = Observations(spec, config, config.vision, config.bins)
        widths = [config.history * self.input.size, *[config.width] * config.depth]
        self.network = perceptron(widths, config.dropout)
        self.head = regression(config.width, config.horizon, spec.action, config.loss)

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.input.prepare(windows)
        self.head.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean error over the valid steps: cross-entropy, or L1 or L2 of normalised actions."""
        return self.head.loss(self._features(batch.observations), batch)

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return the most likely choices, or the regressed actions, (B, H, A)."""
        return self.head.actions(self._features(observations), noise)

    def distribution(self, observations: Mapping[str, Tensor]) -> distributions.Distribution:
        """Return the distribution of choices; raises TypeError where actions are regressed."""
        if not isinstance(self.head, Choices):
            raise TypeError("an mlp regresses continuous actions: there is no distribution")
        return self.head.distribution(self._features(observations))

    def _features(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.network(self.input(observations).flatten(1))  # (B, width)
