"""An arm as a URDF, from the numbers of `models.py`."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from understudy.physics.models import (
    WEIGHTLESS,
    ArmModel,
    Inertia,
    Joint,
    Solid,
    Vector,
    inertia_of,
    numbers,
)

# The base stands firm, whatever it weighs.
BASE = inertia_of([Solid(shape="sphere", size_m=(0.1,))], 5.0)
FINGERS = ("left", "right")


def written(model: ArmModel) -> str:
    """Return the document: links `base`, one for each joint, `hand`, `left`, `right` and `tool`."""
    root = Element("robot", name=model.name)
    _link(root, "base", BASE, model.base)
    before = "base"
    for index, joint in enumerate(model.joints):
        _link(root, model.link(index), joint.inertia, joint.solids)
        _moving(root, joint, before, model.link(index))
        before = model.link(index)
    gripper = model.gripper
    _link(root, "hand", gripper.inertia, gripper.solids)
    _joint(root, "hand", "fixed", before, gripper.position_m, gripper.rpy_rad)
    for name, turn in zip(FINGERS, (0.0, math.pi), strict=True):
        _link(root, name, gripper.finger_inertia, gripper.finger_solids)
        finger = _joint(root, name, "prismatic", "hand", (0, 0, 0), (0, 0, turn))
        SubElement(finger, "axis", xyz="0 1 0")
        SubElement(finger, "limit", lower="0", upper=numbers([gripper.opening_m / 2]),
                   effort=numbers([gripper.force_n / 2]),
                   velocity=numbers([gripper.speed_m_s]))  # fmt: skip
    _link(root, "tool", WEIGHTLESS, ())
    _joint(root, "tool", "fixed", "hand", (0, 0, gripper.reach_m), (0, 0, 0))
    indent(root)
    return tostring(root, encoding="unicode")


def _moving(root: Element, joint: Joint, before: str, name: str) -> None:
    kind = "prismatic" if joint.slides else "revolute"
    element = _joint(root, name, kind, before, joint.position_m, joint.rpy_rad)
    SubElement(element, "axis", xyz="0 0 1")
    SubElement(element, "limit", lower=numbers([joint.low_rad]), upper=numbers([joint.high_rad]),
               effort=numbers([joint.torque_nm]), velocity="3")  # fmt: skip


def _joint(
    root: Element, name: str, kind: str, parent: str, position: Vector, turn: Vector
) -> Element:
    element = SubElement(root, "joint", name=name, type=kind)
    SubElement(element, "parent", link=parent)
    SubElement(element, "child", link=name)
    _origin(element, position, turn)
    return element


def _origin(element: Element, position: Vector, turn: Vector = (0, 0, 0)) -> None:
    SubElement(element, "origin", xyz=numbers(position), rpy=numbers(turn))


def _link(root: Element, name: str, inertia: Inertia, solids: tuple[Solid, ...]) -> None:
    link = SubElement(root, "link", name=name)
    inertial = SubElement(link, "inertial")
    _origin(inertial, inertia.centre_m)
    SubElement(inertial, "mass", value=numbers([inertia.mass_kg]))
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = inertia.tensor
    tensor = {"ixx": xx, "ixy": xy, "ixz": xz, "iyy": yy, "iyz": yz, "izz": zz}
    SubElement(inertial, "inertia", {key: numbers([value]) for key, value in tensor.items()})
    for index, solid in enumerate(solids):
        for kind in ("visual", "collision"):
            element = SubElement(link, kind)
            _origin(element, solid.position_m, solid.rpy_rad)
            _shape(SubElement(element, "geometry"), solid)
            if kind == "visual":
                material = SubElement(element, "material", name=f"{name}{index}")
                SubElement(material, "color", rgba=numbers([*solid.colour, 1.0]))


def _shape(geometry: Element, solid: Solid) -> None:
    if solid.shape == "box":
        SubElement(geometry, "box", size=numbers(solid.size_m))
    elif solid.shape == "sphere":
        SubElement(geometry, "sphere", radius=numbers(solid.size_m))
    else:
        radius, length = solid.size_m
        sizes = {"radius": numbers([radius]), "length": numbers([length])}
        SubElement(geometry, solid.shape, sizes)
