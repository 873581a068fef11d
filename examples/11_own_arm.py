"""An arm of your own, by the path of its file, lifts a cube in MuJoCo and in PyBullet."""

from pathlib import Path

import numpy as np
from matplotlib.image import imsave

from understudy.physics.arm import Camera, Mount, Pose, Scene, Thing
from understudy.physics.arms import box
from understudy.physics.bullet import BulletArm
from understudy.physics.kinematics import inverse
from understudy.physics.load import load_arm
from understudy.physics.mujoco import MujocoArm

Path("my_arm.xml").write_text("""<mujoco><worldbody><body name="base">
  <geom type="cylinder" size=".06 .05" pos="0 0 .05"/>
  <body name="turret" pos="0 0 .1"><joint name="yaw" axis="0 0 1" range="-170 170"/>
    <geom type="cylinder" size=".05 .06" pos="0 0 .05"/>
    <body name="upper" pos="0 0 .1"><joint name="shoulder" axis="0 1 0" range="-90 90"/>
      <geom type="capsule" size=".035" fromto="0 0 0 0 0 .3"/>
      <body name="fore" pos="0 0 .3"><joint name="elbow" axis="0 1 0" range="0 150"/>
        <geom type="capsule" size=".03" fromto="0 0 0 0 0 .25"/>
        <body name="wrist" pos="0 0 .25"><joint name="pitch" axis="0 1 0" range="-120 120"/>
          <geom type="sphere" size=".03"/>
          <body name="hand" pos="0 0 .05"><joint name="roll" axis="0 0 1" range="-170 170"/>
            <geom type="box" size=".03 .06 .015"/>
            <body name="left"><joint type="slide" axis="0 1 0" range="0 .04"/>
              <geom type="box" size=".01 .006 .04" pos="0 .006 .055"/></body>
            <body name="right"><joint type="slide" axis="0 -1 0" range="0 .04"/>
              <geom type="box" size=".01 .006 .04" pos="0 -.006 .055"/></body>
          </body></body></body></body></body></body></worldbody>
  <keyframe><key name="home" qpos="0 .3 1.6 1.2 0 0 0"/></keyframe></mujoco>""")
model = load_arm("my_arm.xml")
print(", ".join(joint.name for joint in model.joints), f"open {model.gripper.opening_m} m")

red = box((0.04, 0.04, 0.04), (0, 0, 0), (0.9, 0.1, 0.1))
cube = Thing(name="cube", solids=(red,), pose=Pose((0.4, 0.1, 0.02)), mass_kg=0.1)
front = Camera(name="front", position_m=(1.2, -0.8, 0.7), target_m=(0.2, 0, 0.2))
scene = Scene(arms=(Mount(model=model),), things=(cube,), cameras=(front,))

positions = np.stack([np.full(20, 0.4), np.full(20, 0.1), np.linspace(0.2, 0.02, 20)], axis=1)
down = np.diag([-1.0, 1.0, -1.0])  # the hand's z axis points down, its y axis as the world's
found = inverse(model.chain, positions, np.broadcast_to(down, (20, 3, 3)))
assert found.is_solved.all()
for engine in (MujocoArm, BulletArm):
    arm = engine(scene)
    arm.reset(found.joints[0], np.array([0.08]), {})
    low, path = found.joints[-1], found.joints
    for joints, opening in [
        *((j, 0.08) for j in path),
        *[(low, 0.0)] * 10,
        *((j, 0.0) for j in path[::-1]),
    ]:
        arm.command(joints, np.array([opening]))
        arm.advance(0.05)
    print(f"{engine.__name__}: the cube is {arm.pose('cube').position_m[2]:.2f} m high")
    imsave(f"{engine.__name__}.png", arm.render("front", 480, 640))
    arm.close()
