"""What tasks with arms share: the engine, the world's conditions, and a hand that is led about."""

from __future__ import annotations

from typing import Literal, final

import numpy as np

from understudy.names import lookup
from understudy.physics.arm import Arm, Pose, Scene, Thing
from understudy.physics.arms import box
from understudy.physics.kinematics import Chain, Floats, inverse
from understudy.physics.randomise import WORLDS, Randomisation

Engine = Literal["mujoco", "bullet"]
World = Literal["nominal", "wide", "shifted"]
ENGINES = {
    "mujoco": "understudy.physics.mujoco:MujocoArm",
    "bullet": "understudy.physics.bullet:BulletArm",
}
DOWN = np.diag([1.0, -1.0, -1.0])  # a hand that points to the ground
# Two keys that lie below one another turn a joint to and fro; as fast as the traces of kuka-sliders do.
PAIRS = (("a", "z"), ("s", "x"), ("d", "c"), ("f", "v"), ("g", "b"), ("h", "n"), ("j", "m"))
TURN_RAD_S = 0.5
FRAME_S = 1 / 60  # in which joints are commanded anew between two ticks


def make_arm(engine: Engine, scene: Scene) -> Arm:
    """Build a scene; raises ValueError where the engine is not installed."""
    try:
        return lookup("engine", engine, ENGINES, "understudy.engines")(scene)
    except ModuleNotFoundError as error:
        raise ValueError(str(error)) from error


def table(depth_m: float, width_m: float, middle_m: float) -> Thing:
    """A table with its top at z = 0 and legs of 42 cm, so far along x and y, its middle so far along x."""
    legs = [(x, y) for x in (-depth_m / 2 + 0.05, depth_m / 2 - 0.05)
            for y in (-width_m / 2 + 0.05, width_m / 2 - 0.05)]  # fmt: skip
    return Thing(
        name="table",
        solids=(
            box((depth_m, width_m, 0.04), (middle_m, 0, -0.02), (0.55, 0.6, 0.58)),
            *(box((0.05, 0.05, 0.4), (middle_m + x, y, -0.24), (0.3, 0.3, 0.32)) for x, y in legs),
        ),
        pose=Pose((0, 0, 0)),
    )


def turning(joints: int) -> dict[str, tuple[int, float]]:
    """What `Controls.push` maps for the first so many elements of a command, at most 7."""
    return {
        key: (joint, rate)
        for joint, pair in enumerate(PAIRS[:joints])
        for key, rate in zip(pair, (TURN_RAD_S, -TURN_RAD_S), strict=True)
    }


def drawn_from(world: World | Randomisation) -> Randomisation:
    """A randomisation by its name, or itself."""
    return WORLDS[world] if isinstance(world, str) else world


@final
class Hand:
    """Leads a hand's point, pointing down, at a limited speed along each axis.

    The arm stands at the scene's origin. It keeps what was commanded, so that what the arm lags behind does not add up.
    """

    def __init__(self, arm: Arm, chain: Chain, step_m: float) -> None:
        first = arm.scene.arms[0]
        if len(arm.scene.arms) > 1 or any(first.position_m) or first.yaw_rad:
            raise ValueError("a hand is led of one arm, which stands at the origin")
        self._arm = arm
        self._chain = chain
        self._step_m = step_m  # along each axis in a tick
        self.reset()

    def reset(self) -> None:
        """Begin where the arm is."""
        self._joints = self._arm.joints.copy()
        self.target_m = np.array(self._arm.tool().position_m)

    def lead(self, position_m: Floats, opening_m: float, frames: int) -> None:
        """Move towards a point (3,), as far as a tick's step goes, and let the tick pass."""
        way = np.clip(position_m - self.target_m, -self._step_m, self._step_m)
        self.target_m = self.target_m + way
        found = inverse(
            self._chain, self.target_m[None], DOWN[None], self._joints, iterations=5,
            tolerance_m=1e-4, tolerance_rad=1e-3, pull=0.5,
        )  # fmt: skip
        begin, self._joints = self._joints, found.joints[0]
        for part in range(1, frames + 1):
            joints = begin + (self._joints - begin) * part / frames
            self._arm.command(joints, np.array([opening_m]))
            self._arm.advance(FRAME_S)
