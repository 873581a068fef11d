"""Both engines answer the same questions alike: the contract of `Arm`."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.scenes import CUBE, FRONT, OPEN, SCENE, SHUT
from understudy.physics.arm import Conditions, Mount, Pose, Scene, Thing
from understudy.physics.arms import ARMS, IIWA, PANDA, box
from understudy.physics.kinematics import inverse
from understudy.physics.models import Solid, inertia_of

DOWN = Rotation.from_euler("x", np.pi).as_matrix()


def above_the_cube(*heights_m):
    """Joint angles (n, 7) with the fingers around the cube, at heights."""
    positions = np.array([(0.5, 0.1, height) for height in heights_m])
    found = inverse(PANDA.chain, positions, np.broadcast_to(DOWN, (len(positions), 3, 3)))
    assert found.is_solved.all()
    return found.joints


def led(arm, goal, opening, duration_s=1.0):
    """Lead the arm along a straight line of joint angles, as people and policies do."""
    begin, count = arm.joints.copy(), round(duration_s / 0.05)
    for part in range(1, count + 1):
        arm.command(begin + (goal - begin) * part / count, opening)
        arm.advance(0.05)


def grasped(arm):
    """The cube between closed fingers, 20 cm above where it lay; returns how far it rose."""
    high, low = above_the_cube(0.24, 0.04)
    arm.reset(high, OPEN, {})
    led(arm, low, OPEN)
    began = arm.pose("cube").position_m[2]
    led(arm, low, SHUT, 0.5)
    led(arm, high, SHUT)
    return arm.pose("cube").position_m[2] - began


@pytest.mark.parametrize("name", ARMS)
def test_the_tool_is_where_the_kinematics_say(name, engine):
    model = ARMS[name]
    mount = Mount(model=model, position_m=(0.2, -0.4, 0.1), yaw_rad=0.7)
    arm = engine(Scene(arms=(mount,)))
    generator = np.random.default_rng(0)
    for joints in generator.uniform(
        model.chain.low_rad, model.chain.high_rad, (10, len(model.joints))
    ):
        arm.reset(joints, OPEN, {})
        (place,), (turn,) = model.chain.forward(joints[None])
        tool = arm.tool()
        np.testing.assert_allclose(
            tool.position_m, mount.position_m + mount.rotation @ place, atol=1e-5
        )
        np.testing.assert_allclose(tool.rotation, mount.rotation @ turn, atol=1e-5)


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_goes_where_it_is_told_and_holds_there_against_gravity(name, engine):
    model = ARMS[name]
    arm = engine(Scene(arms=(Mount(model=model),)))
    arm.reset(model.home_rad, SHUT, {})
    goal = model.home_rad + 0.3
    led(arm, goal, OPEN)
    arm.advance(2.0)
    np.testing.assert_allclose(arm.joints, goal, atol=0.003)
    np.testing.assert_allclose(arm.speeds, 0, atol=0.003)
    np.testing.assert_allclose(arm.openings_m, model.gripper.opening_m, atol=0.001)
    assert arm.time_s == pytest.approx(3.0)


def test_commands_beyond_the_limits_end_at_them(engine):
    arm = engine()
    arm.reset(PANDA.home_rad, OPEN, {})
    led(arm, PANDA.home_rad + np.array([0.5, 0, 0, 2.5, 0, 0, 0]), np.array([0.5]), 2.0)
    assert np.all(arm.joints < PANDA.chain.high_rad + 0.01)
    assert arm.openings_m[0] == pytest.approx(0.08, abs=0.002)


def test_a_camera_says_where_in_its_picture_a_point_is(engine):
    dot = Solid(shape="sphere", size_m=(0.01,), colour=(0.9, 0.05, 0.05))
    for point in ((0.5, 0.1, 0.04), (0.3, -0.4, 0.3)):
        lies = Thing(name="dot", solids=(dot,), pose=Pose(point))
        picture = engine(replace(SCENE, things=(lies,))).render("front", 360, 480).astype(int)
        at = np.argwhere((picture[..., 0] > 2 * picture[..., 1]) & (picture[..., 0] > 90))
        assert len(at) > 5
        (seen,) = FRONT.pixels(np.array([point]), 360, 480)
        np.testing.assert_allclose(seen, at.mean(0) + 0.5, atol=1.0)


def test_a_cube_is_grasped_lifted_and_let_go(engine):
    arm = engine()
    assert grasped(arm) == pytest.approx(0.2, abs=0.01)
    assert arm.is_touching("cube", "fingers0")
    assert not arm.is_touching("cube", "table")
    assert 0.035 < arm.openings_m[0] < 0.042
    arm.advance(2.0)
    assert arm.pose("cube").position_m[2] > 0.2
    arm.command(arm.joints, OPEN)
    arm.advance(1.0)
    assert arm.is_touching("table", "cube")
    assert not arm.is_touching("cube", "fingers0")
    assert arm.pose("cube").position_m[2] == pytest.approx(0.04, abs=0.002)


def test_both_fingers_part_alike_so_that_a_cube_off_their_middle_comes_into_it(engine):
    arm = engine()
    _, low = above_the_cube(0.24, 0.04)
    place, turn = (part[0] for part in PANDA.chain.forward(low[None]))
    off = place + 0.012 * turn[:, 1]
    arm.reset(low, OPEN, {"cube": Pose((off[0], off[1], 0.04), CUBE.pose.quaternion_wxyz)})
    led(arm, low, SHUT, 1.0)
    assert arm.is_touching("cube", "fingers0")
    np.testing.assert_allclose(arm.pose("cube").position_m[:2], place[:2], atol=0.002)


def test_an_episode_does_not_depend_on_those_before_it(engine):
    def played(arm):
        arm.reset(above_the_cube(0.06)[0], OPEN, {"cube": Pose((0.49, 0.1, 0.04))})
        led(arm, above_the_cube(0.045)[0], SHUT)
        return np.array([*arm.joints, *arm.pose("cube").position_m, *arm.openings_m])

    once = engine()
    first = played(once)
    used = engine()
    grasped(used)
    hard = Conditions(mass=2, friction=0.3, damping=3, gain=0.5, latency_s=0.05, light=0.5)
    used.reset(PANDA.home_rad, SHUT, {}, hard)
    used.advance(0.5)
    np.testing.assert_array_equal(played(used), first)
    np.testing.assert_array_equal(played(once), first)


def test_a_command_takes_effect_after_the_latency(engine):
    arm = engine()
    arm.reset(PANDA.home_rad, OPEN, {}, Conditions(latency_s=0.1))
    arm.command(PANDA.home_rad + 0.2, OPEN)
    arm.advance(0.1)
    np.testing.assert_allclose(arm.joints, PANDA.home_rad, atol=1e-3)
    arm.advance(0.05)
    assert np.abs(arm.joints - PANDA.home_rad).max() > 0.01
    arm.advance(0.85)
    np.testing.assert_allclose(arm.joints, PANDA.home_rad + 0.2, atol=5e-3)


def test_of_commands_on_their_way_each_takes_effect_in_turn(engine):
    arm = engine()
    arm.reset(PANDA.home_rad, OPEN, {}, Conditions(latency_s=0.5))
    arm.command(PANDA.home_rad + 0.2, OPEN)
    arm.advance(0.5)
    arm.command(PANDA.home_rad, OPEN)
    arm.advance(0.5)
    assert arm.joints[0] == pytest.approx(0.2, abs=0.01)
    arm.advance(0.5)
    assert arm.joints[0] == pytest.approx(0.0, abs=0.01)


def test_without_friction_the_cube_slips_away(engine):
    arm = engine()
    high, low = above_the_cube(0.24, 0.04)
    arm.reset(high, OPEN, {}, Conditions(friction=0.003))
    led(arm, low, OPEN)
    led(arm, low, SHUT, 0.5)
    led(arm, high, SHUT)
    assert arm.pose("cube").position_m[2] < 0.1


def test_a_weaker_servo_lags_behind(engine):
    def lag(**change):
        arm.reset(PANDA.home_rad, OPEN, {}, Conditions(**change))
        led(arm, PANDA.home_rad + 0.3, OPEN, 0.25)
        return np.abs(PANDA.home_rad + 0.3 - arm.joints).max()

    arm = engine()
    assert lag(gain=0.3) > 1.3 * lag()


def test_a_more_damped_arm_is_slower(engine):
    def left(damping):
        arm.reset(PANDA.home_rad, OPEN, {}, Conditions(damping=damping))
        arm.command(PANDA.home_rad + 0.1, OPEN)
        arm.advance(0.1)
        return np.abs(PANDA.home_rad + 0.1 - arm.joints).max()

    arm = engine()
    assert left(3.0) > 1.2 * left(2.0)
    assert left(2.0) > 1.2 * left(1.0)


def test_a_heavier_cube_weighs_more(engine):
    arm = engine()
    pushed = []
    for mass in (1.0, 30.0):
        beside = {"cube": Pose((0.5, 0.14, 0.04))}
        arm.reset(above_the_cube(0.06)[0], SHUT, beside, Conditions(mass=mass, gain=0.05))
        away = inverse(PANDA.chain, np.array([[0.5, 0.2, 0.06]]), DOWN[None])
        led(arm, away.joints[0], SHUT)
        pushed.append(arm.pose("cube").position_m[1])
    assert pushed[0] > pushed[1] + 0.005


def red_of(picture):
    """Where the red cube is seen: its share of the picture and its middle (row, column)."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    seen = (red > 90) & (red > 2 * green) & (red > 2 * blue)
    return seen.mean(), np.argwhere(seen).mean(0) if seen.any() else None


