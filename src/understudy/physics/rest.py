"""A compiled model at rest: where its frames are, and what bodies weigh and look like in one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from scipy.spatial.transform import Rotation

from understudy.physics.kinematics import Floats
from understudy.physics.models import WEIGHTLESS, Inertia, Solid, rows, together, vector
from understudy.physics.mujoco import engine
from understudy.physics.shapes import solids_of
from understudy.physics.tree import JOINT, SCALAR, Choice, name_of, owner

HOME = "home"  # the keyframe
FULL_TURN_RAD = 2 * np.pi  # both ways: a joint without limits still has some


@final
@dataclass(frozen=True, eq=False)
class Frame:
    """A place (3,) and a rotation (3, 3) in the world of the file."""

    place: Floats
    turn: Floats

    def seen(self, place: Floats, turn: Floats) -> tuple[Floats, Floats]:
        """A place and a rotation as they are in this frame."""
        return self.turn.T @ (place - self.place), self.turn.T @ turn


WORLD = Frame(np.zeros(3), np.eye(3))


@final
class Rest:
    """The arm's joints at 0, its fingers closed, all other joints where they rest."""

    def __init__(self, model: Any, choice: Choice) -> None:
        self.model, self.choice = model, choice
        self.data = engine.MjData(model)
        key = engine.mj_name2id(model, engine.mjtObj.mjOBJ_KEY, HOME)
        self._key = model.key_qpos[key] if key >= 0 else None
        if self._key is not None:
            self.data.qpos[:] = self._key
        for joint in range(model.njnt):
            if model.jnt_type[joint] in SCALAR:
                value = 0.0 if joint in choice.joints else self.value(joint)
                self.data.qpos[model.jnt_qposadr[joint]] = value
        engine.mj_kinematics(model, self.data)
        for joint, away in zip(choice.fingers, (1.0, -1.0), strict=True) if choice.fingers else ():
            low, high = limits(model, joint)
            opens = away * float(self.parting @ self.data.xaxis[joint]) > 0
            self.data.qpos[model.jnt_qposadr[joint]] = low if opens else high
        engine.mj_kinematics(model, self.data)
        self._owners = [owner(model, body, choice.joints) for body in range(model.nbody)]

    def value(self, joint: int) -> float:
        """Where a joint rests: as in the keyframe, else at 0 or in the middle of limits without 0."""
        if self._key is not None:
            return float(self._key[self.model.jnt_qposadr[joint]])
        low, high = self.model.jnt_range[joint]
        is_within = not self.model.jnt_limited[joint] or low <= 0 <= high
        return 0.0 if is_within else float(low + high) / 2

    @property
    def parting(self) -> Floats:
        """From the second finger to the first (3,), along the line on which they slide."""
        assert self.choice.fingers
        one, other = self.model.jnt_bodyid[list(self.choice.fingers)]
        axis = self.data.xaxis[self.choice.fingers[0]]
        return axis * np.sign(axis @ (self.data.xipos[one] - self.data.xipos[other]))

    def frame(self, body: int) -> Frame:
        """Of a body."""
        return Frame(self.data.xpos[body], self.data.xmat[body].reshape(3, 3))

    def joint_frame(self, joint: int) -> Frame:
        """Of a joint: as its body's, turned as little as it takes for z to be its axis."""
        turn = self.frame(self.model.jnt_bodyid[joint]).turn
        back, axis = -turn[:, 2], self.data.xaxis[joint]
        if axis @ back > 1 - 1e-12:
            turn = turn @ np.diag([1.0, -1.0, -1.0])
        else:
            way = np.cross(-back, axis)
            sine = float(np.linalg.norm(way))
            angle = np.arctan2(sine, -back @ axis)
            turn = Rotation.from_rotvec(way * angle / max(sine, 1e-300)).as_matrix() @ turn
        return Frame(self.data.xanchor[joint], turn)

    def tool_frame(self) -> Frame:
        """Of the tool that was chosen."""
        site = self.choice.site
        if site is None:
            return self.frame(self.choice.tool)
        return Frame(self.data.site_xpos[site], self.data.site_xmat[site].reshape(3, 3))

    def owned(self, index: int) -> list[int]:
        """The bodies of the arm that its joint at `index` is the last to move; -1 for its base."""
        top = self._top(self.model.jnt_bodyid[self.choice.joints[0]])
        return [
            body
            for body, place in enumerate(self._owners)
            if place == index and body and self._top(body) == top
        ]

    def below(self, body: int) -> list[int]:
        """A body and all that hangs from it."""
        found = {body}
        for other in range(body + 1, self.model.nbody):
            if self.model.body_parentid[other] in found:
                found.add(other)
        return sorted(found)

    def inertia(self, bodies: Sequence[int], frame: Frame) -> Inertia:
        """Of bodies as one, in a frame."""
        parts: list[Inertia] = []
        for body in bodies:
            place, turn = frame.seen(self.data.xipos[body], self.data.ximat[body].reshape(3, 3))
            tensor = turn @ np.diag(self.model.body_inertia[body]) @ turn.T
            parts.append(Inertia(float(self.model.body_mass[body]), vector(place), rows(tensor)))
        return together(parts) if sum(part.mass_kg for part in parts) > 0 else WEIGHTLESS

    def solids(self, bodies: Sequence[int], frame: Frame) -> tuple[Solid, ...]:
        """Shapes of bodies, in a frame."""
        return solids_of(self.model, self.data, bodies, frame.place, frame.turn)

    def _top(self, body: int) -> int:
        """What of the world's own bodies a body hangs from."""
        while self.model.body_parentid[body]:
            body = self.model.body_parentid[body]
        return int(body)


def limits(model: Any, joint: int) -> tuple[float, float]:
    """Of a joint; raises ValueError for one that slides without end."""
    if model.jnt_limited[joint]:
        low, high = model.jnt_range[joint].tolist()
        return low, high
    if model.jnt_type[joint] == engine.mjtJoint.mjJNT_SLIDE:
        raise ValueError(
            f"joint {name_of(model, JOINT, joint)} slides without limits; give it a range in the file"
        )
    return -FULL_TURN_RAD, FULL_TURN_RAD
