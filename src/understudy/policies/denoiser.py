"""The networks behind diffusion, flow and one step: noisy actions, a time and what is seen, to actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, final

from torch import nn

from understudy.data.augment import AugmentConfig
from understudy.nn.residual import ResidualNetwork
from understudy.nn.unet1d import UNet1d
from understudy.nn.vision import VisionConfig
from understudy.policies.base import Preset

# Of diffusion, flow and one step on two processor cores. Dropout and noise keep 206 demonstrations
# from being learnt by heart: docs/policies/flow.md.
SMALL_TRAINING = {
    "steps": 9000,
    "batch_size": 128,
    "learning_rate": 5e-4,
    "precision": "auto",
    "past_end": "held",
    "augment": AugmentConfig(vector_noise=0.02),
}
PAPER_TRAINING = {  # Chi et al. 2023, of the state tasks
    "steps": 200_000,
    "batch_size": 256,
    "learning_rate": 1e-4,
    "weight_decay": 1e-6,
    "warmup_steps": 500,
    "beta1": 0.95,
    "ema_decay": 0.9999,
    "precision": "auto",
    "past_end": "held",
}


@final
@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """The network that turns noise into actions."""

    network: Literal["unet", "residual"] = "unet"
    """unet: convolutions over time, as published; residual: products alone, quicker in use."""
    widths: tuple[int, ...] = (64, 128, 256)
    """unet: channels of each level; a level has half the time steps of the one before."""
    kernel: int = 5
    """unet: actions that a convolution spans, an odd number."""
    width: int = 256
    """residual: channels."""
    depth: int = 6
    """residual: blocks."""
    dropout: float = 0.2
    """Share of hidden values switched off in training."""

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in 0..1, got {self.dropout}")

    def build(self, actions: int, horizon: int, condition: int) -> nn.Module:
        """Build the network for chunks (B, horizon, actions) and conditions (B, condition)."""
        if self.network == "residual":
            return ResidualNetwork(
                actions, horizon, condition, self.width, self.depth, dropout=self.dropout
            )
        halvings = len(self.widths) - 1
        if horizon % 2**halvings:
            raise ValueError(
                f"horizon {horizon} must be a multiple of {2**halvings}: "
                f"{len(self.widths)} widths halve the time {halvings} times"
            )
        return UNet1d(actions, condition, self.widths, self.kernel, dropout=self.dropout)


def presets_with(published: Mapping[str, Any]) -> Mapping[str, Preset]:
    """The presets of a policy around this network; `published` are values of "paper" that it alone has."""
    large = {
        "denoiser": DenoiserConfig(widths=(256, 512, 1024), dropout=0.0),
        "vision": VisionConfig(encoder="resnet18", crop=0.875),
    }
    return MappingProxyType(
        {
            "small": Preset(learn=SMALL_TRAINING),
            "paper": Preset(policy={**large, **published}, learn=PAPER_TRAINING),
        }
    )
