"""The arms that come with the package: a Panda, a KUKA iiwa and a small ViperX, each with two fingers.

Joints of the Panda are Franka's (Robot and Interface Specifications), those of the iiwa an LBR iiwa 7
R800's; the tests hold both against PyBullet's URDFs. Those of the ViperX 300 S, the arm of ALOHA, are
Trossen Robotics' (their kinematic properties). Shapes, masses and torques are simple and about right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from understudy.physics.models import (
    WEIGHTLESS,
    ArmModel,
    Gripper,
    Joint,
    Solid,
    Vector,
    inertia_of,
)

WHITE, GREY, DARK = (0.92, 0.93, 0.94), (0.55, 0.57, 0.6), (0.2, 0.21, 0.23)
ORANGE = (0.95, 0.45, 0.1)
RIGHT = math.pi / 2
# N m per radian off for each N m that a joint has: the full torque 0.025 rad off.
STIFFNESS = 40.0


def rod(start_m: Vector, end_m: Vector, radius_m: float, colour: Vector = WHITE) -> Solid:
    """A capsule between two points."""
    along = np.subtract(end_m, start_m)
    length = float(np.linalg.norm(along))
    x, y, z = (float(part) for part in along / length)
    middle = (np.add(start_m, end_m) / 2).tolist()
    return Solid(
        shape="capsule",
        size_m=(radius_m, length),
        position_m=(middle[0], middle[1], middle[2]),
        rpy_rad=(math.asin(-y), math.atan2(x, z), 0.0),
        colour=colour,
    )


def box(size_m: Vector, position_m: Vector, colour: Vector = WHITE) -> Solid:
    """A box whose edges lie along the link's axes."""
    return Solid(shape="box", size_m=size_m, position_m=position_m, colour=colour)


def hand(position_m: Vector = (0, 0, 0), turn_rad: float = 0.0) -> Gripper:
    """A hand like Franka's: opens 8 cm; 10.34 cm from its frame to between the finger tips."""
    palm = box((0.05, 0.2, 0.06), (0, 0, 0.03), WHITE)
    finger = box((0.02, 0.014, 0.055), (0, 0.007, 0.0859), DARK)
    return Gripper(
        position_m=position_m,
        rpy_rad=(0.0, 0.0, turn_rad),
        reach_m=0.1034,
        inertia=inertia_of([palm], 0.7),
        finger_inertia=inertia_of([finger], 0.05),
        solids=(palm,),
        finger_solids=(finger,),
    )


# For an arm that holds nothing: two fingers without bodies, which nothing touches.
BARE = Gripper(
    position_m=(0, 0, 0),
    rpy_rad=(0, 0, 0),
    reach_m=0.0,
    opening_m=0.001,
    inertia=WEIGHTLESS,
    finger_inertia=WEIGHTLESS,
)

Row = tuple[Vector, Vector, tuple[float, float], float, float, float, tuple[Solid, ...]]


def _joints(rows: Sequence[Row]) -> tuple[Joint, ...]:
    return tuple(
        Joint(
            name=f"joint{number}",
            position_m=position,
            rpy_rad=turn,
            low_rad=low,
            high_rad=high,
            home_rad=home,
            torque_nm=torque,
            stiffness=STIFFNESS * torque,
            inertia=inertia_of(solids, mass),
            solids=solids,
        )
        for number, (position, turn, (low, high), home, torque, mass, solids) in enumerate(rows, 1)
    )


