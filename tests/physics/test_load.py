"""A user's own arm, against what MuJoCo and PyBullet make of the same file."""

import re
from pathlib import Path

import mujoco
import numpy as np
import pybullet
import pybullet_data
import pytest
from scipy.spatial.transform import Rotation

from tests.crooked import CROOKED, write_crooked
from understudy.physics import mjcf, urdf
from understudy.physics.arm import Mount, Pose, Scene, Thing
from understudy.physics.arms import ARMS, BARE, PANDA, box
from understudy.physics.bullet import BulletArm
from understudy.physics.kinematics import inverse
from understudy.physics.load import load_arm
from understudy.physics.mujoco import MujocoArm, pictures

DATA = Path(pybullet_data.getDataPath())
# Each with its tool, and what is to be mounted there.
URDFS = {
    "iiwa": ("kuka_iiwa/model.urdf", "lbr_iiwa_link_7", BARE),
    "panda": ("franka_panda/panda.urdf", "panda_grasptarget", None),
    "xarm": ("xarm/xarm6_robot.urdf", "link6", BARE),
    "xarm_with_gripper": ("xarm/xarm6_with_gripper.urdf", "link6", BARE),
}


def drawn(chain, count, seed=0):
    """Joint values (count, J) anywhere within the limits."""
    generator = np.random.default_rng(seed)
    return generator.uniform(chain.low_rad, chain.high_rad, (count, len(chain)))


@pytest.fixture
def bullet():
    client = pybullet.connect(pybullet.DIRECT)
    yield client
    pybullet.disconnect(client)


@pytest.mark.parametrize("name", URDFS)
def test_tool_and_masses_of_a_urdf_are_those_that_pybullet_reads(name, bullet):
    file, tool, gripper = URDFS[name]
    model = load_arm(DATA / file, tool=tool, gripper=gripper)
    body = pybullet.loadURDF(str(DATA / file), useFixedBase=True, physicsClientId=bullet)
    count = pybullet.getNumJoints(body, physicsClientId=bullet)
    infos = [pybullet.getJointInfo(body, n, physicsClientId=bullet) for n in range(count)]
    joints, links = ({info[at].decode(): info[0] for info in infos} for at in (1, 12))
    drawings = drawn(model.chain, 25)
    places, turns = model.chain.forward(drawings)
    for values, place, turn in zip(drawings, places, turns, strict=True):
        for joint, value in zip(model.joints, values, strict=True):
            pybullet.resetJointState(body, joints[joint.name], value, physicsClientId=bullet)
        state = pybullet.getLinkState(
            body, links[tool], computeForwardKinematics=True, physicsClientId=bullet
        )
        np.testing.assert_allclose(place, state[4], atol=1e-5)
        np.testing.assert_allclose(turn, Rotation.from_quat(state[5]).as_matrix(), atol=1e-5)
    weighed = [pybullet.getDynamicsInfo(body, n, physicsClientId=bullet)[0] for n in range(count)]
    moved = sum(weighed[joints[model.joints[0].name] :])
    own = 0 if gripper else model.gripper.inertia.mass_kg + 2 * model.gripper.finger_inertia.mass_kg
    assert sum(joint.inertia.mass_kg for joint in model.joints) + own == pytest.approx(
        moved, abs=1e-4
    )


@pytest.fixture
def crooked(tmp_path):
    return write_crooked(tmp_path)


def test_the_tool_of_an_mjcf_is_where_mujoco_has_it(crooked):
    model = load_arm(crooked, tool="point", gripper=BARE)
    assert [joint.name for joint in model.joints] == ["swing", "nod", "push", "roll"]
    compiled = mujoco.MjModel.from_xml_path(str(crooked))
    data = mujoco.MjData(compiled)
    drawings = drawn(model.chain, 50)
    places, turns = model.chain.forward(drawings)
    for values, place, turn in zip(drawings, places, turns, strict=True):
        data.qpos[:4] = values
        mujoco.mj_kinematics(compiled, data)
        np.testing.assert_allclose(place, data.site("point").xpos, atol=1e-9)
        np.testing.assert_allclose(turn.ravel(), data.site("point").xmat, atol=1e-9)


