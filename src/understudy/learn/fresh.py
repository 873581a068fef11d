"""A policy to begin with where nobody has shown anything."""

from __future__ import annotations

import math

import torch
from torch import nn

from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.heads import Mixture
from understudy.policies.stochastic import require_stochastic
from understudy.spec import Spec


def fresh(config: PolicyConfig, spec: Spec, seed: int) -> Policy:
    """Return a policy to begin with where nobody has shown anything: `improve` fits its normalisers.

    Until then observations are taken as they are; actions lie around the middle of their limits.
    Raises ValueError for a policy without a distribution, or an action without limits.
    """
    torch.manual_seed(seed)
    policy = config.build(spec)
    vectors = require_stochastic(policy).input.vectors
    vectors.adapt(torch.zeros(sum(vectors.sizes)), torch.ones(sum(vectors.sizes)))
    if isinstance(policy.head, Mixture) and not at_random(policy):
        raise ValueError(f"to try at random, actions need limits, got {spec.action}")
    orthogonal(policy, torch.Generator().manual_seed(seed))
    return policy.eval()


def at_random(policy: Policy) -> bool:
    """Let a policy that is still to learn try all that lies between its action's limits; False without limits."""
    signal = policy.spec.action
    limits = torch.tensor([signal.low, signal.high])
    if not (isinstance(policy.head, Mixture) and limits.numel() and limits.isfinite().all()):
        return False
    middle, half = limits.mean(0), (limits[1] - limits[0]) / 2
    policy.head.normalizer.fit(middle, half, limits[0], limits[1])
    return True


def orthogonal(policy: Policy, generator: torch.Generator) -> None:
    """Give a fresh policy first weights of equal gain, and a head that has no preference yet."""
    for name, parameter in policy.named_parameters():
        if parameter.ndim >= 2:
            gain = 0.01 if name.startswith("head.") else math.sqrt(2)
            nn.init.orthogonal_(parameter, gain, generator=generator)
        elif not name.startswith("input."):
            nn.init.zeros_(parameter)
