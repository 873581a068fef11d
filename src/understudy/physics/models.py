"""What an arm is made of: joints, masses, limits, a gripper, and bodies of primitive shapes.

Every engine is given the same numbers, so that an arm is one thing in two worlds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final

import numpy as np
from scipy.spatial.transform import Rotation

from understudy.physics.kinematics import Chain, Floats

Vector = tuple[float, float, float]


def vector(values: Any) -> Vector:
    """Three numbers of an array (3,)."""
    x, y, z = (float(value) for value in values)
    return x, y, z


def numbers(values: Iterable[float]) -> str:
    """Numbers as an attribute of XML, none of their digits lost."""
    return " ".join(repr(float(value)) for value in values)


@final
@dataclass(frozen=True, kw_only=True)
class Solid:
    """A primitive shape; a capsule, cylinder or box is centred and lies along its own z axis.

    `size_m`: the box's extents; radius and length of a cylinder, or of a capsule between its two ends;
    the sphere's radius.
    """

    shape: Literal["box", "capsule", "cylinder", "sphere"]
    size_m: tuple[float, ...]
    position_m: Vector = (0.0, 0.0, 0.0)
    rpy_rad: Vector = (0.0, 0.0, 0.0)
    """Turns about the fixed x, y and z axes, in this order, as in a URDF."""
    colour: Vector = (0.92, 0.93, 0.94)

    def __post_init__(self) -> None:
        expected = {"box": 3, "capsule": 2, "cylinder": 2, "sphere": 1}
        if self.shape not in expected:
            raise ValueError(f"no shape {self.shape!r}; there is: {', '.join(expected)}")
        if len(self.size_m) != expected[self.shape] or min(self.size_m) <= 0:
            raise ValueError(
                f"a {self.shape} has {expected[self.shape]} sizes above 0 m, got {self.size_m}"
            )

    @property
    def volume_m3(self) -> float:
        """Its volume."""
        if self.shape == "box":
            return math.prod(self.size_m)
        radius = self.size_m[0]
        ball = 4 / 3 * math.pi * radius**3
        if self.shape == "sphere":
            return ball
        rod = math.pi * radius**2 * self.size_m[1]
        return rod + ball if self.shape == "capsule" else rod

    @property
    def top_m(self) -> float:
        """How far it reaches along the link's z axis."""
        x, y, z = Rotation.from_euler("xyz", self.rpy_rad).as_matrix()[2]
        radius, half = self.size_m[0], self.size_m[-1] / 2
        above = {
            "box": float(np.abs([x, y, z]) @ np.resize(self.size_m, 3)) / 2,
            "sphere": radius,
            "capsule": abs(z) * half + radius,
            "cylinder": abs(z) * half + math.hypot(x, y) * radius,
        }
        return self.position_m[2] + above[self.shape]

    def inertia(self, mass_kg: float) -> Floats:
        """About its own centre, in the axes of the link (3, 3) in kg m^2; a capsule as a longer cylinder."""
        if self.shape == "sphere":
            own = np.full(3, 0.4 * self.size_m[0] ** 2)
        elif self.shape == "box":
            squares = np.square(self.size_m)
            own = (squares.sum() - squares) / 12
        else:
            radius, length = self.size_m
            length += 4 / 3 * radius if self.shape == "capsule" else 0.0
            across = (3 * radius**2 + length**2) / 12
            own = np.array([across, across, radius**2 / 2])
        turn = Rotation.from_euler("xyz", self.rpy_rad).as_matrix()
        return mass_kg * turn @ np.diag(own) @ turn.T


@final
@dataclass(frozen=True)
class Inertia:
    """Mass, its centre in the link's frame, and the tensor (3, 3) about that centre in the frame's axes."""

    mass_kg: float
    centre_m: Vector
    tensor: tuple[Vector, Vector, Vector]  # kg m^2

    def principal(self) -> tuple[Floats, Rotation]:
        """Moments (3,) about the principal axes, and these axes in the link's frame."""
        moments, axes = np.linalg.eigh(self.tensor)
        axes[:, 0] *= np.linalg.det(axes)
        return moments, Rotation.from_matrix(axes)


def inertia_of(solids: Sequence[Solid], mass_kg: float) -> Inertia:
    """Of solids that share a mass by their volumes."""
    shares = np.array([solid.volume_m3 for solid in solids])
    masses = mass_kg * shares / shares.sum()
    return together(
        [
            Inertia(mass, solid.position_m, rows(solid.inertia(mass)))
            for solid, mass in zip(solids, masses.tolist(), strict=True)
        ]
    )


