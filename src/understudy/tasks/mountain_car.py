"""MountainCar-v0 (Moore 1990): rock an under-powered car out of a valley within 200 steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from understudy.spec import STATE, Signal, Spec
from understudy.tasks.base import LEFT_AND_RIGHT, Controls, TaskConfig
from understudy.tasks.gym import GymWorld

LEFT, NONE, RIGHT = 0, 1, 2


@final
class _MountainCarWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def expert_action(self) -> NDArray[np.int64]:
        """Push along the velocity, which adds energy at every step; at rest, do nothing."""
        velocity = self.get_wrapper_attr("state")[1]
        choice = RIGHT if velocity > 0 else LEFT if velocity < 0 else NONE
        return np.array([choice], np.int64)


@final
@dataclass(frozen=True, kw_only=True)
class MountainCar(TaskConfig):
    """Reach the flag on the right hill; each step costs 1, 200 steps are the limit."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = Controls(
        begin=(NONE,),
        hold={"left": (0, LEFT), "right": (0, RIGHT)},
        pad=LEFT_AND_RIGHT,
        says=("left right: push",),
    )

    @property
    def spec(self) -> Spec:
        """Position and velocity in; push left, not at all, or right."""
        return Spec(
            observations={
                STATE: Signal(
                    (2,), names=("position", "velocity"), low=(-1.2, -0.07), high=(0.6, 0.07)
                )
            },
            action=Signal((1,), "int64", names=("push",), choices=3),
            rate_hz=30.0,
            task="Drive the car up to the flag on the right hill.",
        )

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; success is reaching the flag."""
        env = gymnasium.make("MountainCar-v0", render_mode=render_mode)
        world = GymWorld(env, self.spec, success=lambda terminated, truncated: terminated)
        return _MountainCarWorld(world)
