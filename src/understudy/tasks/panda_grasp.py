"""Grasp and lift: a Panda over a table, led by its hand, takes an object and holds it up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import gymnasium
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from understudy.physics.arm import Camera, Mount, Pose, Scene, Thing, quaternion_of
from understudy.physics.arms import PANDA, box
from understudy.physics.kinematics import Floats
from understudy.physics.models import Vector
from understudy.physics.randomise import Randomisation
from understudy.spec import ENVIRONMENT_STATE, IMAGES, STATE, Signal, Spec
from understudy.tasks.arms import FRAME_S, Engine, Hand, World, drawn_from, make_arm, table
from understudy.tasks.base import Controls, TaskConfig
from understudy.tasks.gym import observation_space, space_of

RATE_HZ = 10.0  # of commands and of the record; joints are commanded 60 times a second between
FRAMES = round(1 / RATE_HZ / FRAME_S)
SIDE_M = 0.05
MIDDLE_M = (0.5, 0.0, SIDE_M / 2)
SPREAD_M = 0.1
# No two episodes are equal: small differences that are always there.
NUISANCE_M, NUISANCE_RAD, NUISANCE_JOINT_RAD = 0.005, np.deg2rad(2), 0.02
STEP_M = 6 * 0.008  # a tick's: the keys of the original move 8 mm in each of 60 frames a second
LOW_M, HIGH_M = (0.3, -0.3, 0.015), (0.65, 0.3, 0.45)  # within reach to the corners
OPEN_M = 0.08
LIFTED_M, HELD_TICKS = 0.1, 10
LEAST_PICTURE, LARGEST_PICTURE = 16, 512
NAMES = ("x", "y", "z")
TABLE = table(1.2, 1.2, 0.3)
OBJECT = Thing(
    name="object",
    solids=(box((SIDE_M, SIDE_M, SIDE_M), (0, 0, 0), (0.85, 0.15, 0.15)),),
    pose=Pose(MIDDLE_M),
    mass_kg=0.1,
)
SCENE = Scene(
    arms=(Mount(model=PANDA),),
    things=(TABLE, OBJECT),
    cameras=(
        Camera(name="front", position_m=(1.15, -0.35, 0.55), target_m=(0.45, 0.0, 0.1)),
        Camera(name="wrist", position_m=(0.09, 0, 0.0), target_m=(0, 0, 0.14), view_deg=75, arm=0),
        Camera(name="film", position_m=(1.5, -0.9, 0.9), target_m=(0.3, 0.0, 0.2), view_deg=40),
    ),
    floor_m=-0.44,
)


@final
class _GraspWorld(gymnasium.Env[Any, Any]):
    def __init__(self, config: PandaGrasp, render_mode: str | None) -> None:
        self.config = config
        self.signals = config.spec
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}
        self.render_mode = render_mode
        self.observation_space = observation_space(self.signals)
        self.action_space = space_of(self.signals.action)
        self._arm = make_arm(config.engine, SCENE)
        self._hand = Hand(self._arm, PANDA.chain, STEP_M)
        self._finger = 1.0
        self._limit = max(1, round(config.limit_s * RATE_HZ))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Lay the object down and put the arm near home."""
        super().reset(seed=seed)
        draws = self.np_random
        spread = SPREAD_M if self.config.pose == "random" else 0.0
        place = draws.uniform(-spread, spread, 2) + draws.uniform(-NUISANCE_M, NUISANCE_M, 2)
        turn = Rotation.from_euler("z", draws.uniform(-NUISANCE_RAD, NUISANCE_RAD))
        lies = Pose(
            (MIDDLE_M[0] + place[0], MIDDLE_M[1] + place[1], MIDDLE_M[2]),
            quaternion_of(turn.as_quat(scalar_first=True)),
        )
        away = draws.uniform(-NUISANCE_JOINT_RAD, NUISANCE_JOINT_RAD, len(PANDA.joints))
        world_seed = int(draws.integers(2**31))
        conditions, worlds_noise_m = drawn_from(self.config.world).draw(world_seed)
        self._noise_m = self.config.noise_m or worlds_noise_m
        self._arm.reset(PANDA.home_rad + away, np.array([OPEN_M]), {"object": lies}, conditions)
        self._hand.reset()
        self._rest_m = lies.position_m[2]
        self._finger, self._opening_m = 1.0, OPEN_M
        self._ticks, self._held = 0, 0
        return self._seen(), {}

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Lead the hand towards the commanded point for a tenth of a second."""
        goal = np.clip(np.asarray(action[:3], np.float64), LOW_M, HIGH_M)
        self._finger = 1.0 if action[3] >= 0.5 else 0.0
        self._opening_m = float(self._arm.openings_m[0])
        self._hand.lead(goal, OPEN_M * self._finger, FRAMES)
        self._ticks += 1
        height_m = self._arm.pose("object").position_m[2] - self._rest_m
        self._held = self._held + 1 if height_m >= LIFTED_M else 0
        is_success = self._held >= HELD_TICKS
        executed = np.array([*self._hand.target_m, self._finger], np.float32)
        reward = float(np.clip(height_m / LIFTED_M, 0, 1)) * (1.0 if is_success else 0.5)
        info = {"is_success": is_success, "executed_action": executed}
        return self._seen(), reward, is_success, self._ticks >= self._limit, info

    def expert_action(self) -> NDArray[np.float32]:
        """Above the object, down, close, and up; from the true state alone, whatever came before."""
        tool, thing = (
            np.array(pose.position_m) for pose in (self._arm.tool(), self._arm.pose("object"))
        )
        beside = float(np.linalg.norm(tool[:2] - thing[:2]))
        if self._is_held():
            goal, finger = [*tool[:2], HIGH_M[2] - 0.15], 0.0
        elif beside > ALIGNED_M:
            is_low = tool[2] < thing[2] + SAFE_M - 0.02 and beside > 2 * ALIGNED_M
            goal = [*(tool if is_low else thing)[:2], thing[2] + SAFE_M]
            finger = 1.0
        else:
            goal = [*thing[:2], max(thing[2], LOW_M[2])]
            finger = 1.0 if tool[2] > goal[2] + 0.01 else 0.0
        way = np.clip(goal - self._hand.target_m, -STEP_M, STEP_M)
        return np.array([*(self._hand.target_m + way), finger], np.float32)

    def render(self) -> NDArray[np.uint8]:
        """A picture (480, 640, 3) of the whole scene."""
        return self._arm.render("film", 480, 640)

    def close(self) -> None:
        """Give back what the engine holds."""
        self._arm.close()

    def _is_held(self) -> bool:
        """Whether closed fingers have come to rest around the object."""
        opening_m = float(self._arm.openings_m[0])
        is_at_rest = abs(opening_m - self._opening_m) < 0.001 and self._finger == 0.0
        return is_at_rest and opening_m > 0.02 and self._arm.is_touching("fingers0", "object")

    def _seen(self) -> dict[str, NDArray[Any]]:
        tool, thing = self._arm.tool().position_m, self._arm.pose("object").position_m
        seen: dict[str, NDArray[Any]] = {
            STATE: np.array([*self._noisy(tool), self._finger], np.float32)
        }
        if ENVIRONMENT_STATE in self.signals.observations:
            seen[ENVIRONMENT_STATE] = self._noisy(thing).astype(np.float32)
        for key in self.signals.cameras:
            side = self.config.picture
            seen[key] = self._arm.render(key.removeprefix(IMAGES), side, side)
        return seen

    def _noisy(self, position_m: Vector) -> Floats:
        return np.array(position_m) + self.np_random.normal(0, self._noise_m, 3)


ALIGNED_M, SAFE_M = 0.006, 0.12
SPEED_M_S = STEP_M * RATE_HZ
KEYS = Controls(
    begin=((STATE, 0), (STATE, 1), (STATE, 2), 1.0),
    push={
        **{"w": (0, SPEED_M_S), "s": (0, -SPEED_M_S), "a": (1, SPEED_M_S), "d": (1, -SPEED_M_S)},
        **{"z": (2, SPEED_M_S), "x": (2, -SPEED_M_S)},
    },
    put={"space": (3, (0.0, 1.0))},
    pad={
        **{"left y-": "w", "left y+": "s", "left x-": "a", "left x+": "d"},
        **{"right y-": "z", "right y+": "x", "a": "space"},
    },
    says=("W S away and back   A D left and right   Z X up and down   space close and open",),
)


@final
@dataclass(frozen=True, kw_only=True)
class PandaGrasp(TaskConfig):
    """Lift the object by 10 cm and hold it there for a second."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = KEYS
    score: ClassVar[Literal["return", "max_reward"]] = "max_reward"

    pose: Literal["fixed", "random"] = "fixed"
    """Where the object lies: in one place, or within 10 cm of it along both axes. In either case it lies
    up to 5 mm and 2 degrees off, and joints begin up to 0.02 rad off, so that no two episodes are equal."""
    observe: Literal["state", "pixels"] = "state"
    """state: the object's position; pixels: pictures of two cameras instead."""
    picture: int = 96
    """Rows and columns of each picture."""
    noise_m: float = 0.0
    """Deviation of the noise on the observed positions of gripper and object, drawn at each tick; none beside a
    `world` that has noise of its own."""
    limit_s: float = 12.0
    """When an episode ends that has not succeeded; people need longer than experts."""
    engine: Engine = "mujoco"
    world: World | Randomisation = "nominal"
    """nominal, wide (domain randomisation for training), shifted (for tests), or a Randomisation."""

    def __post_init__(self) -> None:
        if not 0 <= self.noise_m < np.inf:
            raise ValueError(f"noise_m is at least 0, got {self.noise_m}")
        if self.noise_m and drawn_from(self.world).noise_m[1]:
            raise ValueError(
                f"noise_m={self.noise_m} and a world with noise of its own: which is meant? Give one"
            )
        if not 0 < self.limit_s < np.inf:
            raise ValueError(f"limit_s is above 0, got {self.limit_s}")
        if not LEAST_PICTURE <= self.picture <= LARGEST_PICTURE:
            raise ValueError(
                f"picture lies in {LEAST_PICTURE}..{LARGEST_PICTURE}, got {self.picture}"
            )

    @property
    def spec(self) -> Spec:
        """Where gripper and object are, in; where the gripper shall go, and whether it shall be open, out."""
        place = Signal((4,), names=(*NAMES, "finger"))
        seen = (
            {ENVIRONMENT_STATE: Signal((3,), unit="m", names=NAMES)}
            if self.observe == "state"
            else {
                f"{IMAGES}{name}": Signal((self.picture, self.picture, 3), "uint8")
                for name in ("front", "wrist")
            }
        )
        return Spec(
            observations={STATE: place, **seen},
            action=Signal((4,), names=(*NAMES, "finger"), low=(*LOW_M, 0.0), high=(*HIGH_M, 1.0)),
            rate_hz=RATE_HZ,
            task="Grasp the object, lift it and hold it up.",
        )

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; raises ValueError where its engine is not installed."""
        return _GraspWorld(self, render_mode)
