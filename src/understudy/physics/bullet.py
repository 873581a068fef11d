"""Arms in PyBullet: a second engine, to see what a policy owes to the first (extra `bullet`).

Each reset builds the scene anew: Bullet keeps contacts from one episode to the next otherwise.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from understudy.physics import urdf
from understudy.physics.arm import (
    NOMINAL,
    Conditions,
    Latency,
    Pose,
    Scene,
    Thing,
    pattern,
    steps_of,
)
from understudy.physics.kinematics import Floats
from understudy.physics.models import Gripper, Solid, Vector, inertia_of, vector


@contextmanager
def quietly() -> Iterator[None]:
    """Within, the engine, which greets whoever starts it, writes nothing to the terminal."""
    kept, nowhere = [os.dup(number) for number in (1, 2)], os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    for number in (1, 2):
        os.dup2(nowhere, number)
    try:
        yield
    finally:
        os.close(nowhere)
        for number, copy in enumerate(kept, 1):
            os.dup2(copy, number)
            os.close(copy)


try:
    with quietly():
        import pybullet as bullet
        from pybullet_utils.bullet_client import BulletClient
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "PyBullet is not installed: pip install 'understudy[bullet]'"
    ) from error

STEP_S = 1 / 240
GRAVITY = -9.81
# Share of its error that a servo makes good in a step; Bullet's own default.
GAIN = 0.1
NO_LIMIT = -1.0  # of a servo's speed, as Bullet says it
NEAR_M, FAR_M = 0.02, 30.0
FLOOR_M = 0.1  # its thickness
FLOOR = Thing(
    name="floor",
    solids=(Solid(shape="box", size_m=(8, 8, FLOOR_M), colour=(0.86, 0.87, 0.88)),),
    pose=Pose((0, 0, 0)),
)


def started(shown: bool = False) -> Any:
    """An engine without a world, in a window where it shall be `shown`; all of PyBullet is asked of it.

    A process has one window at most. PyBullet ends the process where there is no screen.
    """
    with quietly():
        return BulletClient(bullet.GUI if shown else bullet.DIRECT)


@final
class BulletArm:
    """A scene in PyBullet; see `Arm`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.step_s = STEP_S
        self._world = started()
        self._folder = tempfile.TemporaryDirectory(prefix="understudy-")
        self._files: list[str] = []
        for number, mount in enumerate(scene.arms):
            file = Path(self._folder.name) / f"arm{number}.urdf"
            file.write_text(urdf.written(mount.model))
            self._files.append(str(file))
        self.reset(scene.home_rad, np.zeros(len(scene.arms)), {})

    def reset(
        self,
        joints: Floats,
        openings_m: Floats,
        poses: Mapping[str, Pose],
        conditions: Conditions = NOMINAL,
    ) -> None:
        """See `Arm`; raises ValueError where `Scene.begin` does."""
        angles, openings, places = self.scene.begin(joints, openings_m, poses, conditions)
        self._conditions = conditions
        self._steps = 0
        self._latency = Latency(conditions.latency_s)
        self._build(places)
        for body, index, angle in zip(*self._joints, angles, strict=True):
            self._world.resetJointState(body, index, angle)
        for body, index, place in zip(*self._fingers, np.repeat(openings / 2, 2), strict=True):
            self._world.resetJointState(body, index, place)
        self._apply(angles, openings)
        self._world.performCollisionDetection()

    def command(self, joints: Floats, openings_m: Floats) -> None:
        """See `Arm`; raises ValueError where `Scene.within` does."""
        self._latency.give(self.time_s, *self.scene.within(joints, openings_m))

    def shift(self, joints: Floats) -> None:
        """See `Arm`; raises ValueError where `Scene.within` does."""
        shifted, _ = self.scene.within(self.joints + joints, self.openings_m)
        speeds = self.speeds
        for body, index, angle, speed in zip(*self._joints, shifted, speeds, strict=True):
            self._world.resetJointState(body, index, angle, speed)

    def advance(self, duration_s: float) -> None:
        """See `Arm`; raises ValueError for a duration that is no whole number of steps."""
        for _ in range(steps_of(duration_s, self.step_s)):
            arrived = self._latency.due(self.time_s)
            if arrived:
                self._apply(*arrived)
            self._world.stepSimulation()
            self._steps += 1

    @property
    def time_s(self) -> float:
        """See `Arm`."""
        return self._steps * self.step_s

    @property
    def joints(self) -> Floats:
        """See `Arm`."""
        return self._states(self._joints)[:, 0]

    @property
    def speeds(self) -> Floats:
        """See `Arm`."""
        return self._states(self._joints)[:, 1]

    @property
    def openings_m(self) -> Floats:
        """See `Arm`."""
        return self._states(self._fingers)[:, 0].reshape(-1, 2).sum(1)

    def tool(self, arm: int = 0) -> Pose:
        """See `Arm`."""
        return self._link(arm, "tool")

    def pose(self, thing: str) -> Pose:
        """See `Arm`; raises ValueError for a name that is not there."""
        bodies = {name: body for name, (body, _) in self._groups.items() if name in self._things}
        if thing not in bodies:
            raise ValueError(f"nothing called {thing!r}; there is: {', '.join(bodies)}")
        # The engine says where the centre of mass is, along the principal axes.
        position, turn = self._world.getBasePositionAndOrientation(bodies[thing])
        centre, axes = self._centres[thing]
        rotation = Rotation.from_quat(turn) * axes.inv()
        w, x, y, z = rotation.as_quat(canonical=True, scalar_first=True)
        return Pose(vector(position - rotation.apply(centre)), (w, x, y, z))

    def is_touching(self, one: str, other: str) -> bool:
        """See `Arm`; raises ValueError for a name that is not there."""
        for name in (one, other):
            if name not in self._groups:
                there = ", ".join(self._groups)
                raise ValueError(f"nothing called {name!r} can touch; there is: {there}")
        (body, links), (second, others) = self._groups[one], self._groups[other]
        points = self._world.getContactPoints(body, second) or ()
        # Bullet lists what is near as well: 8 is the distance.
        return any(p[3] in links and p[4] in others and p[8] <= 0 for p in points)

    def render(self, camera: str, rows: int, columns: int) -> NDArray[np.uint8]:
        """See `Arm`; raises ValueError where `Scene.camera` does."""
        chosen = self.scene.camera(camera, rows, columns)
        place, turn = np.array(chosen.position_m), chosen.turned()
        shift = Rotation.from_euler("xyz", self._conditions.camera_turn_rad).as_matrix()
        place, turn = place + self._conditions.camera_shift_m, shift @ turn
        if chosen.arm is not None:
            hand = self._link(chosen.arm, "hand")
            place, turn = hand.position_m + hand.rotation @ place, hand.rotation @ turn
        light = self._conditions.light
        _, _, pixels, _, _ = self._world.getCameraImage(
            columns,
            rows,
            viewMatrix=self._world.computeViewMatrix(place, place - turn[:, 2], turn[:, 1]),
            projectionMatrix=self._world.computeProjectionMatrixFOV(
                chosen.view_deg, columns / rows, NEAR_M, FAR_M
            ),
            lightDirection=self._conditions.light_from,
            lightAmbientCoeff=0.55 * light,
            lightDiffuseCoeff=0.45 * light,
            lightSpecularCoeff=0.05,
            shadow=0,
            flags=bullet.ER_NO_SEGMENTATION_MASK,
            renderer=bullet.ER_TINY_RENDERER,
        )
        return np.reshape(pixels, (rows, columns, 4))[..., :3].astype(np.uint8)

    def close(self) -> None:
        """See `Arm`."""
        if self._world.isConnected():
            self._world.disconnect()
        self._folder.cleanup()

    def _states(self, places: tuple[list[int], list[int]]) -> Floats:
        """Angle or way, and speed, of joints (n, 2)."""
        states = [
            self._world.getJointState(body, index)[:2] for body, index in zip(*places, strict=True)
        ]
        return np.array(states)

    def _link(self, arm: int, name: str) -> Pose:
        body = self._arms[arm]
        state = self._world.getLinkState(
            body, self._links[arm][name], computeForwardKinematics=True
        )
        turn = state[5]
        return Pose(vector(state[4]), (turn[3], *turn[:3]))

    def _apply(self, angles: Floats, openings_m: Floats) -> None:
        """Tell each servo where to go."""
        torques = [joint.torque_nm for mount in self.scene.arms for joint in mount.model.joints]
        gain = GAIN * self._conditions.gain / self._conditions.damping
        self._drive(self._joints, angles, torques, gain, [NO_LIMIT] * len(angles))
        grippers = [mount.model.gripper for mount in self.scene.arms for _ in urdf.FINGERS]
        forces = [gripper.force_n / 2 for gripper in grippers]
        speeds = [gripper.speed_m_s for gripper in grippers]
        self._drive(self._fingers, np.repeat(openings_m / 2, 2), forces, GAIN, speeds)

    def _drive(
        self,
        servos: tuple[list[int], list[int]],
        targets: Floats,
        forces: list[float],
        gain: float,
        speeds: list[float],
    ) -> None:
        """Where servos (n,) shall go, with which force and how fast at most."""
        for body, index, target, force, speed in zip(*servos, targets, forces, speeds, strict=True):
            self._world.setJointMotorControl2(
                body,
                index,
                bullet.POSITION_CONTROL,
                targetPosition=target,
                force=force,
                positionGain=gain,
                maxVelocity=speed,
            )

    def _build(self, places: Mapping[str, Pose]) -> None:
        """Make everything in an empty world."""
        world = self._world
        world.resetSimulation()
        self._centres: dict[str, tuple[Vector, Rotation]] = {}
        world.setGravity(0, 0, GRAVITY)
        world.setTimeStep(self.step_s)
        self._groups = {
            "floor": (self._make(FLOOR, Pose((0, 0, self.scene.floor_m - FLOOR_M / 2))), {-1})
        }
        self._arms: list[int] = []
        self._links: list[dict[str, int]] = []
        for number in range(len(self.scene.arms)):
            self._load(number)
        for thing in self.scene.things:
            body = self._make(thing, places.get(thing.name, thing.pose))
            self._groups[thing.name] = (body, {-1})
        self._things = {thing.name for thing in self.scene.things}
        joints = [
            (self._arms[number], self._links[number][mount.model.link(index)])
            for number, mount in enumerate(self.scene.arms)
            for index in range(len(mount.model.joints))
        ]
        fingers = [
            (body, links[side])
            for body, links in zip(self._arms, self._links, strict=True)
            for side in urdf.FINGERS
        ]
        self._joints = ([body for body, _ in joints], [index for _, index in joints])
        self._fingers = ([body for body, _ in fingers], [index for _, index in fingers])

    def _load(self, number: int) -> None:
        world, mount = self._world, self.scene.arms[number]
        body = world.loadURDF(
            self._files[number],
            mount.position_m,
            Rotation.from_matrix(mount.rotation).as_quat(),
            useFixedBase=True,
            flags=bullet.URDF_USE_INERTIA_FROM_FILE,
        )
        links = {
            world.getJointInfo(body, index)[12].decode(): index
            for index in range(world.getNumJoints(body))
        }
        fingers = {links[side] for side in urdf.FINGERS}
        for index in links.values():
            world.changeDynamics(
                body,
                index,
                linearDamping=0,
                angularDamping=0,
            )
        for index in fingers:
            world.changeDynamics(body, index, lateralFriction=1.5, spinningFriction=0.01)
        self._couple(body, fingers, mount.model.gripper)
        self._arms.append(body)
        self._links.append(links)
        self._groups[f"arm{number}"] = (body, {-1, *links.values()} - fingers)
        self._groups[f"fingers{number}"] = (body, fingers)

    def _couple(self, body: int, fingers: set[int], gripper: Gripper) -> None:
        """Let both fingers part by the same way, as those of one motor do."""
        one, other = sorted(fingers)
        gear = self._world.createConstraint(
            body, one, body, other, bullet.JOINT_GEAR, (0, 1, 0), (0, 0, 0), (0, 0, 0)
        )
        self._world.changeConstraint(gear, gearRatio=-1, erp=0.2, maxForce=gripper.force_n)

    def _make(self, thing: Thing, pose: Pose) -> int:
        """One body of a thing's solids."""
        mass = 0.0 if thing.mass_kg is None else thing.mass_kg * self._conditions.mass
        found = inertia_of(thing.solids, mass or 1.0)
        moments, axes = found.principal()
        self._centres[thing.name] = found.centre_m, axes
        solid, visible = self._shapes(thing)
        turn = pose.quaternion_wxyz
        body = self._world.createMultiBody(
            mass,
            solid,
            visible,
            pose.position_m,
            (*turn[1:], turn[0]),
            baseInertialFramePosition=found.centre_m,
            baseInertialFrameOrientation=axes.as_quat(),
        )
        slip = self._conditions.friction  # Bullet multiplies what touches
        self._world.changeDynamics(
            body,
            -1,
            localInertiaDiagonal=moments if mass else (0, 0, 0),
            lateralFriction=thing.friction * (1.0 if thing.mass_kg is None else slip),
            spinningFriction=0.01,
            linearDamping=0,
            angularDamping=0,
        )
        self._cover(body, thing)
        return body

    def _shapes(self, thing: Thing) -> tuple[int, int]:
        """What of a thing collides, and what is seen of it in its colours."""
        colour = self._conditions.colours.get(thing.name)
        shapes = [_shape(solid) for solid in thing.solids]
        arrays = {key: [shape[key] for shape in shapes] for key in shapes[0]}
        places = [solid.position_m for solid in thing.solids]
        turns = [Rotation.from_euler("xyz", solid.rpy_rad).as_quat() for solid in thing.solids]
        solid = self._world.createCollisionShapeArray(
            **arrays, collisionFramePositions=places, collisionFrameOrientations=turns
        )
        visible = self._world.createVisualShapeArray(
            **arrays,
            rgbaColors=[[*(colour or one.colour), 1.0] for one in thing.solids],
            visualFramePositions=places,
            visualFrameOrientations=turns,
        )
        return solid, visible

    def _cover(self, body: int, thing: Thing) -> None:
        """Cover what cannot be moved with the pattern of the conditions; the floor stays plain."""
        name = self._conditions.pattern
        if thing.mass_kg is None and thing is not FLOOR and name != "plain":
            self._world.changeVisualShape(
                body, -1, textureUniqueId=self._pattern(name), rgbaColor=(1, 1, 1, 1)
            )

    def _pattern(self, name: str) -> int:
        """A texture, which the engine reads from a file."""
        file = Path(self._folder.name) / f"{name}.png"
        if not file.exists():
            imsave(file, pattern(name))
        return self._world.loadTexture(str(file))


def _shape(solid: Solid) -> dict[str, Any]:
    """A solid as Bullet's functions for several shapes take it."""
    kind = {
        "box": bullet.GEOM_BOX,
        "sphere": bullet.GEOM_SPHERE,
        "capsule": bullet.GEOM_CAPSULE,
        "cylinder": bullet.GEOM_CYLINDER,
    }[solid.shape]
    half = [n / 2 for n in solid.size_m] if solid.shape == "box" else [0.1, 0.1, 0.1]
    sizes = {"halfExtents": half, "radii": solid.size_m[0], "lengths": solid.size_m[-1]}
    return {"shapeTypes": kind, **sizes}
