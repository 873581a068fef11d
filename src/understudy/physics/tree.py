"""Of a compiled model's tree of bodies: which joints are the arm's, which two are fingers, where the tool is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, final

from understudy.names import did_you_mean
from understudy.physics.mujoco import engine

FREE, BALL, SLIDE, HINGE = (
    int(getattr(engine.mjtJoint, f"mjJNT_{name}")) for name in ("FREE", "BALL", "SLIDE", "HINGE")
)
SCALAR = (SLIDE, HINGE)
FOLLOWS, *TIES = (
    int(getattr(engine.mjtEq, f"mjEQ_{name}")) for name in ("JOINT", "CONNECT", "WELD")
)
BODY, JOINT, SITE = (
    int(getattr(engine.mjtObj, f"mjOBJ_{name}")) for name in ("BODY", "JOINT", "SITE")
)


@final
@dataclass(frozen=True)
class Choice:
    """Numbers of joints and bodies in the compiled model."""

    joints: tuple[int, ...]  # in series, from the base to the tool
    fingers: tuple[int, int] | None
    tool: int  # the body
    site: int | None  # in it, where the tool was named by a site
    is_named: bool  # else the tool was found


def chosen(model: Any, tool: str | None, joints: Sequence[str] | None) -> Choice:
    """The joints from the base to a tool, of which `joints` move; without a tool, of the only chain.

    Raises ValueError where there is none, or more than one, or where a joint is not free to move.
    """
    body, site = _named(model, tool) if tool is not None else (_end(model), None)
    path = above(model, body)
    if any(model.jnt_type[joint] == BALL for joint in path):
        ball = next(joint for joint in path if model.jnt_type[joint] == BALL)
        raise ValueError(
            f"joint {name_of(model, JOINT, ball)} is a ball; expected hinges and slides"
        )
    names = [name_of(model, JOINT, joint) for joint in path]
    unknown = sorted(set(joints or ()) - set(names))
    if unknown:
        raise ValueError(f"joints {unknown} do not lead to the tool; there is: {', '.join(names)}")
    moving = [
        joint for joint, name in zip(path, names, strict=True) if joints is None or name in joints
    ]
    if not moving:
        there = ", ".join(name_of(model, BODY, body) for body in range(1, model.nbody))
        raise ValueError(
            f"no joint moves {name_of(model, BODY, body)}; name the arm's last link with tool=..., of: {there}"
        )
    _require_free(model, moving)
    pairs = [
        pair
        for pair in opposed(model)
        if not set(pair) & set(moving)
        and owner(model, model.jnt_bodyid[pair[0]], moving) == len(moving) - 1
    ]
    if tool is None and not pairs:
        body = _only_end(model, body)
    return Choice(
        tuple(moving), pairs[0] if len(pairs) == 1 else None, body, site, tool is not None
    )


def above(model: Any, body: int) -> list[int]:
    """The joints that move a body and are no free base, from the world on."""
    found: list[int] = []
    while body:
        first = model.body_jntadr[body]
        found = [*range(first, first + model.body_jntnum[body]), *found]
        body = model.body_parentid[body]
    return [joint for joint in found if model.jnt_type[joint] != FREE]


def name_of(model: Any, kind: Any, number: int) -> str:
    """The name of a thing, or its number where it has none."""
    return engine.mj_id2name(model, kind, number) or f"number {number}"


def _named(model: Any, name: str) -> tuple[int, int | None]:
    body = engine.mj_name2id(model, BODY, name)
    if body > 0:
        return body, None
    site = engine.mj_name2id(model, SITE, name)
    if site >= 0:
        return int(model.site_bodyid[site]), site
    there = [name_of(model, BODY, body) for body in range(1, model.nbody)]
    there += [name_of(model, SITE, site) for site in range(model.nsite)]
    raise ValueError(
        f"no link, body or site {name!r}.{did_you_mean(name, there)} There is: {', '.join(there)}"
    )


def _end(model: Any) -> int:
    """The body that the last joint of the only chain moves, fingers aside."""
    fingers = {joint for pair in opposed(model) for joint in pair}
    moving = [
        joint
        for joint in range(model.njnt)
        if model.jnt_type[joint] != FREE and joint not in fingers
    ]
    passed = {joint for each in moving for joint in above(model, model.jnt_bodyid[each])[:-1]}
    last = [joint for joint in moving if joint not in passed]
    ends = sorted({int(model.jnt_bodyid[joint]) for joint in last})
    if not ends:
        raise ValueError("has no joint that moves; expected an arm of hinges or slides")
    if len(ends) > 1:
        names = ", ".join(name_of(model, BODY, body) for body in ends)
        raise ValueError(
            f"has {len(ends)} chains of joints, which end at {names}; expected one. Name the arm's last "
            "link with tool=...: what else moves stays at rest"
        )
    return ends[0]


def _only_end(model: Any, body: int) -> int:
    """What is fixed to a body, and to that, as long as it is one thing alone: a flange, a tool's frame."""
    while True:
        children = [
            child for child in range(body + 1, model.nbody) if model.body_parentid[child] == body
        ]
        if len(children) != 1 or model.body_jntnum[children[0]]:
            return body
        body = children[0]


def opposed(model: Any) -> list[tuple[int, int]]:
    """Pairs of slides that nothing hangs from, of one mover, along one line, bodies apart along it: fingers."""
    data = engine.MjData(model)
    engine.mj_kinematics(model, data)
    movers = {joint: above(model, model.jnt_bodyid[joint])[:-1] for joint in range(model.njnt)}
    slides = [
        joint
        for joint in range(model.njnt)
        if model.jnt_type[joint] == SLIDE and not any(joint in passed for passed in movers.values())
    ]
    pairs = []
    for one, other in combinations(slides, 2):
        axis = data.xaxis[one]
        bodies = model.jnt_bodyid[[one, other]]
        apart = float(axis @ (data.xipos[bodies[0]] - data.xipos[bodies[1]]))
        is_line = abs(axis @ data.xaxis[other]) > 0.999
        if movers[one] == movers[other] and is_line and abs(apart) > 1e-4:
            pairs.append((one, other))
    return pairs


def owner(model: Any, body: int, joints: Sequence[int]) -> int:
    """The place in `joints` of the last one that moves a body; -1 where none does."""
    return max((joints.index(joint) for joint in above(model, body) if joint in joints), default=-1)


def _require_free(model: Any, joints: Sequence[int]) -> None:
    """Raise ValueError where an equation ties a joint of the arm, or two of its links."""
    for number in range(model.neq):
        kind, ends = model.eq_type[number], (model.eq_obj1id[number], model.eq_obj2id[number])
        if kind == FOLLOWS and ends[0] in joints:
            name = name_of(model, JOINT, ends[0])
            raise ValueError(
                f"joint {name} follows another and cannot be commanded; name those that can with joints=..."
            )
        if kind in TIES:
            is_site = model.eq_objtype[number] == SITE
            bodies = [int(model.site_bodyid[end]) if is_site else int(end) for end in ends]
            if owner(model, bodies[0], joints) != owner(model, bodies[1], joints):
                names = " and ".join(name_of(model, BODY, body) for body in bodies)
                raise ValueError(f"{names} close a loop; expected joints in series")
