"""Arms in MuJoCo, the first choice: fast, and with pictures without a graphics card.

Pictures are rendered through EGL without shadows, reflections and multisampling, which on a processor
are nearly all of a picture's time.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from typing import Any, final

if sys.platform == "linux":  # elsewhere there is always a screen
    os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is first imported
import mujoco
import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from understudy.physics import mjcf
from understudy.physics.arm import (
    NOMINAL,
    PATTERNS,
    Conditions,
    Latency,
    Pose,
    Scene,
    Thing,
    pattern,
    quaternion_of,
    steps_of,
)
from understudy.physics.kinematics import Floats
from understudy.physics.models import vector

engine: Any = mujoco  # compiled, without types
JOINT, BODY, GEOM, SITE, SERVO, CAMERA, LIGHT, MATERIAL = (
    getattr(engine.mjtObj, f"mjOBJ_{name}")
    for name in ("JOINT", "BODY", "GEOM", "SITE", "ACTUATOR", "CAMERA", "LIGHT", "MATERIAL")
)


@final
class MujocoArm:
    """A scene in MuJoCo; see `Arm`."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.step_s = mjcf.STEP_S
        self._model = engine.MjModel.from_xml_string(mjcf.written(scene), pictures())
        self._data = engine.MjData(self._model)
        self._renderers: dict[tuple[int, int], Any] = {}
        self._latency = Latency(0.0)
        names = [
            f"arm{number}/{mount.model.link(index)}"
            for number, mount in enumerate(scene.arms)
            for index in range(len(mount.model.joints))
        ]
        sides = [f"arm{n}/{side}" for n in range(len(scene.arms)) for side in ("left", "right")]
        joints = [self._id(JOINT, name) for name in names]
        fingers = [self._id(JOINT, name) for name in sides]
        self._joint_at = self._model.jnt_qposadr[joints]
        self._joint_dofs = self._model.jnt_dofadr[joints]
        self._finger_at = self._model.jnt_qposadr[fingers]
        self._servos = np.array([self._id(SERVO, name) for name in names])
        self._finger_servos = np.array([self._id(SERVO, name) for name in sides])
        self._tools = [self._id(SITE, f"arm{n}/tool") for n in range(len(scene.arms))]
        self._geoms = self._groups()
        self._damp()
        self._nominal = _Nominal(self._model)
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
        self._nominal.restore(self._model)
        self._impose(conditions)
        engine.mj_resetData(self._model, self._data)
        self._data.qpos[self._joint_at] = angles
        self._data.qpos[self._finger_at] = np.repeat(openings / 2, 2)
        for name, pose in places.items():
            at = self._model.jnt_qposadr[self._id(JOINT, name)]
            self._data.qpos[at : at + 7] = [*pose.position_m, *pose.quaternion_wxyz]
        self._latency = Latency(conditions.latency_s)
        self._apply(angles, openings)
        engine.mj_forward(self._model, self._data)

    def command(self, joints: Floats, openings_m: Floats) -> None:
        """See `Arm`; raises ValueError where `Scene.within` does."""
        self._latency.give(self.time_s, *self.scene.within(joints, openings_m))

    def shift(self, joints: Floats) -> None:
        """See `Arm`; raises ValueError where `Scene.within` does."""
        shifted, _ = self.scene.within(self.joints + joints, self.openings_m)
        self._data.qpos[self._joint_at] = shifted
        engine.mj_fwdPosition(self._model, self._data)

    def advance(self, duration_s: float) -> None:
        """See `Arm`; raises ValueError for a duration that is no whole number of steps."""
        left = steps_of(duration_s, self.step_s)
        while left:
            arrived = self._latency.due(self.time_s)
            if arrived:
                self._apply(*arrived)
            until = (self._latency.next_s - self.time_s) / self.step_s
            count = left if until > left else max(1, int(np.ceil(until - 1e-6)))
            engine.mj_step(self._model, self._data, count)
            left -= count
        # What depends on the new places: where bodies are, and what touches.
        engine.mj_fwdPosition(self._model, self._data)

    @property
    def time_s(self) -> float:
        """See `Arm`."""
        return float(self._data.time)

    @property
    def joints(self) -> Floats:
        """See `Arm`."""
        return self._data.qpos[self._joint_at]

    @property
    def speeds(self) -> Floats:
        """See `Arm`."""
        return self._data.qvel[self._joint_dofs]

    @property
    def openings_m(self) -> Floats:
        """See `Arm`."""
        return self._data.qpos[self._finger_at].reshape(-1, 2).sum(1)

    def tool(self, arm: int = 0) -> Pose:
        """See `Arm`."""
        site = self._tools[arm]
        turn = np.empty(4)
        engine.mju_mat2Quat(turn, self._data.site_xmat[site])
        turn *= -1.0 if turn[0] < 0 else 1.0  # one of the two that are the same
        return Pose(vector(self._data.site_xpos[site]), quaternion_of(turn))

    def pose(self, thing: str) -> Pose:
        """See `Arm`."""
        body = self._id(BODY, thing)
        return Pose(vector(self._data.xpos[body]), quaternion_of(self._data.xquat[body]))

    def is_touching(self, one: str, other: str) -> bool:
        """See `Arm`; raises ValueError for a name that is not there."""
        groups = [self._group(one), self._group(other)]
        pairs = self._data.contact.geom
        return any(
            (pair[0] in groups[0] and pair[1] in groups[1])
            or (pair[0] in groups[1] and pair[1] in groups[0])
            for pair in pairs.tolist()
        )

    def render(self, camera: str, rows: int, columns: int) -> NDArray[np.uint8]:
        """See `Arm`; raises ValueError where `Scene.camera` does."""
        self.scene.camera(camera, rows, columns)
        if (rows, columns) not in self._renderers:
            self._renderers[rows, columns] = self._renderer(rows, columns)
        renderer = self._renderers[rows, columns]
        renderer.update_scene(self._data, camera)
        return renderer.render()

    def _renderer(self, rows: int, columns: int) -> Any:
        try:
            return engine.Renderer(self._model, rows, columns)
        except engine.FatalError as error:
            raise RuntimeError(
                f"MuJoCo cannot draw here: {error}. Without a screen it needs MUJOCO_GL=egl, set before "
                "mujoco is first imported"
            ) from error

    def close(self) -> None:
        """See `Arm`."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _id(self, kind: Any, name: str) -> int:
        found = engine.mj_name2id(self._model, kind, name)
        if found < 0:
            raise ValueError(f"nothing called {name!r} in this scene")
        return found

    def _groups(self) -> dict[str, frozenset[int]]:
        """Which geoms each name of `is_touching` stands for."""
        groups: dict[str, set[int]] = {thing.name: set() for thing in self.scene.things}
        groups |= {
            f"{part}{n}": set() for n in range(len(self._tools)) for part in ("arm", "fingers")
        }
        groups["floor"] = set()
        for geom in range(self._model.ngeom):
            whole, _, rest = engine.mj_id2name(self._model, GEOM, geom).partition("/")
            if rest.startswith(("left", "right")):
                whole = whole.replace("arm", "fingers")
            groups[whole].add(geom)
        return {name: frozenset(found) for name, found in groups.items()}

    def _group(self, name: str) -> frozenset[int]:
        if name not in self._geoms:
            raise ValueError(
                f"nothing called {name!r} can touch; there is: {', '.join(self._geoms)}"
            )
        return self._geoms[name]

    def _damp(self) -> None:
        """Damp each servo critically for the inertia that its joint has where the arms wait.

        The engine's own damping ratio is for all joints at 0, where an upright arm has next to none.
        """
        self._data.qpos[self._joint_at] = self.scene.home_rad
        engine.mj_forward(self._model, self._data)
        for servo, dof in zip(self._servos, self._joint_dofs, strict=True):
            one, column = np.zeros((2, self._model.nv))
            one[dof] = 1.0
            engine.mj_mulM(self._model, self._data, column, one)
            stiffness = self._model.actuator_gainprm[servo, 0]
            self._model.actuator_biasprm[servo, 2] = -2 * np.sqrt(stiffness * column[dof])

    def _apply(self, angles: Floats, openings_m: Floats) -> None:
        self._data.ctrl[self._servos] = angles
        self._data.ctrl[self._finger_servos] = np.repeat(openings_m / 2, 2)

    def _impose(self, conditions: Conditions) -> None:
        """Change the model from its nominal self."""
        model = self._model
        for thing in self.scene.things:
            body = self._id(BODY, thing.name)
            if thing.mass_kg is not None:
                model.body_mass[body] *= conditions.mass
                model.body_inertia[body] *= conditions.mass
            self._paint(thing, conditions)
        slippery = [
            geom for name in self._geoms if not name.startswith("arm") for geom in self._geoms[name]
        ]
        model.geom_friction[slippery] *= conditions.friction
        model.dof_damping[self._joint_dofs] *= conditions.damping
        model.actuator_biasprm[self._servos, 2] *= conditions.damping
        model.actuator_gainprm[self._servos, 0] *= conditions.gain
        model.actuator_biasprm[self._servos, 1] *= conditions.gain
        turn = Rotation.from_euler("xyz", conditions.camera_turn_rad)
        for camera in range(model.ncam):
            nominal = Rotation.from_quat(model.cam_quat[camera], scalar_first=True)
            model.cam_pos[camera] += conditions.camera_shift_m
            model.cam_quat[camera] = (turn * nominal).as_quat(scalar_first=True)
        light = self._id(LIGHT, "light")
        model.light_diffuse[light] *= conditions.light
        model.light_dir[light] = -np.array(conditions.light_from) / np.linalg.norm(
            conditions.light_from
        )
        engine.mj_setConst(model, self._data)

    def _paint(self, thing: Thing, conditions: Conditions) -> None:
        geoms = list(self._geoms[thing.name])
        if thing.name in conditions.colours:
            self._model.geom_rgba[geoms, :3] = conditions.colours[thing.name]
        if thing.mass_kg is None and conditions.pattern != "plain":
            self._model.geom_matid[geoms] = self._id(MATERIAL, conditions.pattern)
            self._model.geom_rgba[geoms, :3] = 1.0


def pictures() -> dict[str, bytes]:
    """The files that a scene's patterns name, which exist in memory alone."""
    files: dict[str, bytes] = {}
    for name in PATTERNS:
        file = io.BytesIO()
        imsave(file, pattern(name), format="png")
        files[f"{name}.png"] = file.getvalue()
    return files


@final
class _Nominal:
    """What conditions change in a model, as it was."""

    FIELDS = (
        *("body_mass", "body_inertia", "geom_friction", "geom_rgba", "geom_matid", "dof_damping"),
        *("actuator_gainprm", "actuator_biasprm", "cam_pos", "cam_quat"),
        *("light_diffuse", "light_dir"),
    )

    def __init__(self, model: Any) -> None:
        self._kept = {name: np.array(getattr(model, name)) for name in self.FIELDS}

    def restore(self, model: Any) -> None:
        """Put everything back."""
        for name, values in self._kept.items():
            getattr(model, name)[:] = values
