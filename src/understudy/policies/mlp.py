"""Chunked behaviour cloning with a multilayer perceptron: one regression, or one classification, a step.

The plain baseline (Pomerleau 1989) that predicts H actions at once (action chunking: Zhao et al. 2023,
arXiv 2304.13705). Inputs can pass through a piecewise-linear encoding (Gorishniy et al. 2022, arXiv
2203.05556) with which a small network can draw a sharp border, as a bang-bang expert needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, final

from torch import Tensor, nn
from torch.nn import functional

from understudy.data.windows import Batch, Windows
from understudy.policies.base import (
    ContinuousAction,
    Policy,
    PolicyConfig,
    VectorInput,
    masked_mean,
)
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class MlpConfig(PolicyConfig):
    """Multilayer perceptron: fast, strong where the expert is unimodal."""

    width: int = 256
    """Units of each hidden layer."""
    depth: int = 3
    """Hidden layers."""
    bins: int = 0
    """Bins of the piecewise-linear encoding of each input number; 0: standardised numbers."""
    dropout: float = 0.0
    """Share of hidden units switched off in training."""
    loss: Literal["l1", "l2"] = "l1"
    """Error of continuous actions; a discrete action takes the cross-entropy."""

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
        self.input = VectorInput(spec, config.bins)
        self.choices = spec.action.choices
        self.action = None if self.choices else ContinuousAction(spec.action, "mean_std")
        widths = [config.history * self.input.size, *[config.width] * config.depth]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.SiLU()]
            if config.dropout:
                layers.append(nn.Dropout(config.dropout))
        outputs = config.horizon * spec.action.size * (self.choices or 1)
        self.network = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.input.prepare(windows)
        if self.action is not None:
            self.action.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean error over the valid steps: cross-entropy, or L1 or L2 of normalised actions."""
        output = self._output(batch.observations)
        if self.action is None:
            logits = output.flatten(0, 2)  # (B * H * A, choices)
            targets = batch.actions.flatten()  # (B * H * A,)
            errors = functional.cross_entropy(logits, targets, reduction="none")
            losses = {"total": masked_mean(errors.view(batch.actions.shape).mean(-1), batch.valid)}
            if not self.training:  # a tenth of a small network's step, and not minimised
                right = (logits.argmax(-1) == targets).float().view(batch.actions.shape)
                losses["accuracy"] = masked_mean(right.mean(-1), batch.valid)
            return losses
        error = output - self.action.encode(batch.actions)
        errors = (error.abs() if self.config.loss == "l1" else error.square()).mean(-1)  # (B, H)
        return {"total": masked_mean(errors, batch.valid)}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return the most likely choices, or the regressed actions, (B, H, A)."""
        output = self._output(observations)
        return output.argmax(-1) if self.action is None else self.action.decode(output)

    def _output(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, H, A), or logits (B, H, A, choices)."""
        output = self.network(self.input(observations).flatten(1))
        shape = [self.config.horizon, self.spec.action.size]
        return output.view(-1, *shape, *([self.choices] if self.choices else []))
