"""Handing over: what the world and its expert do beyond what every task must do."""

from typing import final

import numpy as np
import pytest

from understudy.collect.source import Event
from understudy.collect.teleoperator import Teleoperator
from understudy.fleet import ExpertActor, Here
from understudy.physics.arms import VIPERX
from understudy.physics.randomise import Randomisation
from understudy.rollout import rollouts
from understudy.spec import ENVIRONMENT_STATE, STATE
from understudy.tasks import make_task
from understudy.tasks.arms import PAIRS
from understudy.tasks.two_arm_transfer import HELD_TICKS, NAMES, STEP, TwoArmTransfer

LEFT_GRIPPER, RIGHT_GRIPPER = NAMES.index("left_gripper"), NAMES.index("right_gripper")
IS_JOINT = np.array([not name.endswith("gripper") for name in NAMES])


def begun(task, seed):
    """A world at its beginning, and what is seen there."""
    world = task.build()
    seen, _ = world.reset(seed=seed)
    return world, seen


def played(world, actor, limit=200):
    """Step until the end; returns the rewards and the last step's (terminated, truncated, info)."""
    rewards = []
    for _ in range(limit):
        _, reward, terminated, truncated, info = world.step(actor(world))
        rewards.append(reward)
        if terminated or truncated:
            return rewards, terminated, truncated, info
    raise AssertionError("the episode does not end")


def expert(world):
    return world.expert_action()


@pytest.mark.parametrize(
    ("options", "count"), [("world=wide", 4), ("world=shifted", 2), ("engine=bullet", 3)]
)
def test_the_expert_hands_the_cube_over_wherever_it_lies(options, count):
    task = make_task(f"two-arm-transfer:{options}")
    episodes = Here(worlds=1).rollouts(task, ExpertActor(), range(10_000, 10_000 + count))
    assert [episode.seed for episode in episodes if not episode.success] == []


@pytest.mark.parametrize("seed", range(10_000, 10_006))
def test_the_expert_knows_what_to_do_wherever_another_has_left_off(seed):
    world, _ = begun(TwoArmTransfer(), seed)
    draws = np.random.default_rng(seed)
    space = world.action_space
    for _ in range(3):
        goal = draws.uniform(space.low, space.high).astype(np.float32)
        for _ in range(6):
            world.step(goal)
    _, terminated, _, info = played(world, expert)
    assert terminated
    assert info["is_success"]


def test_the_expert_takes_the_cube_again_when_the_right_gripper_drops_it():
    world, _ = begun(TwoArmTransfer(), 10_000)

    def clumsy(world):
        action = world.expert_action()
        if 35 <= world._ticks < 43:
            action[RIGHT_GRIPPER] = 1.0
        return action

    rewards, *_, info = played(world, clumsy)
    assert rewards[34] == 0.5
    assert min(rewards[35:60]) == 0
    assert info["is_success"]


def test_the_experts_commands_are_smooth():
    world, _ = begun(TwoArmTransfer(), 10_001)
    given = [world._told.astype(np.float32)]

    def noted(world):
        given.append(world.expert_action())
        return given[-1]

    played(world, noted)
    steps = np.diff(given, axis=0)
    assert (np.abs(steps) <= STEP + 1e-6).all()
    assert np.abs(np.diff(steps, axis=0))[:, IS_JOINT].max() < 0.1


def test_the_experts_choice_depends_on_the_state_and_not_on_having_been_asked():
    asked, _ = begun(TwoArmTransfer(), 10_002)
    other, _ = begun(TwoArmTransfer(), 10_002)
    for _ in range(40):
        for _ in range(3):
            asked.expert_action()
        action = other.expert_action()
        np.testing.assert_array_equal(asked.expert_action(), action)
        asked.step(action)
        other.step(action)


def test_no_two_episodes_are_equal_and_the_cube_lies_within_eight_centimetres():
    world, _ = begun(TwoArmTransfer(), 0)
    seen = [world.reset(seed=seed)[0] for seed in range(100)]
    cubes = np.array([one[ENVIRONMENT_STATE] for one in seen])
    away = cubes[:, :2] - [0.1, 0]
    assert len(np.unique(cubes[:, 0])) == 100
    assert np.abs(away).max() <= 0.08 + 1e-6
    assert (away.max(0) > 0.06).all()
    assert (away.min(0) < -0.06).all()
    turns = 2 * np.arctan2(cubes[:, 6], cubes[:, 3])
    assert 0.03 < turns.std() < np.deg2rad(5)
    states = np.array([one[STATE] for one in seen])
    joints = states[:, IS_JOINT] - np.tile(VIPERX.home_rad, 2)
    assert 0.015 < np.abs(joints).max() <= 0.02 + 1e-6
    np.testing.assert_allclose(states[:, ~IS_JOINT], 0.5, atol=1e-3)


def test_success_is_half_a_second_in_the_left_gripper_alone():
    world, _ = begun(TwoArmTransfer(), 10_000)
    alone, rewards = [], []
    for _ in range(160):
        _, reward, terminated, _, info = world.step(world.expert_action())
        touches = {
            name: world._arm.is_touching("cube", name)
            for name in ("fingers0", "fingers1", "arm1", "table")
        }
        alone.append(touches.pop("fingers0") and not any(touches.values()))
        rewards.append(reward)
        assert terminated == info["is_success"]
        if terminated:
            break
    assert alone[-HELD_TICKS:] == [True] * HELD_TICKS
    assert not alone[-HELD_TICKS - 1]
    assert rewards == sorted(rewards)
    assert sorted(set(rewards)) in ([0, 0.25, 0.5, 0.75, 1], [0, 0.5, 0.75, 1])


