"""Forward and inverse kinematics, against PyBullet's URDFs and mink."""

from dataclasses import replace

import mink
import mujoco
import numpy as np
import pybullet
import pybullet_data
import pytest
from scipy.spatial.transform import Rotation

from understudy.physics import mjcf
from understudy.physics.arm import Mount, Scene
from understudy.physics.arms import ARMS, IIWA, PANDA, VIPERX
from understudy.physics.kinematics import inverse
from understudy.physics.mujoco import pictures

DOWN = Rotation.from_euler("x", np.pi).as_matrix()
URDFS = {"panda": "franka_panda/panda.urdf", "iiwa": "kuka_iiwa/model.urdf"}
LAST_LINK = {"panda": 6, "iiwa": 6}


def drawn(chain, count, seed=0):
    """Joint angles (count, J) anywhere within the limits."""
    generator = np.random.default_rng(seed)
    return generator.uniform(chain.low_rad, chain.high_rad, (count, len(chain)))


@pytest.fixture
def bullet():
    client = pybullet.connect(pybullet.DIRECT)
    pybullet.setAdditionalSearchPath(pybullet_data.getDataPath(), physicsClientId=client)
    yield client
    pybullet.disconnect(client)


@pytest.mark.parametrize("name", URDFS)
def test_the_last_link_is_where_pybullets_own_model_has_it(name, bullet):
    model = ARMS[name]
    body = pybullet.loadURDF(URDFS[name], useFixedBase=True, physicsClientId=bullet)
    joints = drawn(model.chain, 50)
    positions, rotations = model.chain.frames(joints)
    for row, angles in enumerate(joints):
        for index, angle in enumerate(angles):
            pybullet.resetJointState(body, index, angle, physicsClientId=bullet)
        state = pybullet.getLinkState(
            body, LAST_LINK[name], computeForwardKinematics=True, physicsClientId=bullet
        )
        np.testing.assert_allclose(positions[row, 6], state[4], atol=1e-5)
        turn = Rotation.from_quat(state[5]).as_matrix()
        np.testing.assert_allclose(rotations[row, 6], turn, atol=1e-5)


def test_the_pandas_tool_lies_between_the_finger_tips(bullet):
    body = pybullet.loadURDF(URDFS["panda"], useFixedBase=True, physicsClientId=bullet)
    for index, angle in enumerate(PANDA.home_rad):
        pybullet.resetJointState(body, index, angle, physicsClientId=bullet)
    hand = pybullet.getLinkState(body, 8, computeForwardKinematics=True, physicsClientId=bullet)
    (place,), (turn,) = PANDA.chain.forward(PANDA.home_rad[None])
    np.testing.assert_allclose(turn, Rotation.from_quat(hand[5]).as_matrix(), atol=1e-5)
    np.testing.assert_allclose(place, hand[4] + turn @ [0, 0, 0.1034], atol=1e-5)


def test_the_viperx_stretched_forward_is_as_long_and_high_as_its_maker_says():
    (place,), (turn,) = VIPERX.chain.forward(np.zeros((1, 6)))
    np.testing.assert_allclose(place, [0.536494, 0, 0.42705], atol=1e-9)
    forward, left = [1, 0, 0], [0, 1, 0]
    np.testing.assert_allclose(turn[:, 2], forward, atol=1e-12)
    np.testing.assert_allclose(turn[:, 1], left, atol=1e-12)


# What positive angles do to the stretched arm's tool: screw axes of the maker (waist to wrist rotate).
@pytest.mark.parametrize(
    ("joint", "axis", "through"),
    [
        (0, (0, 0, 1), (0, 0, 0.12705)),
        (1, (0, 1, 0), (0, 0, 0.12705)),
        (2, (0, 1, 0), (0.05955, 0, 0.42705)),
        (3, (1, 0, 0), (0.05955, 0, 0.42705)),
        (4, (0, 1, 0), (0.35955, 0, 0.42705)),
        (5, (1, 0, 0), (0.35955, 0, 0.42705)),
    ],
)
def test_each_joint_of_the_viperx_turns_about_its_makers_axis(joint, axis, through):
    (jacobian,) = VIPERX.chain.jacobian(np.zeros((1, 6)))
    tool = np.array([0.536494, 0, 0.42705])
    np.testing.assert_allclose(jacobian[3:, joint], axis, atol=1e-12)
    np.testing.assert_allclose(jacobian[:3, joint], np.cross(axis, tool - through), atol=1e-12)


# The Panda with its fourth joint, and one across, sliding.
SLIDING = replace(PANDA.chain, slides=np.array([0, 1, 0, 1, 0, 0, 0], bool))


@pytest.mark.parametrize(
    "chain", [*(arm.chain for arm in ARMS.values()), SLIDING], ids=[*ARMS, "sliding"]
)
def test_the_jacobian_is_the_slope_of_the_pose(chain):
    (joints,) = drawn(chain, 1)
    (jacobian,) = chain.jacobian(joints[None])
    (place,), (turn,) = chain.forward(joints[None])
    for index in range(len(chain)):
        moved = joints.copy()
        moved[index] += 1e-6
        (there,), (turned,) = chain.forward(moved[None])
        np.testing.assert_allclose((there - place) / 1e-6, jacobian[:3, index], atol=1e-5)
        angular = Rotation.from_matrix(turned @ turn.T).as_rotvec() / 1e-6
        np.testing.assert_allclose(angular, jacobian[3:, index], atol=1e-5)


