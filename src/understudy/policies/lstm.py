"""A recurrent policy: LSTM or GRU over the window of K observations, then a head.

BC-RNN of robomimic (Mandlekar et al. 2021, arXiv 2108.03298): zero state at the window's beginning,
a mixture of five Gaussians. Differences: the state is rebuilt from the last K observations at each
prediction, in training as in play, so that the two always match (robomimic carries it on and zeroes
it every ten steps), at the price that nothing older than K is remembered; the loss is on the
window's last tick, whose next H actions are predicted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal, final

from torch import Tensor, distributions, nn

from understudy.data.windows import Batch, Windows
from understudy.nn.vision import VisionConfig
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.heads import Choices, Mixture, Play, mixture, regression
from understudy.policies.observe import Observations
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class LstmConfig(PolicyConfig):
    """LSTM or GRU over the last observations: for what a single one does not show."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {
            "small": Preset(learn={"precision": "auto"}),
            "paper": Preset(  # robomimic's BC-RNN-GMM
                policy={"width": 400, "layers": 2, "modes": 5, "least_deviation": 1e-4},
                learn={
                    "steps": 200_000,
                    "batch_size": 100,
                    "learning_rate": 1e-4,
                    "precision": "auto",
                },
            ),
        }
    )

    history: int = 10
    cell: Literal["lstm", "gru"] = "lstm"
    """Kind of the recurrent network."""
    width: int = 256
    """Units of each recurrent layer."""
    layers: int = 1
    """Recurrent layers."""
    head: Literal["mixture", "l1", "l2"] = "mixture"
    """mixture: a distribution; l1, l2: one value with that error."""
    modes: int = 5
    """Gaussians in the mixture; 1: a single diagonal one."""
    least_deviation: float = 1e-2
    """Floor under the standard deviations, in deviations of the action."""
    play: Play = "low_noise"
    """low_noise: draw a mode and follow its mean; sample: draw from the distribution."""
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if min(self.width, self.layers, self.modes) < 1:
            raise ValueError(f"width, layers and modes must be at least 1: {self}")
        if not self.least_deviation > 0:
            raise ValueError(f"least_deviation must be positive, got {self.least_deviation}")

    def build(self, spec: Spec) -> Policy:
        """Build the network for these signals."""
        return Lstm(self, spec)


@final
class Lstm(Policy):
    """H actions from the last state of a recurrent network over K observations."""

    config: LstmConfig

    def __init__(self, config: LstmConfig, spec: Spec) -> None:
        head = (
            mixture(
                config.width,
                config.horizon,
                spec.action,
                config.modes,
                config.least_deviation,
                config.play,
            )
            if config.head == "mixture"
            else regression(config.width, config.horizon, spec.action, config.head)
        )
        super().__init__(config, spec, noise_shape=(head.draws,))
        self.config = config
        self.input = Observations(spec, config, config.vision)
        cell = nn.LSTM if config.cell == "lstm" else nn.GRU
        self.network = cell(self.input.size, config.width, config.layers, batch_first=True)
        self.head = head

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.input.prepare(windows)
        self.head.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The head's: negative log likelihood, or the error of a regression."""
        return self.head.loss(self._features(batch.observations), batch)

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return actions (B, H, A)."""
        return self.head.actions(self._features(observations), noise)

    def distribution(self, observations: Mapping[str, Tensor]) -> distributions.Distribution:
        """Return the distribution of chunks; raises TypeError for a regression, which has none."""
        if not isinstance(self.head, Choices | Mixture):
            raise TypeError(
                f"head={self.config.head!r} regresses one value: there is no distribution"
            )
        return self.head.distribution(self._features(observations))

    def _features(self, observations: Mapping[str, Tensor]) -> Tensor:
        return self.network(self.input(observations))[0][:, -1]  # (B, width)
