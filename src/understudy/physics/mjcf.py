"""A scene in MuJoCo's own format, MJCF, from the numbers of `models.py`."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from scipy.spatial.transform import Rotation

from understudy.physics.arm import LARGEST_PICTURE, PATTERNS, Camera, Mount, Pose, Scene, Thing
from understudy.physics.models import ArmModel, Gripper, Inertia, Solid, inertia_of, numbers

STEP_S = 1 / 480
# Bits that say what collides with what: an arm's own parts never do with each other.
PLACE, ALL = 1, 0xFFFF
# What a motor and its gears add is for joints as strong as the Panda's wrist and stronger; a weaker joint's has less.
WRIST_NM = 12.0
FINGER_STIFFNESS = 2000.0  # N/m: full force 15 mm before where it shall be


def written(scene: Scene) -> str:
    """Return the MJCF document; names are those that `mujoco.py` looks for."""
    root = Element("mujoco", model="understudy")
    SubElement(root, "compiler", angle="radian", autolimits="true")
    SubElement(
        root, "option", timestep=numbers([STEP_S]), integrator="implicitfast", cone="elliptic", impratio="10"
    )  # fmt: skip
    visual = SubElement(root, "visual")
    SubElement(visual, "global", offwidth=f"{LARGEST_PICTURE}", offheight=f"{LARGEST_PICTURE}")
    SubElement(visual, "quality", shadowsize="0", offsamples="0")
    SubElement(visual, "map", znear="0.02", zfar="30")
    SubElement(
        visual, "headlight", ambient="0.45 0.45 0.45", diffuse="0.2 0.2 0.2", specular="0 0 0"
    )
    _patterns(SubElement(root, "asset"))
    world = SubElement(root, "worldbody")
    SubElement(world, "light", name="light", directional="true", pos="0 0 3", dir="-0.3 0.4 -1",
               diffuse="0.6 0.6 0.6", specular="0.1 0.1 0.1", castshadow="false")  # fmt: skip
    SubElement(world, "geom", name="floor", type="plane", pos=numbers([0, 0, scene.floor_m]), size="4 4 0.1", rgba="0.86 0.87 0.88 1",
               contype=f"{PLACE}", conaffinity=f"{ALL}")  # fmt: skip
    equalities, servos = SubElement(root, "equality"), SubElement(root, "actuator")
    for number, mount in enumerate(scene.arms):
        _arm(world, equalities, servos, mount, number, scene.cameras)
    for thing in scene.things:
        _thing(world, thing)
    for camera in scene.cameras:
        if camera.arm is None:
            _camera(world, camera)
    indent(root)
    return tostring(root, encoding="unicode")


def _bits(arm: int) -> tuple[int, int]:
    """What an arm is, and what it collides with beside: all but itself."""
    own = PLACE << (arm + 1)
    return own, ALL & ~own


def _quaternion(rpy: Iterable[float]) -> str:
    turn = Rotation.from_euler("xyz", list(rpy))
    return numbers(turn.as_quat(canonical=True, scalar_first=True))


def _patterns(asset: Element) -> None:
    """The sky, and what a fixed surface may be covered with instead of one colour."""
    SubElement(asset, "texture", type="skybox", builtin="gradient", rgb1="0.78 0.85 0.92",
               rgb2="0.96 0.97 0.98", width="64", height="384")  # fmt: skip
    for name in PATTERNS:
        SubElement(asset, "texture", name=name, type="2d", file=f"{name}.png")
        SubElement(asset, "material", name=name, texture=name, texuniform="true", texrepeat="6 6")


def _body(parent: Element, name: str, pose: tuple[Iterable[float], str]) -> Element:
    position, quaternion = pose
    return SubElement(parent, "body", name=name, pos=numbers(position), quat=quaternion)


def _inertial(body: Element, inertia: Inertia) -> None:
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = inertia.tensor
    SubElement(body, "inertial", pos=numbers(inertia.centre_m), mass=numbers([inertia.mass_kg]),
               fullinertia=numbers([xx, yy, zz, xy, xz, yz]))  # fmt: skip


def _solid(
    body: Element, solid: Solid, name: str, collides: tuple[int, int], friction: float
) -> None:
    sizes = {"box": [n / 2 for n in solid.size_m], "sphere": list(solid.size_m)}
    default = [solid.size_m[0], solid.size_m[-1] / 2]
    kind, affinity = collides
    SubElement(body, "geom", name=name, type=solid.shape, size=numbers(sizes.get(solid.shape, default)),
               pos=numbers(solid.position_m), quat=_quaternion(solid.rpy_rad),
               rgba=numbers([*solid.colour, 1.0]), contype=f"{kind}", conaffinity=f"{affinity}",
               condim="4", solref="0.01 1", friction=numbers([friction, 0.01, 0.0001]))  # fmt: skip


def _arm(
    world: Element,
    equalities: Element,
    servos: Element,
    mount: Mount,
    number: int,
    cameras: tuple[Camera, ...],
) -> None:
    model = mount.model
    body = _body(world, f"arm{number}", (mount.position_m, _quaternion((0, 0, mount.yaw_rad))))
    for index, solid in enumerate(model.base):
        _solid(body, solid, f"arm{number}/base{index}", _bits(number), 1.0)
    for index, joint in enumerate(model.joints):
        name = f"arm{number}/{model.link(index)}"
        body = _body(body, name, (joint.position_m, _quaternion(joint.rpy_rad)))
        body.set("gravcomp", "1")
        strength = min(1.0, joint.torque_nm / WRIST_NM)
        SubElement(body, "joint", name=name, type="slide" if joint.slides else "hinge", axis="0 0 1",
                   armature=numbers([0.1 * strength]), damping=numbers([strength]),
                   range=numbers([joint.low_rad, joint.high_rad]))  # fmt: skip
        _inertial(body, joint.inertia)
        for part, solid in enumerate(joint.solids):
            _solid(body, solid, f"{name}/{part}", _bits(number), 1.0)
        SubElement(servos, "position", name=name, joint=name, kp=numbers([joint.stiffness]),
                   forcerange=numbers([-joint.torque_nm, joint.torque_nm]))  # fmt: skip
    _hand(body, equalities, servos, model, number, cameras)


def _hand(
    body: Element,
    equalities: Element,
    servos: Element,
    model: ArmModel,
    number: int,
    cameras: tuple[Camera, ...],
) -> None:
    gripper, name = model.gripper, f"arm{number}/hand"
    hand = _body(body, name, (gripper.position_m, _quaternion(gripper.rpy_rad)))
    hand.set("gravcomp", "1")
    _inertial(hand, gripper.inertia)
    for index, solid in enumerate(gripper.solids):
        _solid(hand, solid, f"{name}/{index}", _bits(number), 1.0)
    SubElement(
        hand, "site", name=f"arm{number}/tool", pos=numbers([0, 0, gripper.reach_m]), size="0.001"
    )
    for side, turn in (("left", 0.0), ("right", np.pi)):
        _finger(hand, gripper, f"arm{number}/{side}", turn, _bits(number))
        SubElement(servos, "position", name=f"arm{number}/{side}", joint=f"arm{number}/{side}",
                   kp=numbers([FINGER_STIFFNESS]),
                   forcerange=numbers([-gripper.force_n / 2, gripper.force_n / 2]))  # fmt: skip
    SubElement(equalities, "joint", joint1=f"arm{number}/left", joint2=f"arm{number}/right")
    for camera in cameras:
        if camera.arm == number:
            _camera(hand, camera)


def _finger(
    hand: Element, gripper: Gripper, name: str, turn: float, collides: tuple[int, int]
) -> None:
    finger = _body(hand, name, ((0, 0, 0), _quaternion((0, 0, turn))))
    finger.set("gravcomp", "1")
    SubElement(finger, "joint", name=name, type="slide", axis="0 1 0", armature="0.05",
               damping=numbers([gripper.force_n / 2 / gripper.speed_m_s]),
               range=numbers([0, gripper.opening_m / 2]))  # fmt: skip
    _inertial(finger, gripper.finger_inertia)
    for index, solid in enumerate(gripper.finger_solids):
        _solid(finger, solid, f"{name}/{index}", collides, 1.5)


def _thing(world: Element, thing: Thing) -> None:
    body = _body(world, thing.name, _pose(thing.pose))
    if thing.mass_kg is not None:
        SubElement(body, "freejoint", name=thing.name)
        _inertial(body, inertia_of(thing.solids, thing.mass_kg))
    for index, solid in enumerate(thing.solids):
        _solid(body, solid, f"{thing.name}/{index}", (PLACE, ALL), thing.friction)


def _pose(pose: Pose) -> tuple[Iterable[float], str]:
    return pose.position_m, numbers(pose.quaternion_wxyz)


def _camera(parent: Element, camera: Camera) -> None:
    turn = camera.turned()
    SubElement(parent, "camera", name=camera.name, pos=numbers(camera.position_m),
               xyaxes=numbers([*turn[:, 0], *turn[:, 1]]), fovy=numbers([camera.view_deg]))  # fmt: skip