def test_a_camera_sees_the_cube_where_it_is(engine):
    arm = engine()
    arm.reset(PANDA.home_rad, OPEN, {})
    picture = arm.render("front", 120, 160)
    assert picture.shape == (120, 160, 3)
    assert picture.dtype == np.uint8
    share, middle = red_of(picture)
    expected = seen_at(FRONT, (0.5, 0.1, 0.04), 120, 160)
    np.testing.assert_allclose(middle, expected, atol=2)
    assert 0.0005 < share < 0.02
    arm.reset(PANDA.home_rad, OPEN, {"cube": Pose((0.4, -0.2, 0.04))})
    _, middle = red_of(arm.render("front", 120, 160))
    np.testing.assert_allclose(middle, seen_at(FRONT, (0.4, -0.2, 0.04), 120, 160), atol=2)


def seen_at(camera, point, rows, columns):
    """Row and column at which a pinhole camera sees a point."""
    x, y, z = camera.turned().T @ np.subtract(point, camera.position_m)
    scale = rows / 2 / np.tan(np.deg2rad(camera.view_deg) / 2)
    return rows / 2 + y / z * scale, columns / 2 - x / z * scale


def test_the_hands_camera_moves_with_the_hand(engine):
    arm = engine()
    high, low = above_the_cube(0.3, 0.15)
    arm.reset(high, OPEN, {})
    far, middle = red_of(arm.render("wrist", 96, 96))
    assert middle is not None
    arm.reset(low, OPEN, {})
    near, _ = red_of(arm.render("wrist", 96, 96))
    assert near > 1.5 * far