def test_limits_home_strength_and_masses_are_those_of_the_file(crooked):
    swing, nod, push, roll = load_arm(crooked, tool="point").joints
    assert (swing.low_rad, swing.high_rad) == pytest.approx((-np.pi / 2, np.pi / 2))
    assert (push.low_rad, push.high_rad, push.slides) == (0.1, 0.3, True)
    assert (roll.low_rad, roll.high_rad) == pytest.approx((-2 * np.pi, 2 * np.pi))
    assert [joint.home_rad for joint in (swing, nod, push, roll)] == [0.5, -0.2, 0.15, 3]
    assert (swing.torque_nm, swing.stiffness) == (40, 800)
    assert (nod.torque_nm, nod.stiffness) == (50, 2000)
    assert roll.torque_nm == 100
    assert nod.inertia.mass_kg == pytest.approx(1.75)
    assert swing.inertia.mass_kg < 0.001


def test_without_a_keyframe_an_arm_waits_at_0_or_in_the_middle(crooked):
    crooked.write_text(CROOKED.replace('name="home"', 'name="other"'))
    assert load_arm(crooked, tool="point").home_rad.tolist() == pytest.approx([0, 0, 0.2, 0])
    given = load_arm(crooked, tool="point", home_rad=[0.1, 0.2, 0.3, 0.4])
    assert given.home_rad.tolist() == [0.1, 0.2, 0.3, 0.4]


def test_a_joint_that_is_not_named_rests_and_its_links_are_one(crooked):
    model = load_arm(crooked, tool="point", joints=["swing", "roll"])
    assert [joint.name for joint in model.joints] == ["swing", "roll"]
    assert model.joints[0].inertia.mass_kg == pytest.approx(2.25)
    whole = load_arm(crooked, tool="point")
    values = np.array([[0.4, -0.2, 0.15, 1.0]])
    np.testing.assert_allclose(
        model.chain.forward(values[:, [0, 3]])[0], whole.chain.forward(values)[0], atol=1e-12
    )


def test_a_mesh_becomes_the_smallest_primitive_that_holds_it(crooked):
    (solid,) = load_arm(crooked, tool="point").joints[2].solids
    assert solid.volume_m3 <= 0.2 * 0.04 * 0.04
    assert solid.volume_m3 > 0.2 * 0.04 * 0.04 / 6


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("form", ["mjcf", "urdf"])
def test_an_arm_that_was_written_reads_back(name, form, tmp_path):
    model = ARMS[name]
    file = tmp_path / f"{name}.{'xml' if form == 'mjcf' else 'urdf'}"
    if form == "mjcf":
        for picture, content in pictures().items():
            (tmp_path / picture).write_bytes(content)
        file.write_text(mjcf.written(Scene(arms=(Mount(model=model),))))
    else:
        file.write_text(urdf.written(model))
    found = load_arm(file, home_rad=model.home_rad.tolist())
    for part in ("offsets_m", "turns", "low_rad", "high_rad", "home_rad"):
        np.testing.assert_allclose(
            getattr(found.chain, part), getattr(model.chain, part), atol=1e-9
        )
    for one, other in zip(found.joints, model.joints, strict=True):
        assert one.torque_nm == other.torque_nm
        assert one.inertia.mass_kg == pytest.approx(other.inertia.mass_kg)
        np.testing.assert_allclose(one.inertia.tensor, other.inertia.tensor, atol=1e-9)
        assert [solid.shape for solid in one.solids] == [solid.shape for solid in other.solids]
    assert found.gripper.opening_m == pytest.approx(model.gripper.opening_m)
    assert found.gripper.force_n == pytest.approx(model.gripper.force_n)
    (finger,), (own,) = found.gripper.finger_solids, model.gripper.finger_solids
    np.testing.assert_allclose(finger.position_m, own.position_m, atol=1e-9)
    np.testing.assert_allclose(finger.size_m, own.size_m, atol=1e-9)


