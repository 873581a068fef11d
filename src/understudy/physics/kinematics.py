"""Where an arm's tool is, and which joint angles put it somewhere; many poses at a time.

The inverse is damped least squares (Wampler 1986, doi 10.1109/TSMC.1986.289285) with the joints pulled
home within the null space (Liegeois 1977), until both have come to rest: of the angles that reach a
pose those nearest to home, so that near poses have near angles and an arm with a joint to spare stays
on one branch. Steps near a singular pose are short; a joint at its limit stands still.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]
# A joint that moves less than this in a step is at rest.
REST_RAD = 1e-5
LONGEST_STEP_RAD = 0.4
# Damping grows with the square of the error (Sugihara 2011, doi 10.1109/TRO.2011.2148230), from this.
LEAST_DAMPING = 1e-8
# Errors beyond these are approached as if they were these: a step's straight line ends there.
FARTHEST = np.array([0.2, 0.6])  # metres, radians


@final
@dataclass(frozen=True, eq=False)
class Chain:
    """Joints in series, J of them, each turning about the z axis of its own frame or sliding along it.

    What is in radians is in metres where a joint slides. A frame is (position in metres, rotation (3, 3))
    in the one before; the first stands in the base. Raises ValueError where shapes differ or a home is not
    within its limits.
    """

    offsets_m: Floats  # (J + 1, 3), the last is the tool's
    turns: Floats  # (J + 1, 3, 3)
    low_rad: Floats  # (J,)
    high_rad: Floats  # (J,)
    home_rad: Floats  # (J,)
    slides: NDArray[np.bool_]  # (J,)

    def __post_init__(self) -> None:
        count = len(self.home_rad)
        shapes = {
            "offsets_m": (count + 1, 3),
            "turns": (count + 1, 3, 3),
            "low_rad": (count,),
            "high_rad": (count,),
            "slides": (count,),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name}: shape {getattr(self, name).shape}, expected {shape} for {count} joints"
                )
        outside = (self.home_rad < self.low_rad) | (self.home_rad > self.high_rad)
        if outside.any():
            raise ValueError(f"home of joint {int(outside.argmax())} is outside its limits")

    def __len__(self) -> int:
        return len(self.home_rad)

    def frames(self, joints: Floats) -> tuple[Floats, Floats]:
        """Where joints and tool are in the base, of angles (B, J): (B, J + 1, 3), (B, J + 1, 3, 3)."""
        count = len(joints)
        cosines, sines = np.cos(joints), np.sin(joints)
        positions = np.empty((count, len(self) + 1, 3))
        rotations = np.empty((count, len(self) + 1, 3, 3))
        place, turn = np.zeros((count, 3)), np.broadcast_to(np.eye(3), (count, 3, 3))
        for index in range(len(self) + 1):
            place = place + turn @ self.offsets_m[index]
            turn = (turn.reshape(-1, 3) @ self.turns[index]).reshape(count, 3, 3)
            if index < len(self) and self.slides[index]:
                place = place + turn[:, :, 2] * joints[:, index, None]
            elif index < len(self):
                turn = _turned(turn, cosines[:, index, None], sines[:, index, None])
            positions[:, index], rotations[:, index] = place, turn
        return positions, rotations

    def forward(self, joints: Floats) -> tuple[Floats, Floats]:
        """Position (B, 3) and rotation (B, 3, 3) of the tool in the base, of angles (B, J)."""
        positions, rotations = self.frames(joints)
        return positions[:, -1], rotations[:, -1]

    def jacobian(self, joints: Floats) -> Floats:
        """(B, 6, J): the tool's velocity and angular velocity in the base, per speed of each joint."""
        return self.slopes(*self.frames(joints))

    def slopes(self, positions: Floats, rotations: Floats) -> Floats:
        """The jacobian (B, 6, J) of what `frames` returned."""
        axes = rotations[:, :-1, :, 2]
        arms = positions[:, -1:] - positions[:, :-1]
        slides = self.slides[:, None]
        velocities = np.where(slides, axes, np.cross(axes, arms))
        return np.concatenate([velocities, np.where(slides, 0.0, axes)], axis=2).transpose(0, 2, 1)


@final
@dataclass(frozen=True, eq=False)
class Solution:
    """Joint angles, whether they reach the pose, and by how much they miss it."""

    joints: Floats  # (B, J)
    is_solved: NDArray[np.bool_]  # (B,)
    error_m: Floats  # (B,)
    error_rad: Floats  # (B,)


