"""A gripper out of a compiled model: two fingers that slide apart, and the hand that they slide on."""

from __future__ import annotations

import math

import numpy as np

from understudy.physics.kinematics import Floats
from understudy.physics.models import Gripper, rpy_of, vector
from understudy.physics.rest import Frame, Rest, limits
from understudy.physics.servos import says_force, servo_of

TIP_M = 0.01  # from where fingers end back to where they hold
STRAIGHT = math.cos(
    math.radians(30)
)  # a hand's own axis that is nearer than this to where fingers point is meant


def hand_bodies(rest: Rest) -> list[int]:
    """Bodies of the hand without its fingers; none where fingers slide on the arm's last link itself."""
    body = _palm(rest)
    if body == rest.model.jnt_bodyid[rest.choice.joints[-1]]:
        return []
    fingers = {part for finger in _fingers(rest) for part in rest.below(finger)}
    return [part for part in rest.below(body) if part not in fingers]


def gripper_of(rest: Rest, last: Frame) -> Gripper:
    """The gripper, mounted on the arm's `last` link; both fingers are as the first."""
    assert rest.choice.fingers
    palm, fingers = rest.frame(_palm(rest)), rest.choice.fingers
    turn = _turned(rest, palm)
    first = rest.below(_fingers(rest)[0])
    point = _point(rest, Frame(palm.place, turn), first)
    reach = float(turn[:, 2] @ (point - palm.place))
    hand = Frame(point - reach * turn[:, 2], turn)
    place, turned = last.seen(hand.place, hand.turn)
    travels = [high - low for low, high in (limits(rest.model, joint) for joint in fingers)]
    force = servo_of(rest.model, fingers[0])[0] if says_force(rest.model, fingers[0]) else None
    return Gripper(
        position_m=vector(place),
        rpy_rad=rpy_of(turned),
        reach_m=reach,
        opening_m=sum(travels),
        force_n=Gripper.force_n if force is None else 2 * force,
        inertia=rest.inertia(hand_bodies(rest), hand),
        finger_inertia=rest.inertia(first, hand),
        solids=rest.solids(hand_bodies(rest), hand),
        finger_solids=rest.solids(first, hand),
    )


def _fingers(rest: Rest) -> tuple[int, int]:
    assert rest.choice.fingers
    one, other = rest.model.jnt_bodyid[list(rest.choice.fingers)].tolist()
    return one, other


def _palm(rest: Rest) -> int:
    """The body nearest to both fingers from which both hang."""
    one, other = _fingers(rest)
    while other not in rest.below(one):
        one = int(rest.model.body_parentid[one])
    return one


def _turned(rest: Rest, palm: Frame) -> Floats:
    """A hand's rotation (3, 3): y from the second finger to the first, z from the palm to both."""
    y = rest.parting
    out = rest.data.xipos[list(_fingers(rest))].mean(0) - palm.place
    out = out - y * (y @ out)
    length = float(np.linalg.norm(out))
    z = out / length if length > 1e-6 else palm.turn[:, 2]
    axes = np.concatenate([palm.turn.T, -palm.turn.T])
    nearest = axes[(axes @ z).argmax()]
    z = nearest if nearest @ z > STRAIGHT else z
    z = z - y * (y @ z)
    z = z / np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z], axis=1)


def _point(rest: Rest, hand: Frame, finger: list[int]) -> Floats:
    """Where the gripper holds (3,): the tool where one was named, else between the fingers, near their tips."""
    if rest.choice.is_named:
        return rest.tool_frame().place
    assert rest.choice.fingers
    between = rest.data.xanchor[list(rest.choice.fingers)].mean(0)
    tops = [solid.top_m for solid in rest.solids(finger, hand)]
    middle = float(hand.turn[:, 2] @ (rest.data.xipos[finger[0]] - hand.place))
    height = max(tops) - TIP_M if tops else middle
    along = hand.turn[:, 2]
    return between + along * (height - along @ (between - hand.place))
