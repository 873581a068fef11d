"""Pendulum-v1: swing a pendulum up with a motor that is too weak to lift it, and hold it there."""

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

TORQUE_NM = 2.0
GRAVITY = 15.0  # 3 g / 2 l: the angle's acceleration when it lies level, rad/s^2
# Chosen on seeds 10,000 to 10,999, where it earns -151.7 a start on average; best of 500 drawn around them.
PUMP = 1.4  # N m for each unit of energy (rad^2/s^2) that is missing
STIFFNESS, DAMPING = 11.5, 3.0  # N m/rad, N m s/rad near the top
NEAR_RAD = 0.5


@final
class _PendulumWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def expert_action(self) -> NDArray[np.float32]:
        """Pump energy until the pendulum can reach the top, then hold it there."""
        return swing_up(*np.asarray(self.get_wrapper_attr("state"), np.float64))


def swing_up(angle_rad: float, speed_rad_s: float) -> NDArray[np.float32]:
    """Return the torque (1,): near the top that of a spring and a damper, else along the speed (Astrom & Furuta 2000).

    The angle is 0 at the top. Energy is counted from rest at the top, so that 0 is what is wanted.
    """
    angle_rad = (angle_rad + np.pi) % (2 * np.pi) - np.pi
    if abs(angle_rad) < NEAR_RAD:
        torque_nm = -STIFFNESS * angle_rad - DAMPING * speed_rad_s
    else:
        energy = 0.5 * speed_rad_s**2 + GRAVITY * (np.cos(angle_rad) - 1)
        torque_nm = -PUMP * energy * (1.0 if speed_rad_s >= 0 else -1.0)
    return np.array([np.clip(torque_nm, -TORQUE_NM, TORQUE_NM)], np.float32)


@final
@dataclass(frozen=True, kw_only=True)
class Pendulum(TaskConfig):
    """Swing the pendulum up and hold it; each tick costs the angle squared, and a little speed and torque."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = Controls(
        begin=(0.0,),
        hold={"left": (0, TORQUE_NM), "right": (0, -TORQUE_NM)},
        pad=LEFT_AND_RIGHT,
        says=("left right: push that way",),
    )

    @property
    def spec(self) -> Spec:
        """Where the tip points and how fast it turns, in; the motor's torque, out."""
        return Spec(
            observations={
                STATE: Signal(
                    (3,),
                    names=("cosine", "sine", "speed"),
                    low=(-1.0, -1.0, -8.0),
                    high=(1.0, 1.0, 8.0),
                )
            },
            action=Signal(
                (1,), unit="N m", names=("torque",), low=(-TORQUE_NM,), high=(TORQUE_NM,)
            ),
            rate_hz=20.0,
            task="Swing the pendulum up and hold it there.",
        )

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; there is no success, only what it costs. An episode is 200 ticks."""
        env = gymnasium.make("Pendulum-v1", render_mode=render_mode)
        return _PendulumWorld(GymWorld(env, self.spec))
