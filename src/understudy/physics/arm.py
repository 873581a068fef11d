"""One robot arm, or several side by side, in a physics engine: what is asked of it and what it answers.

`mujoco.py` and `bullet.py` answer in their own ways; a world is written against `Arm` alone. Metres,
radians and seconds; poses are in the scene's frame, z upwards; quaternions are w, x, y, z.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from understudy.physics.kinematics import Floats
from understudy.physics.models import ArmModel, Solid, Vector

Quaternion = tuple[float, float, float, float]
UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
PATTERNS = ("checker", "grain")
LARGEST_PICTURE = 1024  # rows and columns
# What `is_touching` and the engines call by these names themselves.
TAKEN = re.compile(r"world|floor|(arm|fingers)\d+")


@final
@dataclass(frozen=True)
class Pose:
    """Where something is and how it is turned."""

    position_m: Vector
    quaternion_wxyz: Quaternion = UPRIGHT

    def require_place(self, what: str) -> None:
        """Raise ValueError, with what it is the pose of, unless it is somewhere and turned some way."""
        is_turned = 0 < math.hypot(*self.quaternion_wxyz) < math.inf
        if not (is_turned and np.isfinite(self.position_m).all()):
            raise ValueError(f"{what} has no place, got {self}")

    @property
    def rotation(self) -> Floats:
        """As a matrix (3, 3)."""
        return Rotation.from_quat(self.quaternion_wxyz, scalar_first=True).as_matrix()


def quaternion_of(values: Any) -> Quaternion:
    """Four numbers of an array (4,), w first."""
    w, x, y, z = (float(value) for value in values)
    return w, x, y, z


@final
@dataclass(frozen=True, kw_only=True)
class Mount:
    """An arm and where it stands. Raises ValueError where that is nowhere."""

    model: ArmModel
    position_m: Vector = (0.0, 0.0, 0.0)
    yaw_rad: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite([*self.position_m, self.yaw_rad]).all():
            raise ValueError(
                f"{self.model.name} stands nowhere, got {self.position_m}, {self.yaw_rad}"
            )

    @cached_property
    def rotation(self) -> Floats:
        """The base's rotation (3, 3) in the scene."""
        return Rotation.from_euler("z", self.yaw_rad).as_matrix()


