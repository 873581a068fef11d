"""Small worlds whose every number a test can foretell."""

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from understudy.spec import Signal, Spec
from understudy.tasks.base import TaskConfig

REACH_SPEC = Spec(
    observations={"observation.state": Signal((4,))},
    action=Signal((2,)),
    rate_hz=10.0,
    task="reach the goal",
)
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


class ReachWorld(gymnasium.Env[Any, Any]):
    """A point in the plane that is to come to rest on a goal; a command is a step of up to 0.1."""

    signals = REACH_SPEC
    observation_space = spaces.Dict({"observation.state": spaces.Box(-2, 2, (4,), np.float32)})
    action_space = spaces.Box(-0.1, 0.1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return self._seen(), {}

    def step(self, action):
        self.place = self.place + np.clip(action, -0.1, 0.1)
        distance = float(np.linalg.norm(self.goal - self.place))
        near = distance < 0.05
        return self._seen(), -distance, near, False, {"is_success": near}

    def expert_action(self):
        return np.clip((self.goal - self.place) / 3, -0.1, 0.1).astype(np.float32)

    def _seen(self):
        return {"observation.state": np.concatenate([self.place, self.goal]).astype(np.float32)}


@dataclass(frozen=True, kw_only=True)
class ReachTask(TaskConfig):
    """The task of `ReachWorld`, of at most 60 ticks."""

    has_expert: ClassVar[bool] = True

    @property
    def spec(self):
        return REACH_SPEC

    def build(self, render_mode=None):
        return gymnasium.wrappers.TimeLimit(ReachWorld(), 60)
