"""A user's own arm, from an MJCF or a URDF: joints, masses and limits as they are, shapes as primitives.

MuJoCo compiles the file (`model_file.py` says what it is given of it), and everything is read from the
compiled model with the arm's joints at 0. Where the file's world has its origin and its axes, the mount has
them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scipy.spatial.transform import Rotation

from understudy.physics import arms
from understudy.physics.fingers import gripper_of, hand_bodies
from understudy.physics.model_file import opened
from understudy.physics.models import ArmModel, Gripper, Joint, rpy_of, vector
from understudy.physics.mujoco import engine
from understudy.physics.rest import WORLD, Frame, Rest, limits
from understudy.physics.servos import servo_of
from understudy.physics.tree import JOINT, SLIDE, chosen, name_of

MOST_BODIES = 1000


def load_arm(
    path: str | os.PathLike[str],
    *,
    tool: str | None = None,
    joints: Sequence[str] | None = None,
    home_rad: Sequence[float] | None = None,
    gripper: Gripper | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> ArmModel:
    """Read an arm: the joints that lead to its tool move, all others of the file rest.

    `tool` is a link, body or site; without it there must be one chain of joints, fingers aside. Two fingers
    that slide apart on its last link are its gripper; where there are none `gripper`, else our own hand, is
    mounted on the tool's frame, along its z axis. `joints` says which of those that lead to the tool move;
    `home_rad` where they wait, else that is the keyframe `home`, else 0 or, where limits exclude it, their
    middle. Nothing is read outside `folder`, else the file's own.

    Raises FileNotFoundError where there is no file, and ValueError for what cannot or must not be read.
    """
    file = Path(path)
    try:
        found = opened(file, None if folder is None else Path(folder))
        model = engine.MjModel.from_xml_string(found.text, found.meshes)
        if model.nbody > MOST_BODIES:
            raise ValueError(f"has {model.nbody} bodies; expected at most {MOST_BODIES}")
        rest = Rest(model, chosen(model, tool, joints))
        _require_one_gripper(rest, gripper)
        return _arm(rest, file.stem, _home(rest, home_rad), gripper or arms.hand())
    except (ValueError, engine.FatalError) as error:
        raise ValueError(f"{file}: {error}") from error


def _arm(rest: Rest, name: str, home_rad: Sequence[float], spare: Gripper) -> ArmModel:
    """All of it; `spare` is the gripper where the model has none."""
    frames = [rest.joint_frame(joint) for joint in rest.choice.joints]
    hand = set(hand_bodies(rest)) if rest.choice.fingers else set[int]()
    fingers = {
        body
        for joint in rest.choice.fingers or ()
        for body in rest.below(rest.model.jnt_bodyid[joint])
    }
    gripper = gripper_of(rest, frames[-1]) if fingers else _mounted(spare, rest, frames[-1])
    joints = tuple(
        _joint(rest, index, before, frame, home, hand | fingers)
        for index, (before, frame, home) in enumerate(
            zip([WORLD, *frames], frames, home_rad, strict=False)
        )
    )
    base = rest.solids(rest.owned(-1), WORLD)
    return ArmModel(
        name=name, joints=joints, gripper=gripper, base=base, flange_m=gripper.position_m
    )


def _joint(
    rest: Rest, index: int, before: Frame, frame: Frame, home_rad: float, others: set[int]
) -> Joint:
    """A joint and the bodies that it moves, but for those of the gripper."""
    joint = rest.choice.joints[index]
    place, turn = before.seen(frame.place, frame.turn)
    bodies = [body for body in rest.owned(index) if body not in others]
    low, high = limits(rest.model, joint)
    torque, stiffness = servo_of(rest.model, joint)
    return Joint(
        name=name_of(rest.model, JOINT, joint),
        position_m=vector(place),
        rpy_rad=rpy_of(turn),
        low_rad=low,
        high_rad=high,
        home_rad=home_rad,
        torque_nm=torque,
        stiffness=stiffness,
        inertia=rest.inertia(bodies, frame),
        solids=rest.solids(bodies, frame),
        slides=bool(rest.model.jnt_type[joint] == SLIDE),
    )


def _require_one_gripper(rest: Rest, gripper: Gripper | None) -> None:
    """Raise ValueError where two grippers would stand on the last link."""
    if gripper and rest.choice.fingers:
        raise ValueError("has a gripper of its own, and another was given; expected one of them")
    bodies = set(rest.owned(len(rest.choice.joints) - 1))
    beyond = [
        name_of(rest.model, JOINT, joint)
        for joint in range(rest.model.njnt)
        if rest.model.jnt_bodyid[joint] in bodies and joint not in rest.choice.joints
    ]
    if beyond and not (gripper or rest.choice.fingers):
        raise ValueError(
            f"has joints on its last link ({', '.join(beyond)}) that are not two fingers that slide apart; they "
            "rest. Say what shall be mounted there with gripper=..., as arms.BARE: nothing"
        )


def _mounted(gripper: Gripper, rest: Rest, last: Frame) -> Gripper:
    """A gripper that stood at the tool's frame, on the last link."""
    tool = rest.tool_frame()
    place = tool.place + tool.turn @ gripper.position_m
    turn = tool.turn @ Rotation.from_euler("xyz", gripper.rpy_rad).as_matrix()
    place, turn = last.seen(place, turn)
    return replace(gripper, position_m=vector(place), rpy_rad=rpy_of(turn))


def _home(rest: Rest, home_rad: Sequence[float] | None) -> list[float]:
    """Where joints wait (J,); raises ValueError for other than one value within limits for each."""
    joints = rest.choice.joints
    home = [rest.value(joint) for joint in joints] if home_rad is None else list(home_rad)
    if len(home) != len(joints):
        names = ", ".join(name_of(rest.model, JOINT, joint) for joint in joints)
        raise ValueError(f"home_rad has {len(home)} values; expected one for each of {names}")
    for joint, value in zip(joints, home, strict=True):
        low, high = limits(rest.model, joint)
        if not low <= value <= high:
            name = name_of(rest.model, JOINT, joint)
            raise ValueError(
                f"home of {name} is {value}; expected {low} to {high}; give home_rad=..."
            )
    return home