@final
@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that lies in the scene; without a mass it cannot be moved.

    Raises ValueError where it has no name, no body or no possible mass or friction.
    """

    name: str
    solids: tuple[Solid, ...]
    pose: Pose
    mass_kg: float | None = None
    friction: float = 1.0

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise ValueError(f"a thing has a name with no '/' in it, got {self.name!r}")
        if not self.solids:
            raise ValueError(f"{self.name!r} has no solids")
        if self.mass_kg is not None and not 0 < self.mass_kg < math.inf:
            raise ValueError(
                f"{self.name!r}: mass_kg is above 0, or None for what cannot be moved, got {self.mass_kg}"
            )
        if not 0 <= self.friction < math.inf:
            raise ValueError(f"{self.name!r}: friction is at least 0, got {self.friction}")
        self.pose.require_place(repr(self.name))


@final
@dataclass(frozen=True, kw_only=True)
class Camera:
    """Looks from one point to another; the picture's upper edge is upwards.

    With `arm` it is fixed to that arm's hand, and both points are in the hand's frame. Raises ValueError where the
    points are one and for an impossible angle.
    """

    name: str
    position_m: Vector
    target_m: Vector
    view_deg: float = 45.0  # from the lower to the upper edge
    arm: int | None = None

    def __post_init__(self) -> None:
        if not 0 < math.dist(self.position_m, self.target_m) < math.inf:
            raise ValueError(
                f"{self.name!r} looks from one point to another, got {self.position_m}, {self.target_m}"
            )
        if not 0 < self.view_deg < 180:
            raise ValueError(f"{self.name!r}: view_deg is between 0 and 180, got {self.view_deg}")

    def turned(self) -> Floats:
        """Its rotation (3, 3): x to the right, y up, z backwards."""
        back = np.subtract(self.position_m, self.target_m)
        back = back / np.linalg.norm(back)
        upwards = np.array([0.0, 0.0, 1.0]) if abs(back[2]) < 0.999 else np.array([1.0, 0.0, 0.0])
        right = np.cross(upwards, back)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(back, right), back], axis=1)

    def pixels(self, points_m: Floats, rows: int, columns: int) -> Floats:
        """Row and column (n, 2) of points (n, 3) before it in a picture of this size, from its upper left corner."""
        x, y, z = self.turned().T @ (points_m - np.array(self.position_m)).T  # (n,) each
        scale = rows / 2 / math.tan(math.radians(self.view_deg) / 2) / -z
        return np.stack([rows / 2 - y * scale, columns / 2 + x * scale], axis=1)


@final
@dataclass(frozen=True, kw_only=True)
class Scene:
    """What stands where. Raises ValueError for what no engine could build, such as a name that is given twice."""

    arms: tuple[Mount, ...]
    things: tuple[Thing, ...] = ()
    cameras: tuple[Camera, ...] = ()
    floor_m: float = 0.0  # its height

    def __post_init__(self) -> None:
        for kind in (self.things, self.cameras):
            names = [one.name for one in kind]
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"names given twice: {', '.join(sorted(twice))}")
        if not self.arms:
            raise ValueError("a scene has at least one arm")
        for thing in self.things:
            if TAKEN.fullmatch(thing.name):
                raise ValueError(f"the name {thing.name!r} is taken; call the thing something else")
        for camera in self.cameras:
            if camera.arm is not None and not 0 <= camera.arm < len(self.arms):
                raise ValueError(
                    f"camera {camera.name!r} is on arm {camera.arm}, the scene has {len(self.arms)}"
                )
        if not math.isfinite(self.floor_m):
            raise ValueError(f"floor_m is a height, got {self.floor_m}")

    @property
    def home_rad(self) -> Floats:
        """Where all arms wait (J,), one arm's joints after the other's."""
        return np.concatenate([mount.model.home_rad for mount in self.arms])

    @cached_property
    def _limits(self) -> tuple[Floats, Floats, Floats]:
        chains = [mount.model.chain for mount in self.arms]
        low = np.concatenate([chain.low_rad for chain in chains])
        high = np.concatenate([chain.high_rad for chain in chains])
        return low, high, np.array([mount.model.gripper.opening_m for mount in self.arms])

    def within(self, joints: Floats, openings_m: Floats) -> tuple[Floats, Floats]:
        """Joints (J,) and openings (arms,) within their limits; raises ValueError for NaN and for other shapes."""
        low, high, most = self._limits
        for what, given, limits in (("joints", joints, low), ("openings_m", openings_m, most)):
            if np.shape(given) != limits.shape or np.isnan(given).any():
                count = "1 number" if len(limits) == 1 else f"{len(limits)} numbers"
                raise ValueError(f"{what} are {count}, got {given}")
        return np.clip(joints, low, high), np.clip(openings_m, 0.0, most)

    def begin(
        self,
        joints: Floats,
        openings_m: Floats,
        poses: Mapping[str, Pose],
        conditions: Conditions,
    ) -> tuple[Floats, Floats, dict[str, Pose]]:
        """Where a reset puts joints (J,), grippers (arms,) and all that can be moved.

        Raises ValueError for a pose of what cannot be moved, for one that is nowhere, for a colour of what is not
        there, and where `within` does.
        """
        movable = {thing.name: thing.pose for thing in self.things if thing.mass_kg is not None}
        unknown = sorted(set(poses) - set(movable))
        if unknown:
            there = ", ".join(movable) or "none"
            raise ValueError(f"nothing called {unknown} that can be moved; there is: {there}")
        for name, pose in poses.items():
            pose.require_place(repr(name))
        names = [thing.name for thing in self.things]
        unknown = sorted(set(conditions.colours) - set(names))
        if unknown:
            raise ValueError(f"colours of {unknown}; there is: {', '.join(names) or 'nothing'}")
        return *self.within(joints, openings_m), {**movable, **poses}

    def camera(self, name: str, rows: int, columns: int) -> Camera:
        """Return a camera for a picture of this size; raises ValueError with the valid names, and for an impossible size."""
        if not (0 < rows <= LARGEST_PICTURE and 0 < columns <= LARGEST_PICTURE):
            raise ValueError(
                f"a picture of {rows} x {columns}: each side is 1 to {LARGEST_PICTURE} pixels"
            )
        for camera in self.cameras:
            if camera.name == name:
                return camera
        there = ", ".join(camera.name for camera in self.cameras) or "none"
        raise ValueError(f"no camera {name!r} in this scene; there is: {there}")


@final
@dataclass(frozen=True, kw_only=True)
class Conditions:
    """How a simulated world differs from its nominal self; all ones and zeros is as designed."""

    mass: float = 1.0  # factors: of each thing that can be moved
    friction: float = 1.0  # of things and fingers
    damping: float = 1.0  # of joints
    gain: float = 1.0  # of the joints' stiffness
    latency_s: float = 0.0  # from a command to its effect
    camera_shift_m: Vector = (0.0, 0.0, 0.0)
    camera_turn_rad: Vector = (0.0, 0.0, 0.0)
    light: float = 1.0  # brightness
    light_from: Vector = (0.3, -0.4, 1.0)  # direction
    colours: Mapping[str, Vector] = field(default_factory=dict)  # of things
    pattern: Literal["plain", "checker", "grain"] = "plain"  # of what cannot be moved

    def __post_init__(self) -> None:
        for name in ("mass", "friction", "damping", "gain", "light"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is a factor above 0, got {getattr(self, name)}")
        if not 0 <= self.latency_s < math.inf:
            raise ValueError(f"latency_s is at least 0, got {self.latency_s}")
        if not 0 < np.linalg.norm(self.light_from) < math.inf:
            raise ValueError(f"light_from is a direction, got {self.light_from}")


NOMINAL = Conditions()


class Arm(Protocol):
    """Arms and things in one engine. J joints of all arms, in the order of the scene's arms."""

    scene: Scene
    step_s: float

    def reset(
        self,
        joints: Floats,
        openings_m: Floats,
        poses: Mapping[str, Pose],
        conditions: Conditions = NOMINAL,
    ) -> None:
        """Put everything somewhere, at rest: joints (J,), grippers (arms,), things that can be moved.

        Things that `poses` does not name stand where the scene has them. Raises ValueError where `Scene.begin` does.
        """
        ...

    def command(self, joints: Floats, openings_m: Floats) -> None:
        """Set where joints (J,) and grippers (arms,) shall go; within their limits.

        Raises ValueError where `Scene.within` does.
        """
        ...

    def shift(self, joints: Floats) -> None:
        """Displace the joints (J,) at once, within their limits, as a sudden push does.

        Raises ValueError where `Scene.within` does.
        """
        ...

    def advance(self, duration_s: float) -> None:
        """Let time pass: a whole number of steps of `step_s`."""
        ...

    @property
    def time_s(self) -> float:
        """Time since the reset."""
        ...

    @property
    def joints(self) -> Floats:
        """Angles (J,)."""
        ...

    @property
    def speeds(self) -> Floats:
        """Angular speeds (J,)."""
        ...

    @property
    def openings_m(self) -> Floats:
        """Width between the fingers of each arm (arms,)."""
        ...

    def tool(self, arm: int = 0) -> Pose:
        """The point between the finger tips, z out of the hand."""
        ...

    def pose(self, thing: str) -> Pose:
        """Where a thing is."""
        ...

    def is_touching(self, one: str, other: str) -> bool:
        """Whether two of these touch: things by name, `fingers0` of the first arm, `arm0` the rest of it."""
        ...

    def render(self, camera: str, rows: int, columns: int) -> NDArray[np.uint8]:
        """What a camera sees (Y, X, 3); raises ValueError where `Scene.camera` does."""
        ...

    def close(self) -> None:
        """Give back what the engine holds."""
        ...


