"""From features to actions: regression, a Gaussian mixture, or the logits of choices; errors over valid steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, final

import torch
from torch import Tensor, distributions, nn
from torch.nn import functional

from understudy.data.windows import Batch, Windows
from understudy.nn.normalize import Mode, Normalizer
from understudy.policies.observe import fit
from understudy.spec import ACTION, Signal

Error = Literal["l1", "l2"]
Play = Literal["low_noise", "sample"]
PLAYED_DEVIATION = (
    1e-4  # of a Gaussian in play, in deviations of the action (robomimic's low-noise evaluation)
)


@final
class Last(nn.Linear):
    """A head's last layer: float32 where the network before it computes in bfloat16.

    What it gives is the action, or a mixture's deviations, which are finer than bfloat16 resolves.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return float32 (*, outputs) of inputs (*, F)."""
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.float())


class Head(nn.Module, ABC):
    """Gives H actions for features (B, F)."""

    draws: int = 0  # standard normal numbers that one answer takes

    @abstractmethod
    def prepare(self, windows: Windows) -> None:
        """Fit the normaliser of the actions."""

    @abstractmethod
    def loss(self, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return scalars; "total" is minimised."""

    @abstractmethod
    def actions(self, features: Tensor, noise: Tensor) -> Tensor:
        """Return actions (B, H, A) in their own unit; noise is (B, draws)."""


@final
class Regression(Head):
    """One value for each action, the mean or the median of what was shown.

    `bounded` keeps it between the least and the greatest action shown, by a tanh.
    """

    def __init__(
        self, inputs: int, horizon: int, signal: Signal, error: Error, bounded: bool = False
    ) -> None:
        super().__init__()
        self.shape = (horizon, signal.size)
        self.error, self.bounded = error, bounded
        self.normalizer = Normalizer(signal.size, "min_max" if bounded else "mean_std")
        self.last = Last(inputs, horizon * signal.size)

    def prepare(self, windows: Windows) -> None:
        """Fit the normaliser to the targets."""
        fit(self.normalizer, windows.statistics(ACTION))

    def loss(self, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Mean L1 or L2 of normalised actions over the valid steps."""
        difference = self._output(features) - self.normalizer(batch.actions)
        errors = difference.abs() if self.error == "l1" else difference.square()
        return {"total": masked_mean(errors.mean(-1), batch.valid)}

    def actions(self, features: Tensor, noise: Tensor) -> Tensor:
        """Return the regressed actions."""
        return self.normalizer.inverse(self._output(features))

    def _output(self, features: Tensor) -> Tensor:
        output = self.last(features).view(-1, *self.shape)
        return output.tanh() if self.bounded else output


@final
class Choices(Head):
    """One of `signal.choices` for each element of each action."""

    def __init__(self, inputs: int, horizon: int, signal: Signal) -> None:
        super().__init__()
        assert signal.choices is not None
        self.shape = (horizon, signal.size, signal.choices)
        self.last = Last(inputs, horizon * signal.size * signal.choices)

    def prepare(self, windows: Windows) -> None:
        """Nothing to fit."""

    def loss(self, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy over the valid steps, and in evaluation the share that is right."""
        logits = self.logits(features).flatten(0, 2)  # (B * H * A, choices)
        targets = batch.actions.flatten()  # (B * H * A,)
        errors = functional.cross_entropy(logits, targets, reduction="none")
        losses = {"total": masked_mean(errors.view(batch.actions.shape).mean(-1), batch.valid)}
        if not self.training:  # a tenth of a small network's step, and not minimised
            right = (logits.argmax(-1) == targets).float().view(batch.actions.shape)
            losses["accuracy"] = masked_mean(right.mean(-1), batch.valid)
        return losses

    def actions(self, features: Tensor, noise: Tensor) -> Tensor:
        """Return the most likely choices, (B, H, A) int64."""
        return self.logits(features).argmax(-1)

    def logits(self, features: Tensor) -> Tensor:
        """Return (B, H, A, choices)."""
        return self.last(features).view(-1, *self.shape)

    def distribution(self, features: Tensor) -> distributions.Distribution:
        """Return the distribution of (B, H, A) choices."""
        choices = distributions.Categorical(logits=self.logits(features), validate_args=False)
        return distributions.Independent(choices, 2, validate_args=False)


def positive(values: Tensor) -> Tensor:
    """Softplus, the same to the bit for a number wherever in a tensor it stands; torch's own is not."""
    return torch.log1p(torch.exp(-values.abs())) + values.clamp_min(0)


@final
class Mixture(Head):
    """A mixture of `modes` diagonal Gaussians over the whole chunk of H actions.

    robomimic's head (Mandlekar et al. 2021, arXiv 2108.03298) with its floor under the deviations.
    A mode stands for the chunk as a whole, so that its actions belong together; with H = 1 it is
    theirs. In play one mode is drawn and followed with a deviation of 1e-4 (`low_noise`), or the
    mixture itself is sampled (`sample`).
    """

    def __init__(
        self,
        inputs: int,
        horizon: int,
        signal: Signal,
        modes: int,
        least_deviation: float,
        play: Play,
    ) -> None:
        super().__init__()
        self.modes, self.least, self.play = modes, least_deviation, play
        self.shape = (horizon, signal.size)
        self.numbers = horizon * signal.size
        self.draws = self.numbers + 1
        self.normalizer = Normalizer(signal.size, "mean_std")
        self.means = Last(inputs, modes * self.numbers)
        self.deviations = Last(inputs, modes * self.numbers)
        self.weights = Last(inputs, modes)

    def prepare(self, windows: Windows) -> None:
        """Fit the normaliser to the targets."""
        fit(self.normalizer, windows.statistics(ACTION))

    def loss(self, features: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Negative log likelihood of a number of the normalised actions, over the valid steps."""
        weights, normal = self._parts(features)
        actions = self.normalizer(batch.actions)[:, None]  # (B, 1, H, A)
        each = normal.log_prob(actions).sum(-1) * batch.valid[:, None]  # (B, M, H)
        likelihood = torch.logsumexp(weights + each.sum(-1), 1)  # (B,)
        return {"total": -likelihood.sum() / (batch.valid.sum() * self.shape[1])}

    def actions(self, features: Tensor, noise: Tensor) -> Tensor:
        """Draw a mode by the first number of `noise`, and its Gaussian by the others."""
        weights, normal = self._parts(features)
        share = distributions.Normal(0.0, 1.0).cdf(noise[:, :1])  # uniform, (B, 1)
        mode = (weights.exp().cumsum(1) < share).sum(1).clamp_max(self.modes - 1)  # (B,)
        row = torch.arange(len(mode), device=mode.device)
        deviation = normal.stddev[row, mode] if self.play == "sample" else PLAYED_DEVIATION
        drawn = normal.mean[row, mode] + deviation * noise[:, 1:].view(-1, *self.shape)
        return self.normalizer.inverse(drawn)

    def distribution(self, features: Tensor) -> distributions.Distribution:
        """Return the distribution of chunks (B, H, A), in the actions' own unit."""
        weights, normal = self._parts(features)
        scale, offset = self.normalizer.scale, self.normalizer.offset
        component = distributions.Normal(
            normal.mean * scale + offset, normal.stddev * scale, validate_args=False
        )
        return distributions.MixtureSameFamily(
            distributions.Categorical(logits=weights, validate_args=False),
            distributions.Independent(component, 2, validate_args=False),
            validate_args=False,
        )

    def _parts(self, features: Tensor) -> tuple[Tensor, distributions.Normal]:
        """Log weights (B, M) and Gaussians (B, M, H, A) in deviations of the action."""
        shape = (-1, self.modes, *self.shape)
        means = self.means(features).view(shape)
        deviations = positive(self.deviations(features)).view(shape) + self.least
        weights = self.weights(features).log_softmax(1)
        return weights, distributions.Normal(means, deviations, validate_args=False)


@final
class ActionCode(nn.Module):
    """Actions as numbers of about -1 to 1, (B, H, size), and back.

    A discrete action is one number for each choice, 1 for the chosen and -1 for the others (analog
    bits, Chen et al. 2022, arXiv 2208.04202), and the greatest wins.
    """

    def __init__(self, signal: Signal, mode: Mode) -> None:
        super().__init__()
        self.shape, self.choices = signal.shape, signal.choices
        self.normalizer = None if self.choices else Normalizer(signal.size, mode)
        self.size = signal.size * (self.choices or 1)

    def prepare(self, windows: Windows) -> None:
        """Fit to the targets of the training data."""
        if self.normalizer is not None:
            fit(self.normalizer, windows.statistics(ACTION))

    def encode(self, batch: Batch) -> Tensor:
        """Return the targets; past its episode's end a chunk goes on with the last action."""
        last = batch.valid.sum(1, keepdim=True) - 1  # (B, 1)
        index = torch.minimum(torch.arange(batch.valid.shape[1], device=last.device), last)
        actions = batch.actions.gather(1, index[..., None].expand_as(batch.actions))
        if self.normalizer is not None:
            return self.normalizer(actions)
        return 2.0 * functional.one_hot(actions, self.choices or 0).flatten(2) - 1.0

    def decode(self, values: Tensor) -> Tensor:
        """Return actions (B, H, A) in their own unit."""
        if self.normalizer is not None:
            return self.normalizer.inverse(values)
        return values.unflatten(-1, (-1, self.choices or 0)).argmax(-1)


def regression(inputs: int, horizon: int, signal: Signal, error: Error) -> Regression | Choices:
    """Return the head that gives one value: choices for a discrete signal."""
    if signal.choices is not None:
        return Choices(inputs, horizon, signal)
    return Regression(inputs, horizon, signal, error)


def mixture(
    inputs: int,
    horizon: int,
    signal: Signal,
    modes: int,
    least_deviation: float,
    play: Play,
) -> Mixture | Choices:
    """Return the head that gives a distribution: choices for a discrete signal."""
    if signal.choices is not None:
        return Choices(inputs, horizon, signal)
    return Mixture(inputs, horizon, signal, modes, least_deviation, play)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of (B, H) over the steps inside their episode, (B, H) bool."""
    if values.shape[1] == 1:
        return values.mean()  # the current tick is always inside
    weight = valid.to(values.dtype)
    return (values * weight).sum() / weight.sum()
