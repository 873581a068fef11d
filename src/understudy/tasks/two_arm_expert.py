"""Who knows how a cube is handed over: decides from the true state alone, so that it can go on from anywhere.

Both hands stay in the upright plane through their arm's waist, forearms never turned: of what reaches a
pose there is then one set of angles, and none near which the wrist turns over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from understudy.physics.arm import Arm, Mount
from understudy.physics.arms import VIPERX
from understudy.physics.kinematics import Floats, inverse

LEFT, RIGHT = 0, 1
# Elbow up, forearm not turned, towards the table.
BRANCH = replace(
    VIPERX.chain,
    low_rad=np.maximum(VIPERX.chain.low_rad, [-1.5, -1.85, -1.2, -0.3, -1.8, -2.5]),
    high_rad=np.minimum(VIPERX.chain.high_rad, [1.5, 1.25, 1.6, 0.3, 2.2, 2.5]),
)
BEHIND_M = 0.12  # a hand that is nearer to its waist goes home first
# In a tick a hand goes this share of its way, and no farther than this.
GAIN, STEP_M, STEP_RAD = 0.3, 0.018, 0.12
MEET_M = np.array([0.0, 0.0, 0.22])
KEEP_M = np.array([-0.1, 0.0, 0.25])
BEFORE_M = np.array([-0.1, 0.0, 0.0])  # from where the left hand comes to the cube
ABOVE_M = np.array([0.0, 0.0, 0.1])
# Downwards, and about its own axis: the left hand's fingers above each other, the right one's side by side.
DOWN_RAD = np.deg2rad(75)
LEVEL_RAD, STEEP_RAD = (0.0, np.pi / 2), (DOWN_RAD, 0.0)
AWAY_M = 0.12 * np.array([np.cos(DOWN_RAD), 0.0, np.sin(DOWN_RAD)])
OPEN, SHUT = 1.0, 0.2
ALIGNED_M, NEAR_M, AROUND_M = 0.008, 0.02, 0.06
LOWEST_M = 0.022  # of the point between the fingers
TURNED_RAD = 0.1
HELD_FROM_M, HELD_TO_M = 0.03, 0.058  # between fingers that hold the cube, be it askew
WIDE_M = 0.055  # between fingers that can come around it


@final
@dataclass(frozen=True)
class Goal:
    """Where a hand shall be, how it shall be turned, and how far open, as a share."""

    position_m: Floats  # (3,)
    turn_rad: tuple[float, float]  # downwards, and about its own axis
    opening: float


@final
@dataclass(frozen=True)
class Sight:
    """What is decided by; the left hand first."""

    cube_m: Floats  # (3,)
    askew_rad: float  # by how much the cube is turned from the upright plane of the right arm
    tools_m: Floats  # (2, 3)
    led_m: Floats  # (2, 3) where the hands were told to be
    told: Floats  # (2, 7)
    openings_m: Floats  # (2,)
    touches: tuple[bool, bool]
    holds: tuple[bool, bool]

    @classmethod
    def of(cls, arm: Arm, told: Floats) -> Sight:
        """Look: told (2, 7) are the last commands."""
        pose, mounts, openings = arm.pose("cube"), arm.scene.arms, arm.openings_m
        cube = np.array(pose.position_m)
        angles = np.concatenate([arm.joints.reshape(2, 6), told[:, :6]])
        places, _ = VIPERX.chain.forward(angles)
        tools, led = (_in_scene(mounts, part) for part in (places[:2], places[2:]))
        left, right = (arm.is_touching(f"fingers{one}", "cube") for one in (LEFT, RIGHT))
        is_firm = (
            (openings > HELD_FROM_M)
            & (openings < HELD_TO_M)
            & (told[:, 6] < 2 * SHUT)
            & (np.linalg.norm(tools - cube, axis=1) < NEAR_M)
        )
        holds = (left and bool(is_firm[LEFT]), right and bool(is_firm[RIGHT]))
        askew = _askew(pose.rotation, cube - mounts[RIGHT].position_m)
        return cls(cube, askew, tools, led, told, openings, (left, right), holds)

    def is_around(self, one: int) -> bool:
        """Whether the cube is between a hand's fingers; those that began to close go on."""
        is_wide = self.openings_m[one] > WIDE_M
        away = np.linalg.norm(self.tools_m[one] - self.cube_m)
        return bool(away < (ALIGNED_M if is_wide else NEAR_M))

    def stay(self, one: int, opening: float) -> Goal:
        """Where a hand already is."""
        return Goal(self.led_m[one], _turn(self.told[one]), opening)


def goals(seen: Sight) -> tuple[Goal, Goal]:
    """What the left and the right hand shall do next."""
    if seen.holds[LEFT]:
        return _keep(seen), _let_go(seen)
    if seen.holds[RIGHT]:
        middle = MEET_M + seen.tools_m[RIGHT] - seen.cube_m
        return _receive(seen), Goal(middle, STEEP_RAD, SHUT)
    return Goal(MEET_M + BEFORE_M, LEVEL_RAD, OPEN), _take(seen)