def together(parts: Sequence[Inertia]) -> Inertia:
    """Of parts that are one rigid body, all in its frame."""
    masses = np.array([part.mass_kg for part in parts])
    places = np.array([part.centre_m for part in parts])
    centre = masses @ places / masses.sum()
    tensor = np.zeros((3, 3))
    for part, arm in zip(parts, places - centre, strict=True):
        tensor += part.tensor + part.mass_kg * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return Inertia(float(masses.sum()), vector(centre), rows(tensor))


def rpy_of(rotation: Floats) -> Vector:
    """Turns about the fixed x, y and z axes that make a rotation (3, 3)."""
    across = math.hypot(rotation[0, 0], rotation[1, 0])
    pitch = math.atan2(-rotation[2, 0], across)
    if across < 1e-9:  # x and z turn about one axis: all of it is x's
        return math.atan2(-rotation[1, 2], rotation[1, 1]), pitch, 0.0
    roll = math.atan2(rotation[2, 1], rotation[2, 2])
    return roll, pitch, math.atan2(rotation[1, 0], rotation[0, 0])


def rows(tensor: Floats) -> tuple[Vector, Vector, Vector]:
    """The rows of a tensor (3, 3)."""
    x, y, z = (vector(row) for row in tensor)
    return x, y, z


# Engines want a mass in each link; this one weighs nothing that counts.
WEIGHTLESS = inertia_of([Solid(shape="sphere", size_m=(0.01,))], 1e-4)


@final
@dataclass(frozen=True, kw_only=True)
class Joint:
    """A joint that turns about its z axis or slides along it, its frame in the one before, and the link it moves.

    Where it slides, what is in radians is in metres and what is in N m in N.
    """

    name: str
    position_m: Vector
    rpy_rad: Vector
    low_rad: float
    high_rad: float
    home_rad: float
    torque_nm: float
    stiffness: float
    """N m per radian off the commanded angle; damping follows from it."""
    inertia: Inertia
    solids: tuple[Solid, ...] = ()
    slides: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class Gripper:
    """Two fingers that part along the y axis of the hand."""

    position_m: Vector  # of the hand in the last link
    rpy_rad: Vector
    reach_m: float  # from the hand's frame to between the finger tips, along z
    opening_m: float = 0.08  # at most, between the fingers
    force_n: float = 60.0
    speed_m_s: float = 0.1  # of each finger
    inertia: Inertia  # of the hand without fingers
    finger_inertia: Inertia  # of the finger towards +y
    solids: tuple[Solid, ...] = ()
    finger_solids: tuple[Solid, ...] = ()  # of the same finger, its inner face at y = 0


@final
@dataclass(frozen=True, kw_only=True)
class ArmModel:
    """An arm: joints in series and a gripper.

    Engines know the joint at `index`, and the link that it moves, by `link(index)`: a joint's own name may
    be any.
    """

    name: str
    joints: tuple[Joint, ...]
    gripper: Gripper
    base: tuple[Solid, ...]
    flange_m: Vector = (0.0, 0.0, 0.0)  # in the last link

    @property
    def home_rad(self) -> Floats:
        """Where the arm waits (J,)."""
        return np.array([joint.home_rad for joint in self.joints])

    @staticmethod
    def link(index: int) -> str:
        """What engines call a joint and the link that it moves."""
        return f"joint{index + 1}"

    @cached_property
    def chain(self) -> Chain:
        """To the point between the finger tips, whose z axis points out of the hand."""
        hand = Rotation.from_euler("xyz", self.gripper.rpy_rad)
        point = np.add(self.gripper.position_m, hand.apply([0, 0, self.gripper.reach_m]))
        return self._chain(point, hand.as_matrix())

    @cached_property
    def flange_chain(self) -> Chain:
        """To the flange, on which the gripper is mounted."""
        return self._chain(np.array(self.flange_m), np.eye(3))

    def _chain(self, tool_m: Floats, turn: Floats) -> Chain:
        turns = Rotation.from_euler("xyz", [joint.rpy_rad for joint in self.joints]).as_matrix()
        return Chain(
            offsets_m=np.array([*(joint.position_m for joint in self.joints), tool_m], float),
            turns=np.concatenate([turns, turn[None]]),
            low_rad=np.array([joint.low_rad for joint in self.joints]),
            high_rad=np.array([joint.high_rad for joint in self.joints]),
            home_rad=self.home_rad,
            slides=np.array([joint.slides for joint in self.joints], bool),
        )