# Each row: position (m) and turn (rad) in the link before; limits and home (rad); torque (N m); mass (kg).
PANDA = ArmModel(
    name="panda",
    base=(rod((-0.06, 0, 0.06), (0, 0, 0.06), 0.07), rod((0, 0, 0.06), (0, 0, 0.2), 0.06)),
    joints=_joints(
        [
            ((0, 0, 0.333), (0, 0, 0), (-2.8973, 2.8973), 0.0, 87, 2.7,
             (rod((0, 0, -0.12), (0, 0, -0.05), 0.06),)),
            ((0, 0, 0), (-RIGHT, 0, 0), (-1.7628, 1.7628), -0.3, 87, 2.7,
             (rod((0, 0, -0.06), (0, 0, 0.06), 0.06), rod((0, -0.08, 0), (0, -0.2, 0), 0.055))),
            ((0, -0.316, 0), (RIGHT, 0, 0), (-2.8973, 2.8973), 0.0, 87, 2.0,
             (rod((0, 0, -0.05), (0.0825, 0, 0), 0.055),)),
            ((0.0825, 0, 0), (RIGHT, 0, 0), (-3.0718, -0.0698), -2.2, 87, 2.1,
             (rod((0, 0, -0.06), (0, 0, 0.06), 0.055), rod((-0.03, 0.06, 0), (-0.0825, 0.2, 0), 0.05))),
            ((-0.0825, 0.384, 0), (-RIGHT, 0, 0), (-2.8973, 2.8973), 0.0, 12, 3.0,
             (rod((0, 0, -0.13), (0, 0.03, -0.02), 0.048),)),
            ((0, 0, 0), (RIGHT, 0, 0), (-0.0175, 3.7525), 1.9, 12, 1.3,
             (rod((0, 0, -0.04), (0.04, 0, 0), 0.048),)),
            ((0.088, 0, 0), (RIGHT, 0, 0), (-2.8973, 2.8973), RIGHT / 2, 12, 0.4,
             (rod((0, 0, 0.01), (0, 0, 0.07), 0.045, GREY),)),
        ]
    ),
    flange_m=(0, 0, 0.107),
    gripper=hand((0, 0, 0.107), -RIGHT / 2),
)  # fmt: skip
IIWA = ArmModel(
    name="iiwa",
    base=(rod((0, 0, 0.03), (0, 0, 0.09), 0.08, GREY),),
    joints=_joints(
        [
            ((0, 0, 0.1575), (0, 0, 0), (-2.96706, 2.96706), 0.0, 176, 4.0,
             (rod((0, 0, 0), (0, 0, 0.15), 0.065, ORANGE),)),
            ((0, 0, 0.2025), (RIGHT, 0, math.pi), (-2.0944, 2.0944), 0.5, 176, 4.0,
             (rod((0, 0, 0), (0, 0.16, 0), 0.065, GREY),)),
            ((0, 0.2045, 0), (RIGHT, 0, math.pi), (-2.96706, 2.96706), 0.0, 110, 3.0,
             (rod((0, 0, 0.03), (0, 0, 0.17), 0.06, ORANGE),)),
            ((0, 0, 0.2155), (RIGHT, 0, 0), (-2.0944, 2.0944), -1.5, 110, 2.7,
             (rod((0, 0, 0), (0, 0.14, 0), 0.06, GREY),)),
            ((0, 0.1845, 0), (-RIGHT, math.pi, 0), (-2.96706, 2.96706), 0.0, 110, 1.7,
             (rod((0, 0, 0.04), (0, 0, 0.16), 0.055, ORANGE),)),
            ((0, 0, 0.2155), (RIGHT, 0, 0), (-2.0944, 2.0944), 1.1, 40, 1.8,
             (rod((0, 0, -0.02), (0, 0.04, 0), 0.055, GREY),)),
            ((0, 0.081, 0), (-RIGHT, math.pi, 0), (-3.05433, 3.05433), 0.0, 40, 0.3,
             (rod((0, 0, 0), (0, 0, 0.03), 0.04, GREY),)),
        ]
    ),
    flange_m=(0, 0, 0.045),
    gripper=hand((0, 0, 0.045), 0.0),
)  # fmt: skip
# At 0 the forearm points forward; it waits as ALOHA's arms begin (Zhao et al. 2023).
SMALL_PALM = box((0.04, 0.11, 0.02), (0, 0, 0.032), DARK)
SMALL_FINGER = box((0.02, 0.012, 0.075), (0, 0.006, 0.0797), DARK)
VIPERX = ArmModel(
    name="viperx",
    base=(box((0.16, 0.12, 0.03), (0, 0, 0.015), DARK), rod((0, 0, 0.03), (0, 0, 0.05), 0.045, DARK)),
    joints=_joints(
        [
            ((0, 0, 0.079), (0, 0, 0), (-math.pi, math.pi), 0.0, 10, 0.8,
             (rod((0, -0.02, 0.03), (0, 0.02, 0.03), 0.04, DARK),)),
            ((0, 0, 0.04805), (-RIGHT, 0, 0), (-1.85005, 1.25664), -0.96, 20, 0.8,
             (rod((0, 0, 0), (0, -0.28, 0), 0.028, GREY),
              rod((0, -0.3, 0), (0.05955, -0.3, 0), 0.03, DARK))),
            ((0.05955, -0.3, 0), (0, 0, 0), (-1.76278, 1.6057), 1.16, 20, 0.5,
             (rod((0.02, 0, 0), (0.17, 0, 0), 0.028, GREY),)),
            ((0.2, 0, 0), (0, RIGHT, 0), (-math.pi, math.pi), 0.0, 10, 0.3,
             (rod((0, 0, 0.01), (0, 0, 0.06), 0.026, DARK),)),
            ((0, 0, 0.1), (0, -RIGHT, 0), (-1.8675, 2.23402), -0.3, 10, 0.3,
             (rod((0, 0, -0.015), (0, 0, 0.015), 0.024, GREY),
              rod((0, 0, 0), (0.04, 0, 0), 0.022, GREY))),
            ((0.069744, 0, 0), (0, RIGHT, 0), (-math.pi, math.pi), 0.0, 4, 0.1,
             (rod((0, 0, -0.005), (0, 0, 0.02), 0.024, DARK),)),
        ]
    ),
    gripper=Gripper(
        position_m=(0, 0, 0),
        rpy_rad=(0, 0, RIGHT),
        reach_m=0.1072,
        opening_m=0.072,
        force_n=30.0,
        inertia=inertia_of([SMALL_PALM], 0.3),
        finger_inertia=inertia_of([SMALL_FINGER], 0.03),
        solids=(SMALL_PALM,),
        finger_solids=(SMALL_FINGER,),
    ),
)  # fmt: skip
ARMS = {model.name: model for model in (PANDA, IIWA, VIPERX)}
ArmName = Literal["panda", "iiwa", "viperx"]