@pytest.mark.parametrize("engine", [MujocoArm, BulletArm])
@pytest.mark.parametrize(
    ("name", "opening_m"),
    [("iiwa", 0.0), ("panda", 0.08), ("xarm_with_gripper", 0.0), ("crooked", 0.08)],
)
def test_both_engines_lead_a_loaded_arm_where_the_kinematics_say(name, opening_m, engine, crooked):
    if name == "crooked":
        model = load_arm(crooked, tool="point")
    else:
        file, tool, gripper = URDFS[name]
        home = {"iiwa": [0, 0.5, 0, -1.5, 0, 1.1, 0], "panda": [0, -0.3, 0, -2.2, 0, 1.9, 0.8]}
        model = load_arm(
            DATA / file,
            tool=tool,
            gripper=gripper,
            home_rad=home.get(name, [0, -0.5, -0.7, 0, 1.2, 0]),
        )
    arm = engine(Scene(arms=(Mount(model=model, position_m=(0, 0, 1)),)))
    goal = model.home_rad + np.where(model.chain.slides, 0.05, 0.2)
    arm.reset(model.home_rad, np.zeros(1), {})
    for part in np.linspace(0, 1, 20):
        arm.command(model.home_rad + part * (goal - model.home_rad), np.array([opening_m]))
        arm.advance(0.05)
    arm.advance(1.0)
    np.testing.assert_allclose(arm.joints, goal, atol=0.005)
    np.testing.assert_allclose(arm.speeds, 0, atol=0.01)
    assert arm.openings_m[0] == pytest.approx(opening_m, abs=0.002)
    (place,), _ = model.chain.forward(arm.joints[None])
    np.testing.assert_allclose(arm.tool().position_m, place + np.array([0, 0, 1]), atol=1e-4)
    arm.close()


@pytest.mark.parametrize("engine", [MujocoArm, BulletArm])
def test_a_loaded_arm_lifts_a_cube_with_its_own_gripper(engine):
    model = load_arm(DATA / "franka_panda/panda.urdf", home_rad=PANDA.home_rad.tolist())
    cube = Thing(
        name="cube",
        solids=(box((0.04, 0.04, 0.04), (0, 0, 0)),),
        pose=Pose((0.5, 0, 0.02)),
        mass_kg=0.1,
    )
    positions = np.array([(0.5, 0, height) for height in np.linspace(0.2, 0.02, 10)])
    down = np.broadcast_to(np.diag([1.0, -1.0, -1.0]), (10, 3, 3))
    found = inverse(model.chain, positions, down)
    assert found.is_solved.all()
    arm = engine(Scene(arms=(Mount(model=model),), things=(cube,)))
    arm.reset(found.joints[0], np.array([0.08]), {})
    there, back = found.joints, found.joints[::-1]
    way = [*((joints, 0.08) for joints in there), *[(there[-1], 0.0)] * 8]
    for joints, opening_m in [*way, *((joints, 0.0) for joints in back)]:
        arm.command(joints, np.array([opening_m]))
        arm.advance(0.1)
    assert arm.pose("cube").position_m[2] == pytest.approx(0.2, abs=0.015)
    assert arm.is_touching("cube", "fingers0")
    arm.close()


