"""Policies that give a distribution of actions: what is drawn from it, how likely it was, how wide it is.

Commands never leave the limits of their signal: what is drawn beyond one is the limit, and the
likelihood of a limit is that of all that lies beyond it (Fujita & Maeda 2018, arXiv 1802.07564,
clipped-action policy gradients).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, cast, final, runtime_checkable

import numpy as np
import torch
from torch import Tensor, distributions

from understudy.policies.base import Policy
from understudy.policies.observe import Observations
from understudy.spec import Signal

FAR = 1e9  # stands for a limit that is not there: its tail has a likelihood and a gradient of zero


@runtime_checkable
class Stochastic(Protocol):
    """What a policy has from which actions can be drawn; `input` is where its normalisers are."""

    input: Observations

    def distribution(self, observations: Mapping[str, Tensor]) -> distributions.Distribution:
        """Return the distribution of (B, H, A)."""
        ...


def require_stochastic(policy: Policy) -> Stochastic:
    """Return the policy as one to draw from; raises ValueError where it gives no distribution of one action."""
    is_one = policy.config.horizon == 1 and isinstance(policy, Stochastic)
    head = getattr(policy, "head", None)
    if not is_one or not hasattr(head, "distribution"):
        raise ValueError(
            f"{type(policy).__name__} of horizon {policy.config.horizon} gives no distribution of one "
            "action: take gaussian, or lstm with the head mixture, or mlp where the action is discrete, "
            "with horizon 1"
        )
    return cast(Stochastic, policy)


@final
class Likelihood:
    """Draws from the distributions that a policy gives for one signal, and says how likely a command was."""

    def __init__(self, signal: Signal) -> None:
        self.draws = signal.size + (signal.choices is None)  # normal numbers that one draw takes
        self._size = signal.size
        limits = np.array([signal.low or [-FAR], signal.high or [FAR]], np.float64)
        self._low, self._high = torch.from_numpy(limits.clip(-FAR, FAR)).float()

    def draw(self, distribution: distributions.Distribution, noise: Tensor) -> Tensor:
        """Return (B, 1, A) for standard normal noise (B, draws)."""
        if isinstance(distribution, distributions.MixtureSameFamily):
            weights, normal = _parts(distribution)
            share = torch.special.ndtr(noise[:, :1])  # uniform
            mode = (weights.exp().cumsum(1) < share).sum(1).clamp_max(weights.shape[1] - 1)
            row = torch.arange(len(mode))
            drawn = normal.loc[row, mode] + normal.scale[row, mode] * noise[:, None, 1:]
            return torch.clamp(drawn, self._low, self._high)
        logits = _logits(distribution)  # (B, 1, A, choices)
        share = torch.special.ndtr(noise).view(-1, 1, self._size, 1)
        below = logits.softmax(-1).cumsum(-1) < share
        return below.sum(-1).clamp_max(logits.shape[-1] - 1)

    def log_likelihood(self, distribution: distributions.Distribution, actions: Tensor) -> Tensor:
        """Return (B,) of commands (B, 1, A)."""
        if not isinstance(distribution, distributions.MixtureSameFamily):
            chosen = _logits(distribution).log_softmax(-1).gather(-1, actions[..., None])
            return chosen.flatten(1).sum(1)
        weights, normal = _parts(distribution)
        given = actions[:, None]  # (B, 1, 1, A)
        each = normal.log_prob(given)  # (B, M, 1, A)
        low, high = given <= self._low, given >= self._high
        if bool((low | high).any()):
            below = torch.special.log_ndtr((self._low - normal.loc) / normal.scale)
            above = torch.special.log_ndtr((normal.loc - self._high) / normal.scale)
            each = torch.where(low, below, torch.where(high, above, each))
        return torch.logsumexp(weights + each.flatten(2).sum(2), 1)

    def entropy(self, distribution: distributions.Distribution) -> Tensor:
        """Return (B,): exact for choices and one Gaussian, for several the bound of which mode and where."""
        if not isinstance(distribution, distributions.MixtureSameFamily):
            logits = _logits(distribution).log_softmax(-1)
            return -(logits.exp() * logits).flatten(1).sum(1)
        weights, normal = _parts(distribution)
        modes = normal.entropy().flatten(2).sum(2)  # (B, M)
        return (weights.exp() * (modes - weights)).sum(1)


def _parts(mixture: distributions.MixtureSameFamily) -> tuple[Tensor, distributions.Normal]:
    """Log weights (B, M) and Gaussians (B, M, 1, A)."""
    component = cast(distributions.Independent, mixture.component_distribution)
    weights = cast(distributions.Categorical, mixture.mixture_distribution).logits
    return weights, cast(distributions.Normal, component.base_dist)


def _logits(distribution: distributions.Distribution) -> Tensor:
    """Logits (B, 1, A, choices)."""
    independent = cast(distributions.Independent, distribution)
    return cast(distributions.Categorical, independent.base_dist).logits
