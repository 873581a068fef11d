"""What no engine could build or do is refused by both alike."""

from dataclasses import replace

import numpy as np
import pytest

from tests.scenes import CUBE, FRONT, OPEN, SCENE
from understudy.physics.arm import Mount, Pose
from understudy.physics.arms import PANDA

NAN = np.full(7, np.nan)


def thing(**changed):
    return lambda: replace(SCENE, things=(replace(CUBE, **changed),))


def seen_from(**changed):
    return lambda: replace(SCENE, cameras=(replace(FRONT, **changed),))


@pytest.mark.parametrize(
    ("scene", "complaint"),
    [
        (thing(name="floor"), "'floor' is taken"),
        (thing(name="world"), "'world' is taken"),
        (thing(name="arm0"), "'arm0' is taken"),
        (thing(name="fingers0"), "'fingers0' is taken"),
        (thing(name="a/b"), "no '/'"),
        (thing(name=""), "no '/'"),
        (thing(solids=()), "'cube' has no solids"),
        (thing(mass_kg=0.0), "'cube': mass_kg is above 0"),
        (thing(mass_kg=np.nan), "'cube': mass_kg is above 0"),
        (thing(friction=-1.0), "'cube': friction is at least 0"),
        (thing(pose=Pose((np.nan, 0, 0))), "'cube' has no place"),
        (thing(pose=Pose((0, 0, 0), (0, 0, 0, 0))), "'cube' has no place"),
        (seen_from(arm=1), "'front' is on arm 1, the scene has 1"),
        (seen_from(arm=-1), "'front' is on arm -1, the scene has 1"),
        (seen_from(target_m=FRONT.position_m), "'front' looks from one point to another"),
        (seen_from(position_m=(np.nan, 0, 0)), "'front' looks from one point to another"),
        (seen_from(view_deg=180), "'front': view_deg is between 0 and 180"),
        (lambda: replace(SCENE, arms=()), "at least one arm"),
        (lambda: replace(SCENE, floor_m=np.nan), "floor_m is a height"),
        (
            lambda: replace(SCENE, arms=(Mount(model=PANDA, yaw_rad=np.inf),)),
            "panda stands nowhere",
        ),
    ],
)
def test_a_scene_that_no_engine_could_build_is_refused_by_name(scene, complaint, engine):
    with pytest.raises(ValueError, match=complaint):
        engine(scene())


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (lambda arm: arm.command(NAN, OPEN), "joints are 7 numbers"),
        (lambda arm: arm.command(PANDA.home_rad, NAN[:1]), "openings_m are 1 number"),
        (lambda arm: arm.command(PANDA.home_rad[:3], OPEN), "joints are 7 numbers"),
        (lambda arm: arm.command(PANDA.home_rad, np.array(0.08)), "openings_m are 1 number"),
        (lambda arm: arm.shift(NAN), "joints are 7 numbers"),
        (lambda arm: arm.reset(NAN, OPEN, {}), "joints are 7 numbers"),
        (
            lambda arm: arm.reset(PANDA.home_rad, OPEN, {"cube": Pose((0, 0, np.inf))}),
            "'cube' has no place",
        ),
        (lambda arm: arm.render("front", 0, 2000), "0 x 2000: each side is 1 to 1024"),
        (lambda arm: arm.render("front", 2000, 48), "2000 x 48: each side is 1 to 1024"),
    ],
)
def test_what_no_arm_can_do_is_refused_and_leaves_it_as_it_was(asked, complaint, engine):
    arm = engine()
    arm.reset(PANDA.home_rad, OPEN, {})
    with pytest.raises(ValueError, match=complaint):
        asked(arm)
    arm.advance(0.5)
    np.testing.assert_allclose(arm.joints, PANDA.home_rad, atol=0.003)