def test_what_is_seen_changes_with_the_conditions(engine):
    def seen(**change):
        arm.reset(PANDA.home_rad, OPEN, {}, Conditions(**change))
        return arm.render("front", 96, 128).astype(float)

    arm = engine()
    plain = seen()
    assert seen(light=0.5).mean() < plain.mean() - 10
    assert red_of(seen(colours={"cube": (0.1, 0.1, 0.9)}))[0] == 0
    assert np.abs(seen(light_from=(-1, 1, 1)) - plain).mean() > 0.5
    for pattern in ("checker", "grain"):
        assert np.abs(seen(pattern=pattern) - plain).mean() > 2
    _, before = red_of(plain)
    _, shifted = red_of(seen(camera_shift_m=(0, 0, 0.05)))
    assert shifted[0] > before[0] + 2
    _, turned = red_of(seen(camera_turn_rad=(0, 0, 0.05)))
    assert abs(turned[1] - before[1]) > 2
    np.testing.assert_array_equal(seen(), plain)


def test_two_arms_stand_side_by_side_and_do_not_pass_through_each_other(engine):
    mounts = (Mount(model=PANDA), Mount(model=PANDA, position_m=(1.1, 0, 0), yaw_rad=np.pi))
    arm = engine(Scene(arms=mounts))
    home = np.tile(PANDA.home_rad, 2)
    arm.reset(home, np.array([0.08, 0.02]), {})
    np.testing.assert_allclose(arm.openings_m, [0.08, 0.02], atol=1e-3)
    assert arm.tool(0).position_m[0] < 0.55 < arm.tool(1).position_m[0]
    assert not arm.is_touching("arm0", "arm1")
    forward = np.tile(PANDA.home_rad + np.array([0, 0.5, 0, 0.6, 0, 0, 0]), 2)
    led(arm, forward, np.array([0.0, 0.0]))
    assert any(
        arm.is_touching(one, other)
        for one in ("arm0", "fingers0")
        for other in ("arm1", "fingers1")
    )


