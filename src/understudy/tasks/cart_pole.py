"""CartPole-v1 (Barto, Sutton & Anderson 1983): keep a pole upright on a cart for 500 steps."""

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

# Feedback on (position, velocity, angle, angular velocity): leads the pole back over the cart and
# the cart back to the middle. 500 of 500 on seeds 10,000 to 10,999.
GAINS = np.array([0.1, 0.3, 1.0, 0.6])


@final
class _CartPoleWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def expert_action(self) -> NDArray[np.int64]:
        """Push towards the side to which the weighted state leans."""
        state = np.asarray(self.get_wrapper_attr("state"), np.float64)
        return np.array([int(GAINS @ state > 0)], np.int64)


@final
@dataclass(frozen=True, kw_only=True)
class CartPole(TaskConfig):
    """Keep the pole within 12 degrees and the cart on its track; each step earns 1."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = Controls(
        begin=(0,),
        put={"left": (0, (0,)), "right": (0, (1,))},
        pad=LEFT_AND_RIGHT,
        says=("left right: push that way",),
    )

    @property
    def spec(self) -> Spec:
        """Cart and pole, position and velocity, in; push left or right."""
        return Spec(
            observations={
                STATE: Signal((4,), names=("position", "velocity", "angle", "angular_velocity"))
            },
            action=Signal((1,), "int64", names=("push",), choices=2),
            rate_hz=50.0,
            task="Keep the pole upright on the cart.",
        )

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; success is lasting all 500 steps."""
        env = gymnasium.make("CartPole-v1", render_mode=render_mode)
        world = GymWorld(env, self.spec, success=lambda terminated, truncated: not terminated)
        return _CartPoleWorld(world)
