import pytest

from tests.scenes import SCENE
from understudy.physics.bullet import BulletArm
from understudy.physics.mujoco import MujocoArm


@pytest.fixture(params=[MujocoArm, BulletArm], ids=["mujoco", "bullet"])
def engine(request):
    """Makes arms of a scene, and closes them."""
    made = []

    def make(scene=SCENE):
        made.append(request.param(scene))
        return made[-1]

    yield make
    for arm in made:
        arm.close()