@pytest.mark.parametrize(
    ("act", "complaint"),
    [
        (lambda arm: arm.render("back", 64, 64), "no camera 'back'.*front, wrist"),
        (lambda arm: arm.pose("ball"), "nothing called 'ball'"),
        (lambda arm: arm.is_touching("cube", "ball"), "nothing called 'ball' can touch.*cube"),
        (
            lambda arm: arm.reset(PANDA.home_rad, OPEN, {"table": CUBE.pose}),
            "moved; there is: cube",
        ),
        (
            lambda arm: arm.reset(
                PANDA.home_rad, OPEN, {}, Conditions(colours={"ball": (1, 0, 0)})
            ),
            "colours of .*ball.*; there is: cube, table",
        ),
        (lambda arm: arm.advance(0.0001), "not a whole number of steps"),
    ],
)
def test_what_is_not_there_is_named_with_what_is(act, complaint, engine):
    with pytest.raises(ValueError, match=complaint):
        act(engine())


def test_a_scene_with_a_name_twice_is_refused():
    with pytest.raises(ValueError, match="names given twice: cube"):
        replace(SCENE, things=(CUBE, CUBE))


@pytest.mark.parametrize(
    "change",
    [{"mass": 0}, {"gain": np.inf}, {"latency_s": -0.1}, {"light": -1}, {"light_from": (0, 0, 0)}],
)
def test_impossible_conditions_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        Conditions(**change)


@pytest.mark.parametrize(
    ("shape", "size", "tolerance"),
    [("box", (0.1, 0.2, 0.3), 1e-9), ("sphere", (0.1,), 1e-9), ("cylinder", (0.1, 0.4), 1e-9),
     ("capsule", (0.05, 0.4), 0.05)],
)  # fmt: skip
def test_inertia_is_the_engines_own(shape, size, tolerance):
    import mujoco

    halves = {"box": [n / 2 for n in size], "sphere": size}.get(shape, (size[0], size[-1] / 2))
    model = mujoco.MjModel.from_xml_string(
        f"""<mujoco><worldbody><body><freejoint/><geom type="{shape}" mass="2" pos=".1 0 0"
        size="{" ".join(map(str, halves))}"/></body></worldbody></mujoco>"""
    )
    found = inertia_of([Solid(shape=shape, size_m=size, position_m=(0.1, 0, 0))], 2.0)
    np.testing.assert_allclose(found.centre_m, [0.1, 0, 0], atol=1e-12)
    expected = np.sort(model.body_inertia[1])
    np.testing.assert_allclose(np.sort(np.diag(found.tensor)), expected, rtol=tolerance)