def inverse(
    chain: Chain,
    positions: Floats,
    rotations: Floats,
    start: Floats | None = None,
    *,
    iterations: int = 200,
    tolerance_m: float = 1e-5,
    tolerance_rad: float = 1e-4,
    pull: float = 1.0,
    restarts: int = 0,
) -> Solution:
    """Joint angles that put the tool at positions (B, 3) with rotations (B, 3, 3).

    `start` (J,) or (B, J) is where to begin, else home. `pull` is the share of the way home that a step
    takes as far as the pose allows; with 0 the arm moves no more than the pose asks. What is not reached
    is tried again from `restarts` other angles, drawn within the limits and always the same: such a
    solution may lie on another branch. What stays unsolved is what the search from `start` came to.
    """
    tolerance = np.array([tolerance_m, tolerance_rad])
    targets = np.asarray(positions, np.float64), np.asarray(rotations, np.float64)
    begin = chain.home_rad if start is None else np.asarray(start, np.float64)
    joints, errors = _search(chain, *targets, begin, iterations, tolerance, pull)
    draws = np.random.default_rng(0)
    for _ in range(restarts):
        rows = np.flatnonzero((errors >= tolerance).any(1))
        if not len(rows):
            break
        begin = draws.uniform(chain.low_rad, chain.high_rad)
        left = targets[0][rows], targets[1][rows]
        found, missed = _search(chain, *left, begin, iterations, tolerance, pull)
        solved = (missed < tolerance).all(1)
        joints[rows[solved]], errors[rows[solved]] = found[solved], missed[solved]
    solved = np.all(errors < tolerance, axis=1)
    return Solution(joints, solved, errors[:, 0], errors[:, 1])


def _search(
    chain: Chain,
    positions: Floats,
    rotations: Floats,
    start: Floats,
    iterations: int,
    tolerance: Floats,
    pull: float,
) -> tuple[Floats, Floats]:
    """Angles (B, J) where the steps end, and by how much they miss the pose (B, 2) in m and rad."""
    shape = (len(positions), len(chain))
    joints = np.broadcast_to(start, shape).clip(chain.low_rad, chain.high_rad)
    moving = np.arange(len(joints))
    for _ in range(iterations):
        there, turns = chain.frames(joints[moving])
        error = _errors(there[:, -1], turns[:, -1], positions[moving], rotations[moving])
        step = _step(chain, joints[moving], error, chain.slopes(there, turns), pull)
        joints[moving] = (joints[moving] + step).clip(chain.low_rad, chain.high_rad)
        is_done = (_sizes(error) < tolerance).all(1) & (np.abs(step) < REST_RAD).all(1)
        moving = moving[~is_done]
        if not len(moving):
            break
    return joints, _sizes(_errors(*chain.forward(joints), positions, rotations))


def _errors(places: Floats, turns: Floats, positions: Floats, rotations: Floats) -> Floats:
    """The way (B, 6) from where the tool is to where it shall be: metres, and a rotation vector."""
    turn = Rotation.from_matrix(rotations @ turns.transpose(0, 2, 1)).as_rotvec()
    return np.concatenate([positions - places, turn], axis=1)


def _sizes(error: Floats) -> Floats:
    return np.linalg.norm(error.reshape(-1, 2, 3), axis=2)  # (B, 2)


def _step(chain: Chain, joints: Floats, error: Floats, jacobian: Floats, pull: float) -> Floats:
    """How the joints move (B, J), away from their limits where they stand at one."""
    near = np.minimum(1.0, FARTHEST / np.maximum(_sizes(error), 1e-12))
    error = error * np.repeat(near, 3, axis=1)
    home = pull * (chain.home_rad - joints)
    step = _damped(jacobian, error, home)
    stuck = ((joints <= chain.low_rad) & (step < 0)) | ((joints >= chain.high_rad) & (step > 0))
    rows = stuck.any(1)
    if rows.any():
        free = ~stuck[rows]
        step[rows] = _damped(jacobian[rows] * free[:, None], error[rows], home[rows] * free)
    longest = np.abs(step).max(1, keepdims=True)
    return step * np.minimum(1.0, LONGEST_STEP_RAD / np.maximum(longest, 1e-12))


def _damped(jacobian: Floats, error: Floats, home: Floats) -> Floats:
    """The step (B, J) towards the pose, and towards home as far as the pose leaves it free."""
    damping = LEAST_DAMPING + 0.5 * (error**2).sum(1)
    backwards = jacobian.transpose(0, 2, 1)
    square = jacobian @ backwards + damping[:, None, None] * np.eye(6)
    left = error[..., None] - jacobian @ home[..., None]
    return home + (backwards @ np.linalg.solve(square, left))[..., 0]


def _turned(rotations: Floats, cosine: Floats, sine: Floats) -> Floats:
    """Rotations (B, 3, 3) after a turn about their own z axis, of which (B, 1)."""
    turned = rotations.copy()
    x, y = rotations[:, :, 0], rotations[:, :, 1]
    turned[:, :, 0] = x * cosine + y * sine
    turned[:, :, 1] = y * cosine - x * sine
    return turned
