"""An arm, a table, a cube and two cameras: what tests of both engines stand in."""

import numpy as np

from understudy.physics.arm import Camera, Mount, Pose, Scene, Thing
from understudy.physics.arms import PANDA, box

CUBE = Thing(
    name="cube",
    solids=(box((0.04, 0.04, 0.04), (0, 0, 0), (0.9, 0.1, 0.1)),),
    pose=Pose((0.5, 0.1, 0.04)),
    mass_kg=0.1,
)
TABLE = Thing(
    name="table",
    solids=(box((0.6, 1.0, 0.02), (0, 0, 0), (0.3, 0.6, 0.4)),),
    pose=Pose((0.5, 0.0, 0.01)),
)
FRONT = Camera(name="front", position_m=(1.4, -0.6, 0.8), target_m=(0.45, 0.0, 0.1))
WRIST = Camera(name="wrist", position_m=(0.08, 0, 0), target_m=(0, 0, 0.15), view_deg=80, arm=0)
SCENE = Scene(arms=(Mount(model=PANDA),), things=(CUBE, TABLE), cameras=(FRONT, WRIST))
OPEN, SHUT = np.array([0.08]), np.array([0.0])
