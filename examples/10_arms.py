"""A Panda lifts a cube, in MuJoCo and in PyBullet, by inverse kinematics alone."""

import numpy as np
from matplotlib.image import imsave

from understudy.physics.arm import Camera, Mount, Pose, Scene, Thing
from understudy.physics.arms import PANDA, box
from understudy.physics.bullet import BulletArm
from understudy.physics.kinematics import inverse
from understudy.physics.mujoco import MujocoArm

RED, GREEN = (0.9, 0.1, 0.1), (0.4, 0.6, 0.5)
cube = Thing(
    name="cube",
    solids=(box((0.04, 0.04, 0.04), (0, 0, 0), RED),),
    pose=Pose((0.5, 0.1, 0.04)),
    mass_kg=0.1,
)
table = Thing(
    name="table", solids=(box((0.6, 1, 0.02), (0, 0, 0), GREEN),), pose=Pose((0.5, 0, 0.01))
)
front = Camera(name="front", position_m=(1.5, -0.8, 0.9), target_m=(0.3, 0, 0.3))
scene = Scene(arms=(Mount(model=PANDA),), things=(cube, table), cameras=(front,))

heights_m = np.linspace(0.24, 0.04, 20)
positions = np.stack([np.full(20, 0.5), np.full(20, 0.1), heights_m], axis=1)
down = np.diag([1.0, -1.0, -1.0])  # the hand's z axis points down
found = inverse(PANDA.chain, positions, np.broadcast_to(down, (20, 3, 3)))
assert found.is_solved.all()

for engine in (MujocoArm, BulletArm):
    arm = engine(scene)
    arm.reset(found.joints[0], np.array([0.08]), {})
    for joints, opening in [
        *((joints, 0.08) for joints in found.joints),
        *((found.joints[-1], 0.0) for _ in range(10)),
        *((joints, 0.0) for joints in found.joints[::-1]),
    ]:
        arm.command(joints, np.array([opening]))
        arm.advance(0.05)
    height_m = arm.pose("cube").position_m[2]
    print(f"{engine.__name__}: the cube is {height_m:.2f} m high after {arm.time_s:.1f} s")
    imsave(f"{engine.__name__}.png", arm.render("front", 480, 640))
    arm.close()
