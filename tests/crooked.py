"""An arm that is awkward in every way that a model file allows."""

import numpy as np

# Joints that turn about other axes than z, away from their bodies' frames, two on one body, one with another
# zero, and one that slides; a base that lies on its side; a sensor's mount beside the way; angles in degrees.
CROOKED = """
<mujoco>
  <compiler angle="degree" meshdir="meshes"/>
  <asset><mesh name="hook" file="hook.stl"/></asset>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    <body name="base" pos="0.1 0.2 0.3" euler="90 0 20">
      <geom type="cylinder" size="0.05 0.1"/>
      <body name="turret" pos="0 0 0.1" euler="10 0 0">
        <joint name="swing" axis="1 2 -1" pos="0.05 0 0" range="-90 90"/>
        <joint name="nod" axis="0 -1 0" ref="15" range="-60 60"/>
        <geom type="box" size="0.02 0.03 0.1" mass="1.5"/>
        <body name="mount"><geom type="sphere" size="0.02" pos="0 0.1 0" mass="0.25"/></body>
        <body name="rail" pos="0 0.05 0.2" euler="0 30 0">
          <joint name="push" type="slide" axis="0 0 -1" range="0.1 0.3"/>
          <geom type="mesh" mesh="hook" mass="0.5"/>
          <body name="wrist" pos="0.1 0 0">
            <joint name="roll" axis="1 0 0"/>
            <geom type="capsule" size="0.02 0.05" mass="0.3"/>
            <site name="point" pos="0.02 0 0.1" euler="0 40 0"/>
          </body>
        </body>
      </body>
    </body>
    <body name="ball"><freejoint/><geom type="sphere" size="0.1"/></body>
  </worldbody>
  <actuator>
    <position name="a" joint="swing" kp="800" forcerange="-40 40"/>
    <motor name="b" joint="nod" gear="50" ctrlrange="-1 1"/>
  </actuator>
  <keyframe>
    <key name="home" qpos="0.5 -0.2 0.15 3 0 0 1 1 0 0 0" ctrl="1 2"/>
  </keyframe>
</mujoco>
"""
CORNERS = np.array([(0, 0, 0), (0.2, 0, 0), (0, 0.04, 0), (0, 0, 0.04)])


def stl(corners, faces=((0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3))):
    """A mesh of triangles, as bytes."""
    kind = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")])
    triangles = np.zeros(len(faces), kind)
    triangles["corners"] = corners[np.array(faces)]
    return bytes(80) + np.uint32(len(faces)).tobytes() + triangles.tobytes()


def write_crooked(folder):
    """Write the arm and its mesh; return the file."""
    (folder / "meshes").mkdir()
    (folder / "meshes" / "hook.stl").write_bytes(stl(CORNERS))
    file = folder / "crooked.xml"
    file.write_text(CROOKED)
    return file