def test_poses_of_an_arm_with_joints_that_slide_are_reached():
    positions, rotations = SLIDING.forward(drawn(SLIDING, 100))
    found = inverse(SLIDING, positions, rotations, restarts=5)
    assert found.is_solved.mean() > 0.8
    place, _ = SLIDING.forward(found.joints)
    assert np.linalg.norm(place - positions, axis=1)[found.is_solved].max() < 1e-5


@pytest.fixture(scope="module")
def box():
    """Poses with the gripper down, and what was found for them."""
    positions = np.random.default_rng(1).uniform([0.3, -0.3, 0.2], [0.6, 0.3, 0.6], (1000, 3))
    rotations = np.broadcast_to(DOWN, (1000, 3, 3))
    return positions, rotations, inverse(PANDA.flange_chain, positions, rotations)


def test_poses_in_the_box_are_reached_within_the_limits(box):
    positions, _, found = box
    assert found.is_solved.mean() >= 0.99
    place, turn = PANDA.flange_chain.forward(found.joints)
    solved = found.is_solved
    assert np.linalg.norm(place - positions, axis=1)[solved].max() < 1e-5
    assert np.abs(turn[solved] - DOWN).max() < 1e-4
    assert np.all(found.joints >= PANDA.chain.low_rad)
    assert np.all(found.joints <= PANDA.chain.high_rad)


def test_near_poses_have_near_angles_so_that_the_arm_stays_on_one_branch(box):
    positions, rotations, found = box
    beside = inverse(PANDA.flange_chain, positions + np.array([0, 0.001, 0]), rotations)
    both = found.is_solved & beside.is_solved
    assert np.abs(found.joints - beside.joints)[both].max() < 0.02


def test_where_the_search_begins_does_not_change_what_it_finds(box):
    positions, rotations, found = box
    near = found.joints + np.random.default_rng(2).normal(0, 0.1, found.joints.shape)
    again = inverse(PANDA.flange_chain, positions, rotations, near)
    both = found.is_solved & again.is_solved
    assert np.abs(found.joints - again.joints)[both].max() < 1e-3


def test_no_other_angles_that_reach_the_pose_are_nearer_home(box):
    positions, rotations, found = box
    chain = PANDA.flange_chain
    jacobian = chain.jacobian(found.joints)
    for row in np.flatnonzero(found.is_solved)[:50]:
        free = np.linalg.svd(jacobian[row])[2][-1]
        for way in (-0.05, 0.05):
            start = (found.joints[row] + way * free)[None]
            other = inverse(chain, positions[row : row + 1], rotations[:1], start, pull=0)
            assert other.is_solved[0]
            here = np.linalg.norm(found.joints[row] - chain.home_rad)
            assert np.linalg.norm(other.joints[0] - chain.home_rad) > here - 1e-6


def test_a_pose_out_of_reach_is_said_to_be_unsolved_and_by_how_much():
    found = inverse(IIWA.chain, np.array([[3.0, 0.0, 0.5]]), DOWN[None])
    assert not found.is_solved[0]
    assert 1.5 < found.error_m[0] < 3.0


def test_poses_anywhere_are_found_from_other_starts():
    chain = IIWA.chain
    positions, rotations = chain.forward(drawn(chain, 200))
    once = inverse(chain, positions, rotations)
    found = inverse(chain, positions, rotations, restarts=10)
    assert found.is_solved.mean() >= 0.99 > once.is_solved.mean()
    np.testing.assert_array_equal(found.joints[once.is_solved], once.joints[once.is_solved])


def test_mink_finds_the_same_angles(box):
    _, _, found = box
    model = mujoco.MjModel.from_xml_string(
        mjcf.written(Scene(arms=(Mount(model=PANDA),))), pictures()
    )
    configuration = mink.Configuration(model)
    rest = configuration.q.copy()
    rest[:7] = PANDA.home_rad
    tool = mink.FrameTask("arm0/tool", "site", position_cost=1.0, orientation_cost=1.0)
    home = mink.PostureTask(model, cost=1e-3)
    home.set_target(rest)
    tools = PANDA.chain.forward(found.joints)
    for row in np.flatnonzero(found.is_solved)[:10]:
        pose = np.eye(4)
        pose[:3, 3], pose[:3, :3] = tools[0][row], tools[1][row]
        tool.set_target(mink.SE3.from_matrix(pose))
        configuration.update(rest)
        for _ in range(200):
            speeds = mink.solve_ik(configuration, [tool, home], 0.5, solver="daqp")
            configuration.integrate_inplace(speeds, 0.5)
        np.testing.assert_allclose(configuration.q[:7], found.joints[row], atol=2e-3)