def test_inertia_of_two_bodies_is_that_of_their_sum():
    halves = [
        Solid(shape="box", size_m=(0.1, 0.1, 0.1), position_m=(0, 0, z)) for z in (0.05, 0.15)
    ]
    whole = Solid(shape="box", size_m=(0.1, 0.1, 0.2), position_m=(0, 0, 0.1))
    parts, one = inertia_of(halves, 3.0), inertia_of([whole], 3.0)
    np.testing.assert_allclose(parts.tensor, one.tensor, atol=1e-12)
    np.testing.assert_allclose(parts.centre_m, one.centre_m)


def test_the_second_engine_says_nothing_when_it_starts():
    code = (
        "from understudy.physics.bullet import BulletArm;"
        "from understudy.physics.arm import *; from understudy.physics.arms import IIWA;"
        "BulletArm(Scene(arms=(Mount(model=IIWA),))).close(); print('done')"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == ("done\n", "")


def test_iiwas_gripper_points_down_at_home():
    _, (turn,) = IIWA.chain.forward(IIWA.home_rad[None])
    assert turn[2, 2] < -0.99


@pytest.mark.parametrize("name", ARMS)
def test_an_arm_that_is_pushed_comes_back_without_swinging(name, engine):
    model = ARMS[name]
    arm = engine(Scene(arms=(Mount(model=model),)))
    goal = model.home_rad.copy()
    goal[[1, 3]] += [0.7, 0.5]  # reaching out
    arm.reset(goal, SHUT, {})
    push = np.zeros(len(goal))
    push[:2] = 0.15
    arm.shift(push)
    away = []
    for _ in range(60):
        arm.advance(1 / 60)
        away.append(arm.joints[:2] - goal[:2])
    away = np.array(away)
    assert np.abs(away[18:]).max() < 0.01
    assert away.min() > -0.02


def hammer(pose):
    """A light handle with a heavy head: it hangs over where its middle would not."""
    head = box((0.06, 0.1, 0.06), (0, 0.17, 0), (0.3, 0.3, 0.3))
    handle = box((0.02, 0.24, 0.02), (0, 0, 0), (0.8, 0.6, 0.3))
    return Thing(name="hammer", solids=(handle, head), pose=pose, mass_kg=0.5)


def test_a_thing_is_where_it_is_put_though_its_weight_is_elsewhere(engine):
    arm = engine(Scene(arms=(Mount(model=PANDA),), things=(hammer(Pose((0.5, 0, 1.0))),)))
    turn = Rotation.from_euler("xyz", [0.3, -0.5, 1.1]).as_quat(scalar_first=True)
    pose = Pose((0.4, 0.2, 0.8), tuple(turn.tolist()))
    arm.reset(PANDA.home_rad, OPEN, {"hammer": pose})
    np.testing.assert_allclose(arm.pose("hammer").position_m, pose.position_m, atol=1e-6)
    np.testing.assert_allclose(arm.pose("hammer").rotation, pose.rotation, atol=1e-6)


def test_a_thing_whose_weight_hangs_over_the_edge_falls(engine):
    post = Thing(
        name="post", solids=(box((0.1, 0.1, 0.4), (0, 0, 0.2)),), pose=Pose((0.9, 0.0, 0.0))
    )
    lies = Pose((0.9, 0.0, 0.42))
    arm = engine(Scene(arms=(Mount(model=PANDA),), things=(hammer(lies), post)))
    arm.reset(PANDA.home_rad, OPEN, {})
    arm.advance(1.0)
    assert arm.pose("hammer").position_m[2] < 0.3