def towards(mounts: Sequence[Mount], seen: Sight, wanted: Sequence[Goal]) -> Floats:
    """Joints (2, 6) a tick nearer to the goals than those that were told."""
    begin = np.array([_turn(row) for row in seen.told])
    way = np.array([goal.position_m for goal in wanted]) - seen.led_m
    turn = np.array([goal.turn_rad for goal in wanted]) - begin
    most = np.minimum(
        STEP_M / np.maximum(np.linalg.norm(way, axis=1), 1e-9),
        STEP_RAD / np.maximum(np.abs(turn).max(1), 1e-9),
    )
    share = np.minimum(GAIN, most)[:, None]  # (2, 1)
    places = _in_bases(mounts, seen.led_m + share * way)
    joints = seen.told[:, :6]
    found = inverse(  # one step of the search: what it misses is made good in the next tick
        BRANCH, places, _upright(places, begin + share * turn), joints, iterations=1, pull=0.0
    )
    is_out = (joints < BRANCH.low_rad - 1e-6) | (joints > BRANCH.high_rad + 1e-6)
    is_lost = is_out.any(1) | (_in_bases(mounts, seen.led_m)[:, 0] < BEHIND_M)
    return np.where(is_lost[:, None], BRANCH.home_rad, found.joints)


def _take(seen: Sight) -> Goal:
    """The right hand: above the cube, down, and close."""
    tool, cube, opening_m = seen.tools_m[RIGHT], seen.cube_m, seen.openings_m[RIGHT]
    turn = (DOWN_RAD, -float(np.arctan(np.tan(seen.askew_rad) / np.sin(DOWN_RAD))))
    low = np.array([*cube[:2], max(cube[2], LOWEST_M)])
    if seen.is_around(RIGHT):
        return Goal(low, turn, SHUT)
    beside = np.linalg.norm(tool[:2] - cube[:2])
    is_turned = np.abs(np.subtract(turn, _turn(seen.told[RIGHT]))).max() < TURNED_RAD
    if beside < ALIGNED_M and is_turned and opening_m > WIDE_M:
        return Goal(low, turn, OPEN)
    is_low = tool[2] < cube[2] + ABOVE_M[2] - 0.03 and beside > 3 * ALIGNED_M
    over = np.array([*(tool if is_low else cube)[:2], cube[2]])
    return Goal(over + ABOVE_M, turn, OPEN)


def _receive(seen: Sight) -> Goal:
    """The left hand, while the right one holds: wait where they meet, come around the cube, and close."""
    tool, cube = seen.tools_m[LEFT], seen.cube_m
    if np.linalg.norm(cube - MEET_M) > NEAR_M:
        return Goal(MEET_M + BEFORE_M, LEVEL_RAD, OPEN)
    if seen.is_around(LEFT):
        return Goal(cube, LEVEL_RAD, SHUT)
    is_in_line = np.linalg.norm((tool - cube)[1:]) < ALIGNED_M
    if is_in_line and seen.openings_m[LEFT] > WIDE_M:
        return Goal(cube, LEVEL_RAD, OPEN)
    return Goal(cube + BEFORE_M, LEVEL_RAD, OPEN)


def _keep(seen: Sight) -> Goal:
    """The left hand that holds the cube: still until the right one is gone."""
    if np.linalg.norm(seen.tools_m[RIGHT] - seen.cube_m) < AROUND_M:
        return seen.stay(LEFT, SHUT)
    return Goal(KEEP_M, LEVEL_RAD, SHUT)


def _let_go(seen: Sight) -> Goal:
    """The right hand when the left one holds: open, and back to where it came from."""
    if seen.touches[RIGHT] or seen.openings_m[RIGHT] < WIDE_M:
        return seen.stay(RIGHT, OPEN)
    return Goal(seen.cube_m + AWAY_M, STEEP_RAD, OPEN)


def _askew(cube: Floats, away_m: Floats) -> float:
    """How far a cube (3, 3) is turned about the upright from the way to it, -45 to 45 degrees."""
    edge = cube[:, np.abs(cube[2]).argmin()]  # it may lie on any side
    turn = np.arctan2(edge[1], edge[0]) - np.arctan2(away_m[1], away_m[0])
    return float((turn + np.pi / 4) % (np.pi / 2) - np.pi / 4)


def _turn(told: Floats) -> tuple[float, float]:
    """How a hand is turned whose forearm is not: downwards, and about its own axis."""
    return float(told[1] + told[2] + told[4]), float(told[5])


def _upright(places: Floats, turns: Floats) -> Floats:
    """Rotations (2, 3, 3) of hands at places (2, 3) in their bases, turned so (2, 2)."""
    away = np.arctan2(places[:, 1], places[:, 0])
    (down, about), zero = turns.T, np.zeros(len(places))
    forward = np.stack(
        [np.cos(away) * np.cos(down), np.sin(away) * np.cos(down), -np.sin(down)], axis=1
    )
    side = np.stack([-np.sin(away), np.cos(away), zero], axis=1)
    below = np.cross(side, forward)
    cosine, sine = np.cos(about)[:, None], np.sin(about)[:, None]
    return np.stack([cosine * below + sine * side, cosine * side - sine * below, forward], axis=2)


def _in_scene(mounts: Sequence[Mount], places: Floats) -> Floats:
    """Places (2, 3) in the arms' bases, in the scene."""
    return np.array(
        [
            mount.position_m + mount.rotation @ place
            for mount, place in zip(mounts, places, strict=True)
        ]
    )


def _in_bases(mounts: Sequence[Mount], places: Floats) -> Floats:
    """Places (2, 3) in the scene, in the arms' bases."""
    return np.array(
        [
            (place - mount.position_m) @ mount.rotation
            for mount, place in zip(mounts, places, strict=True)
        ]
    )
