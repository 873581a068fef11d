"""A task of your own: an environment, what it shows, and an expert that stands beside it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from understudy.fleet import ExpertActor, Here
from understudy.spec import STATE, Signal, Spec
from understudy.tasks.base import TaskConfig
from understudy.tasks.gym import GymWorld


class Reach(gymnasium.Env[Any, Any]):
    """A point in the plane that is to come to rest on a goal."""

    observation_space = spaces.Box(-2, 2, (4,), np.float32)
    action_space = spaces.Box(-0.1, 0.1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return np.concatenate([self.place, self.goal]).astype(np.float32), {}

    def step(self, action):
        self.place = self.place + np.clip(action, -0.1, 0.1)
        distance = float(np.linalg.norm(self.goal - self.place))
        seen = np.concatenate([self.place, self.goal]).astype(np.float32)
        return seen, -distance, distance < 0.02, False, {}

    def expert_action(self):
        return np.clip(self.goal - self.place, -0.1, 0.1).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class ReachTask(TaskConfig):
    has_expert: ClassVar[bool] = True

    @property
    def spec(self) -> Spec:
        names = ("x", "y", "goal_x", "goal_y")
        moves = Signal((2,), unit="m", low=(-0.1, -0.1), high=(0.1, 0.1))
        return Spec({STATE: Signal((4,), unit="m", names=names)}, moves, 10.0, "Reach the goal.")

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        return GymWorld(Reach(), self.spec, success=lambda terminated, truncated: terminated)


for episode in Here().rollouts(ReachTask(), ExpertActor(), seeds=range(3)):
    print(f"seed {episode.seed}: {len(episode)} ticks, success {episode.success}")