def test_a_cube_that_both_grippers_hold_is_not_yet_handed_over():
    world, _ = begun(TwoArmTransfer(), 10_000)

    def clinging(world):
        action = world.expert_action()
        if world._arm.pose("cube").position_m[2] > 0.1:
            action[RIGHT_GRIPPER] = 0.2
        return action

    rewards, _, truncated, info = played(world, clinging)
    assert truncated
    assert not info["is_success"]
    assert max(rewards) == rewards[-1] == 0.75


def test_a_cube_that_is_let_go_too_early_does_not_count():
    world, _ = begun(TwoArmTransfer(limit_s=4), 10_000)

    def hasty(world):
        action = world.expert_action()
        if world._held:
            action[LEFT_GRIPPER] = 1.0
        return action

    rewards, terminated, _, _ = played(world, hasty)
    assert not terminated
    assert rewards[-1] == 0
    assert max(rewards) == 0.75


def test_a_far_command_is_approached_at_the_joints_speed_and_within_their_limits():
    world, seen = begun(TwoArmTransfer(), 3)
    far = np.full(14, 10.0, np.float32)
    *_, info = world.step(far)
    np.testing.assert_allclose(info["executed_action"] - seen[STATE], STEP, atol=2e-3)
    for _ in range(30):
        *_, info = world.step(far)
    np.testing.assert_allclose(info["executed_action"], world.action_space.high, atol=1e-5)


def test_arms_follow_what_they_are_told():
    world, seen = begun(TwoArmTransfer(), 4)
    goal = seen[STATE] + np.where(IS_JOINT, 0.1, 0.3).astype(np.float32)
    for _ in range(20):
        seen, *_ = world.step(goal)
    np.testing.assert_allclose(seen[STATE], goal, atol=5e-3)


def test_a_randomised_world_differs_from_the_nominal_and_its_noise_is_on_the_cube_alone():
    noisy = Randomisation(noise_m=(0.01, 0.01))
    (_, clear), (_, blurred) = (
        begun(TwoArmTransfer(world=world), 5) for world in ("nominal", noisy)
    )
    np.testing.assert_array_equal(clear[STATE], blurred[STATE])
    away = blurred[ENVIRONMENT_STATE] - clear[ENVIRONMENT_STATE]
    assert 0 < np.abs(away[:3]).max() < 0.05
    np.testing.assert_array_equal(away[3:], 0)


@pytest.mark.parametrize("engine", ["mujoco", "bullet"])
def test_the_camera_sees_the_cube_and_both_hands(engine):
    task = TwoArmTransfer(observe="pixels", engine=engine)
    world, seen = begun(task, 0)
    assert set(seen) == {STATE, *task.spec.cameras}
    for _ in range(12):
        seen, *_ = world.step(world.expert_action())
    red, green, blue = np.moveaxis(seen[task.spec.cameras[0]].astype(int), -1, 0)
    assert ((red > 2 * green) & (red > 2 * blue) & (red > 100)).sum() > 20
    is_dark = (red < 80) & (np.abs(red - green) < 20)
    assert is_dark[:, :48].sum() > 50
    assert is_dark[:, 48:].sum() > 50
    world.close()


@pytest.mark.parametrize(
    ("option", "complaint"),
    [("world=mars", "world: got 'mars'"), ("engine=havok", "engine"), ("limit_s=0", "limit_s")],
)
def test_options_that_mean_nothing_are_refused(option, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_task(f"two-arm-transfer:{option}")


def pressed(world, points):
    """The keys that are down at each moment while one arm after the other is led to point after point."""
    near = np.array([0.03] * 6 + [0.3])
    yield {"q"}
    for goal in points:
        for arm, start in (("right", 7), ("left", 0)):
            yield {arm}
            while (np.abs(away := (goal - world._told)[start : start + 7]) > near).any():
                if abs(away[6]) > near[6]:
                    yield {"space"}
                    yield from [set()] * 6  # ticks in which the gripper is on its way
                turns = zip(PAIRS, away[:6], strict=False)
                yield {pair[int(way < 0)] for pair, way in turns if abs(way) > 0.02}
    while True:
        yield set()


@final
class Hands:
    """A source in which keys are down as they are listed, moment after moment."""

    def __init__(self, keys):
        self._keys, self._down = keys, set()

    def events(self):
        """See `Source`."""
        before, self._down = self._down, next(self._keys)
        released = [Event("up", key) for key in before - self._down]
        return released + [Event("down", key) for key in self._down - before]

    def say(self, lines):
        """See `Source`: nobody reads."""

    def place(self, sliders):
        """See `Source`: there are none."""

    def wait(self):
        """See `Source`: time passes by itself."""


def test_keys_alone_can_hand_the_cube_over():
    world, _ = begun(TwoArmTransfer(limit_s=60), 0)
    shown = []
    played(world, lambda world: shown.append(world.expert_action()) or shown[-1])
    points = np.array([*shown[4::4], shown[-1]], np.float64)  # (n, 14)
    points[:, [LEFT_GRIPPER, RIGHT_GRIPPER]] = points[:, [LEFT_GRIPPER, RIGHT_GRIPPER]].round()
    person = Teleoperator(TwoArmTransfer.controls, world.signals, Hands(pressed(world, points)))
    (episode,) = rollouts([world], person, [0])
    assert episode.success
