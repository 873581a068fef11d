"""Small worlds whose every number a test can foretell."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from understudy.spec import Signal, Spec

COUNT_SPEC = Spec(
    observations={"observation.state": Signal((2,))},
    action=Signal((1,), low=(-1.0,), high=(1.0,)),
    rate_hz=10.0,
    task="count",
)


class CountWorld(gymnasium.Env[Any, Any]):
    """Shows (seed, sum of commands so far); ends after 3 + seed % 4 ticks; the expert says 0.5."""

    def __init__(self) -> None:
        self.signals = COUNT_SPEC
        self.observation_space = spaces.Dict(
            {"observation.state": spaces.Box(-np.inf, np.inf, (2,), np.float32)}
        )
        self.action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.total, self.ticks = int(seed or 0), 0.0, 0
        return self._seen(), {}

    def step(self, action):
        self.total += float(action[0])
        self.ticks += 1
        over = self.ticks == 3 + self.seed % 4
        info = {"is_success": self.total > 1, "executed_action": np.clip(action, 0, 1)}
        return self._seen(), 1.0, over, False, info

    def expert_action(self):
        return np.array([0.5], np.float32)

    def _seen(self):
        return {"observation.state": np.array([self.seed, self.total], np.float32)}