# Its hand points along x; its fingers slide along z, and open towards negative values.
SIDEWAYS = """
<mujoco>
  <default>
    <default class="finger"><joint type="slide" axis="0 0 -1" range="-0.03 0"/></default>
    <tendon width="0.01"/>
  </default>
  <worldbody>
    <body name="arm">
      <joint name="turn" axis="0 0 1"/>
      <geom type="capsule" size="0.03" fromto="0 0 0 0.3 0 0" mass="2"/>
      <body name="hand" pos="0.3 0 0">
        <geom type="box" size="0.02 0.03 0.05" mass="0.4"/>
        <body name="upper" pos="0.02 0 0.004" childclass="finger">
          <joint name="up"/>
          <geom type="box" size="0.03 0.01 0.004" pos="0.03 0 0" mass="0.05"/>
          <body><geom type="box" size="0.01 0.01 0.002" pos="0.05 0 -0.002" mass="0.01"/></body>
        </body>
        <body name="lower" pos="0.02 0 -0.004" quat="0 1 0 0" childclass="finger">
          <joint name="down"/>
          <geom type="box" size="0.03 0.01 0.004" pos="0.03 0 0" mass="0.06"/>
        </body>
      </body>
    </body>
  </worldbody>
  <tendon><fixed name="both"><joint joint="up" coef="1"/><joint joint="down" coef="1"/></fixed></tendon>
  <equality><joint joint1="up" joint2="down"/></equality>
  <actuator><general name="grip" tendon="both" forcerange="-9 9"/></actuator>
</mujoco>
"""


def test_two_fingers_that_slide_apart_are_the_gripper_whichever_way_they_point(tmp_path):
    (tmp_path / "arm.xml").write_text(SIDEWAYS)
    model = load_arm(tmp_path / "arm.xml")
    gripper = model.gripper
    (place,), (turn,) = model.chain.forward(np.zeros((1, 1)))
    np.testing.assert_allclose(place, [0.3 + 0.02 + 0.06 - 0.01, 0, 0], atol=1e-9)
    np.testing.assert_allclose(turn, [[0, 0, 1], [1, 0, 0], [0, 1, 0]], atol=1e-9)
    assert gripper.opening_m == pytest.approx(0.06)
    assert [joint.inertia.mass_kg for joint in model.joints] == pytest.approx([2.0])
    assert gripper.inertia.mass_kg == pytest.approx(0.4)
    assert gripper.finger_inertia.mass_kg == pytest.approx(0.06)
    assert len(gripper.solids) == 1
    beam, _ = gripper.finger_solids
    np.testing.assert_allclose(beam.position_m, [0, 0.004, 0.05], atol=1e-9)


def test_a_gripper_of_the_model_and_another_are_one_too_many(tmp_path):
    (tmp_path / "arm.xml").write_text(SIDEWAYS)
    with pytest.raises(ValueError, match="a gripper of its own, and another was given"):
        load_arm(tmp_path / "arm.xml", gripper=BARE)


def test_joints_beyond_the_tool_that_are_no_two_fingers_ask_what_is_mounted_there():
    with pytest.raises(ValueError, match="drive_joint.* not two fingers .*arms.BARE"):
        load_arm(DATA / "xarm/xarm6_with_gripper.urdf", tool="link6")


def test_an_arm_may_stand_on_a_base_that_is_free_in_the_file():
    free, fixed = (
        load_arm(DATA / "kuka_iiwa" / file) for file in ("model_free_base.urdf", "model.urdf")
    )
    np.testing.assert_allclose(free.chain.offsets_m, fixed.chain.offsets_m, atol=1e-9)


def test_the_lines_on_the_page_load_pybullets_own_panda_as_it_says():
    page = Path(__file__).resolve().parents[2] / "docs" / "arms.md"
    lines = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names = {"pybullet_data": pybullet_data, "load_arm": load_arm, "PANDA": PANDA}
    exec(lines[0], names)
    panda = names["panda"]
    np.testing.assert_array_equal(panda.home_rad, PANDA.home_rad)
    assert [joint.torque_nm for joint in panda.joints] == [87] * 4 + [12] * 3
    assert [joint.stiffness for joint in panda.joints] == [40 * 87] * 4 + [40 * 12] * 3
    assert (panda.gripper.opening_m, panda.gripper.force_n) == (0.08, 40.0)
    links = [panda.base, *(joint.solids for joint in panda.joints), panda.gripper.solids]
    assert [len(solids) for solids in links] == [1] * 9
