"""Simulated steps and pictures a second of both engines, against a plain loop on the same engine.

    python benchmarks/physics.py

The plain loop is what a first script does: the same arm and things, one call for each step, new commands
20 times a second, pictures of 128 x 128 as the engine makes them unless told otherwise (with shadows).
One arm, a table and a cube; timed in turn, in one run. `inverse`: poses of a Panda in a box of 0.3 x 0.6 x
0.4 m, the gripper down, a thousand at a time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported
import mujoco
import numpy as np
import pybullet
import results

from understudy.physics import mjcf
from understudy.physics.arm import Arm, Camera, Mount, Pose, Scene, Thing
from understudy.physics.arms import ARMS, PANDA, box
from understudy.physics.bullet import BulletArm
from understudy.physics.kinematics import inverse
from understudy.physics.mujoco import MujocoArm, pictures

engine: Any = mujoco  # compiled, without types
REPEATS = 5
SECONDS = 20.0  # simulated
PICTURES = 60
SIDE = 128
TICK_S = 0.05
OPEN = np.array([0.07])


def scene_of(name: str) -> Scene:
    """An arm beside a table with a cube."""
    cube = Thing(
        name="cube",
        solids=(box((0.04, 0.04, 0.04), (0, 0, 0)),),
        pose=Pose((0.5, 0.2, 0.04)),
        mass_kg=0.1,
    )
    table = Thing(name="table", solids=(box((0.6, 1, 0.02), (0, 0, 0)),), pose=Pose((0.5, 0, 0.01)))
    camera = Camera(name="front", position_m=(1.5, -0.8, 0.9), target_m=(0.3, 0, 0.3))
    return Scene(arms=(Mount(model=ARMS[name]),), things=(cube, table), cameras=(camera,))


def goals(scene: Scene) -> list[np.ndarray]:
    """A slow wave of all joints around home."""
    ticks = np.arange(round(SECONDS / TICK_S))
    return [scene.home_rad + 0.2 * np.sin(0.1 * tick) for tick in ticks]


def timed(act: Callable[[], int]) -> float:
    """How many a second."""
    began = time.perf_counter()
    count = act()
    return count / (time.perf_counter() - began)


def stepped(arm: Arm) -> int:
    """Play through `Arm`; returns the number of the engine's steps."""
    arm.reset(arm.scene.home_rad, OPEN, {})
    for joints in goals(arm.scene):
        arm.command(joints, OPEN)
        arm.advance(TICK_S)
    return round(arm.time_s / arm.step_s)


def pictured(arm: Arm) -> int:
    """Take pictures of a moving arm."""
    for _ in range(PICTURES):
        arm.advance(TICK_S)
        arm.render("front", SIDE, SIDE)
    return PICTURES


class PlainMujoco:
    """The same model, stepped and pictured by hand."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        document = mjcf.written(scene).replace('shadowsize="0" offsamples="0"', "")
        document = document.replace('castshadow="false"', "")
        self.model = engine.MjModel.from_xml_string(document, pictures())
        self.data = engine.MjData(self.model)
        self.renderer = engine.Renderer(self.model, SIDE, SIDE)

    def stepped(self) -> int:
        engine.mj_resetData(self.model, self.data)
        count = len(self.scene.home_rad)
        self.data.qpos[:count] = self.scene.home_rad
        steps = round(TICK_S / mjcf.STEP_S)
        for joints in goals(self.scene):
            self.data.ctrl[:count] = joints
            self.data.ctrl[count:] = OPEN / 2
            for _ in range(steps):
                engine.mj_step(self.model, self.data)
        return steps * len(goals(self.scene))

    def pictured(self) -> int:
        for _ in range(PICTURES):
            engine.mj_step(self.model, self.data, round(TICK_S / mjcf.STEP_S))
            self.renderer.update_scene(self.data, "front")
            self.renderer.render()
        return PICTURES


class PlainBullet:
    """The same bodies, stepped and pictured by hand."""

    def __init__(self, scene: Scene) -> None:
        self.arm = BulletArm(scene)
        self.world = self.arm._world
        self.body = self.arm._arms[0]

    def stepped(self) -> int:
        home = self.arm.scene.home_rad
        self.arm.reset(home, OPEN, {})
        steps = round(TICK_S / self.arm.step_s)
        torques = [joint.torque_nm for joint in self.arm.scene.arms[0].model.joints]
        for joints in goals(self.arm.scene):
            self.world.setJointMotorControlArray(
                self.body, range(len(home)), pybullet.POSITION_CONTROL, joints, forces=torques
            )
            for _ in range(steps):
                self.world.stepSimulation()
        return steps * len(goals(self.arm.scene))

    def pictured(self) -> int:
        view = pybullet.computeViewMatrix((1.5, -0.8, 0.9), (0.3, 0, 0.3), (0, 0, 1))
        lens = pybullet.computeProjectionMatrixFOV(45, 1, 0.02, 30)
        for _ in range(PICTURES):
            for _ in range(round(TICK_S / self.arm.step_s)):
                self.world.stepSimulation()
            self.world.getCameraImage(SIDE, SIDE, view, lens, renderer=pybullet.ER_TINY_RENDERER)
        return PICTURES


ENGINES = {"mujoco": (MujocoArm, PlainMujoco), "bullet": (BulletArm, PlainBullet)}


def measure(kind: str, name: str) -> list[results.Row]:
    """Rates of one engine with one arm."""
    ours, plain = (make(scene_of(name)) for make in ENGINES[kind])
    rates = [
        (
            timed(lambda: stepped(ours)),
            timed(plain.stepped),
            timed(lambda: pictured(ours)),
            timed(plain.pictured),
        )
        for _ in range(REPEATS)
    ]
    columns = {
        ("steps_per_s", "steps/s"): [rate[0] for rate in rates],
        ("ratio", "ratio"): [rate[0] / rate[1] for rate in rates],
        ("frames_per_s", "frames/s"): [rate[2] for rate in rates],
        ("frames_ratio", "ratio"): [rate[2] / rate[3] for rate in rates],
    }
    return [
        results.median_row(f"{kind}-{name}", metric, values, unit, [0])
        for (metric, unit), values in columns.items()
    ]


def kinematics() -> list[results.Row]:
    """Solutions a second, and the share that is solved."""
    draws = np.random.default_rng(0).uniform([0.3, -0.3, 0.2], [0.6, 0.3, 0.6], (10, 1000, 3))
    down = np.broadcast_to(np.diag([1.0, -1.0, -1.0]), (1000, 3, 3))
    solved = [inverse(PANDA.flange_chain, part, down).is_solved.mean() for part in draws]

    def solve() -> int:
        for part in draws:
            inverse(PANDA.flange_chain, part, down)
        return 10_000

    rates = [timed(solve) for _ in range(REPEATS)]
    return [
        results.median_row("inverse", "solutions_per_s", rates, "solutions/s", [0]),
        results.median_row("inverse", "solved", [float(np.mean(solved))], "share", [0]),
    ]


def main() -> None:
    """Time everything and write the rows."""
    rows = [row for kind in ENGINES for name in ARMS for row in measure(kind, name)]
    results.write("physics", "python benchmarks/physics.py", [*rows, *kinematics()])


if __name__ == "__main__":
    main()