@final
class Latency:
    """Commands that take effect some time after they were given."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._waiting: list[tuple[float, Floats, Floats]] = []

    def give(self, time_s: float, joints: Floats, openings_m: Floats) -> None:
        """Take a command at a time."""
        self._waiting.append((time_s + self._delay_s, joints, openings_m))

    def due(self, time_s: float) -> tuple[Floats, Floats] | None:
        """The newest command that has arrived, once; None where nothing has."""
        arrived = None
        while self._waiting and self._waiting[0][0] <= time_s + 1e-9:
            _, *arrived = self._waiting.pop(0)
        return None if arrived is None else (arrived[0], arrived[1])

    @property
    def next_s(self) -> float:
        """When the next command arrives; infinity where none is on its way."""
        return self._waiting[0][0] if self._waiting else math.inf


def steps_of(duration_s: float, step_s: float) -> int:
    """How many steps a duration has; raises ValueError where that is no whole number above 0."""
    count = round(duration_s / step_s)
    if count < 1 or abs(count * step_s - duration_s) > 1e-6:
        raise ValueError(f"{duration_s} s is not a whole number of steps of {step_s} s")
    return count


def pattern(name: str) -> NDArray[np.uint8]:
    """A picture (128, 128, 3) with which a surface is covered."""
    rows, columns = np.indices((128, 128))
    if name == "checker":
        dark = ((rows // 64) + (columns // 64)) % 2 == 1
        return np.where(dark[..., None], (115, 120, 128), (191, 191, 191)).astype(np.uint8)
    if name == "grain":
        lines = np.sin(columns / 5 + 2 * np.sin(rows / 23)) * np.sin(columns / 2.3)
        shade = np.round(18 * lines).astype(int)[..., None]
        return (np.array((184, 160, 130)) + shade).astype(np.uint8)
    raise ValueError(f"no pattern {name!r}; there is: {', '.join(PATTERNS)}")
