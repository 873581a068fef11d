"""Hand over: of two small arms that face each other the right one takes a cube and gives it to the left.

After the simulated transfer of ALOHA (Zhao et al. 2023, arXiv 2304.13705): the same arms, the same 14
numbers in and out, the same stages. Written anew with simple bodies; commands are limited in speed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import gymnasium
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from understudy.physics.arm import Camera, Mount, Pose, Scene, Thing, quaternion_of
from understudy.physics.arms import VIPERX, box
from understudy.physics.kinematics import Floats
from understudy.physics.randomise import Randomisation
from understudy.spec import ENVIRONMENT_STATE, IMAGES, STATE, Signal, Spec
from understudy.tasks.arms import FRAME_S, Engine, World, drawn_from, make_arm, table, turning
from understudy.tasks.base import Controls, TaskConfig
from understudy.tasks.gym import observation_space, space_of
from understudy.tasks.two_arm_expert import Sight, goals, towards

RATE_HZ = 20.0  # of commands and of the record; joints are commanded 60 times a second between
FRAMES = round(1 / RATE_HZ / FRAME_S)
SIDE_M = 0.04
MIDDLE_M = (0.1, 0.0, SIDE_M / 2)
SPREAD_M = 0.08
# No two episodes are equal: small differences that are always there.
NUISANCE_RAD, NUISANCE_JOINT_RAD = np.deg2rad(5), 0.02
OPEN_M = VIPERX.gripper.opening_m
# In a tick a joint turns at most this far, as fast as the true one's motors, and a gripper opens by this share.
STEP = np.tile([np.pi / RATE_HZ] * 6 + [0.2], 2)
HELD_TICKS = 10
CAMERA_SIDE = 96
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "gripper")
NAMES = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in JOINTS)
LOW = (*VIPERX.chain.low_rad.tolist(), 0.0) * 2
HIGH = (*VIPERX.chain.high_rad.tolist(), 1.0) * 2
TABLE = table(1.3, 0.7, 0.0)
CUBE = Thing(
    name="cube",
    solids=(box((SIDE_M, SIDE_M, SIDE_M), (0, 0, 0), (0.85, 0.15, 0.15)),),
    pose=Pose(MIDDLE_M),
    mass_kg=0.05,
)
SCENE = Scene(
    arms=(
        Mount(model=VIPERX, position_m=(-0.469, 0, 0)),
        Mount(model=VIPERX, position_m=(0.469, 0, 0), yaw_rad=np.pi),
    ),
    things=(TABLE, CUBE),
    cameras=(
        Camera(name="front", position_m=(0.0, -0.65, 0.75), target_m=(0.0, 0.0, 0.12), view_deg=42),
        Camera(name="film", position_m=(0.1, -1.35, 0.8), target_m=(0.0, 0.0, 0.18), view_deg=40),
    ),
    floor_m=-0.44,
)


@final
class _TransferWorld(gymnasium.Env[Any, Any]):
    def __init__(self, config: TwoArmTransfer, render_mode: str | None) -> None:
        self.config = config
        self.signals = config.spec
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}
        self.render_mode = render_mode
        self.observation_space = observation_space(self.signals)
        self.action_space = space_of(self.signals.action)
        self._arm = make_arm(config.engine, SCENE)
        self._limit = max(1, round(config.limit_s * RATE_HZ))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Lay the cube down and put the arms near home, grippers half open."""
        super().reset(seed=seed)
        draws = self.np_random
        place = MIDDLE_M[:2] + draws.uniform(-SPREAD_M, SPREAD_M, 2)
        turn = Rotation.from_euler("z", draws.uniform(-NUISANCE_RAD, NUISANCE_RAD))
        lies = Pose(
            (float(place[0]), float(place[1]), MIDDLE_M[2]),
            quaternion_of(turn.as_quat(scalar_first=True)),
        )
        away = draws.uniform(-NUISANCE_JOINT_RAD, NUISANCE_JOINT_RAD, 12)
        conditions, self._noise_m = drawn_from(self.config.world).draw(int(draws.integers(2**31)))
        openings = np.full(2, 0.5)
        self._arm.reset(SCENE.home_rad + away, openings * OPEN_M, {"cube": lies}, conditions)
        self._told = _row(self._arm.joints, openings)
        self._ticks, self._held = 0, 0
        return self._seen(), {}

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Lead joints and grippers towards what is commanded for a twentieth of a second."""
        goal = np.clip(np.asarray(action, np.float64), LOW, HIGH)
        begin, self._told = self._told, self._told + np.clip(goal - self._told, -STEP, STEP)
        for part in range(1, FRAMES + 1):
            joints, openings = _parts(begin + (self._told - begin) * part / FRAMES)
            self._arm.command(joints, openings * OPEN_M)
            self._arm.advance(FRAME_S)
        self._ticks += 1
        stage, is_transferred = self._stage()
        self._held = self._held + 1 if is_transferred else 0
        is_success = self._held >= HELD_TICKS
        info = {"is_success": is_success, "executed_action": self._told.astype(np.float32)}
        reward = 1.0 if is_success else stage / 4
        return self._seen(), reward, is_success, self._ticks >= self._limit, info

    def expert_action(self) -> NDArray[np.float32]:
        """Take, meet, hand over, let go; from the true state alone, whatever came before."""
        told = self._told.reshape(2, 7)
        seen = Sight.of(self._arm, told)
        wanted = goals(seen)
        joints = towards(SCENE.arms, seen, wanted)
        goal = _row(joints, np.array([one.opening for one in wanted]))
        step = np.clip(goal - self._told, -STEP, STEP)
        return (self._told + step).astype(np.float32)

    def render(self) -> NDArray[np.uint8]:
        """A picture (480, 640, 3) of the whole scene."""
        return self._arm.render("film", 480, 640)

    def close(self) -> None:
        """Give back what the engine holds."""
        self._arm.close()

    def _stage(self) -> tuple[int, bool]:
        """How far it has come, 0 to 3, and whether the left gripper holds the cube alone."""
        left, right, *below = (
            self._arm.is_touching("cube", name)
            for name in ("fingers0", "fingers1", "table", "floor")
        )
        if left and not any(below):
            return 3, not right and not self._arm.is_touching("cube", "arm1")
        return (0 if not right else 1 if any(below) else 2), False

    def _seen(self) -> dict[str, NDArray[Any]]:
        state = _row(self._arm.joints, self._arm.openings_m / OPEN_M)
        seen: dict[str, NDArray[Any]] = {STATE: state.astype(np.float32)}
        if ENVIRONMENT_STATE in self.signals.observations:
            cube = self._arm.pose("cube")
            place = np.array(cube.position_m) + self.np_random.normal(0, self._noise_m, 3)
            turn = np.array(cube.quaternion_wxyz) * (1 if cube.quaternion_wxyz[0] >= 0 else -1)
            seen[ENVIRONMENT_STATE] = np.concatenate([place, turn]).astype(np.float32)
        for key in self.signals.cameras:
            seen[key] = self._arm.render(key.removeprefix(IMAGES), CAMERA_SIDE, CAMERA_SIDE)
        return seen


def _row(joints: Floats, openings: Floats) -> Floats:
    """Joints (12,) and openings (2,), a share each, as one row (14,)."""
    return np.concatenate([joints.reshape(2, 6), openings[:, None]], axis=1).ravel()


def _parts(row: Floats) -> tuple[Floats, Floats]:
    """Joints (12,) and openings (2,) of a row (14,)."""
    both = row.reshape(2, 7)
    return both[:, :6].ravel(), both[:, 6]


@final
@dataclass(frozen=True, kw_only=True)
class TwoArmTransfer(TaskConfig):
    """Hand the cube from the right gripper to the left, which then holds it alone for half a second."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = Controls(
        begin=tuple((STATE, element) for element in range(len(NAMES))),
        push=turning(len(VIPERX.joints)),
        put={"space": (JOINTS.index("gripper"), (0.0, 1.0))},
        choose={"right": ("the right arm", len(JOINTS)), "left": ("the left arm", 0)},
        says=(
            "A Z waist   S X shoulder   D C elbow   F V forearm   G B wrist   H N hand   space gripper",
            "left right: choose the arm",
        ),
    )
    score: ClassVar[Literal["return", "max_reward"]] = "max_reward"

    observe: Literal["state", "pixels"] = "state"
    """state: the cube's position and orientation; pixels: a picture from in front instead."""
    limit_s: float = 8.0
    """When an episode ends that has not succeeded."""
    engine: Engine = "mujoco"
    world: World | Randomisation = "nominal"
    """nominal, wide (domain randomisation for training), shifted (for tests), or a Randomisation."""

    def __post_init__(self) -> None:
        if not 0 < self.limit_s < np.inf:
            raise ValueError(f"limit_s is above 0, got {self.limit_s}")

    @property
    def spec(self) -> Spec:
        """Joints in radians and openings as shares, of the left arm and then the right, in and out."""
        seen = (
            {ENVIRONMENT_STATE: Signal((7,), names=("x", "y", "z", "qw", "qx", "qy", "qz"))}
            if self.observe == "state"
            else {f"{IMAGES}front": Signal((CAMERA_SIDE, CAMERA_SIDE, 3), "uint8")}
        )
        return Spec(
            observations={STATE: Signal((14,), names=NAMES), **seen},
            action=Signal((14,), names=NAMES, low=LOW, high=HIGH),
            rate_hz=RATE_HZ,
            task="Take the cube with the right arm and hand it to the left.",
        )

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; raises ValueError where its engine is not installed."""
        return _TransferWorld(self, render_mode)
