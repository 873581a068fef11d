"""How long a policy takes to decide."""

from __future__ import annotations

import statistics
import time

import torch

from understudy.policies.base import Policy

WARM_UP = 5


def decision_ms(policy: Policy, times: int) -> float:
    """Median time of one prediction for one world, on the threads that torch has."""
    shapes = {key: signal.shape for key, signal in policy.spec.observations.items()}
    seen = {key: torch.zeros(1, policy.config.history, *shape) for key, shape in shapes.items()}
    noise = torch.randn(1, *policy.noise_shape)
    found = []
    with torch.inference_mode():
        for _ in range(times + WARM_UP):
            began = time.perf_counter()
            policy.predict(seen, noise)
            found.append(1e3 * (time.perf_counter() - began))
    return statistics.median(found[WARM_UP:])
