"""Grasp and lift: what the world does beyond what every task must do."""

from dataclasses import replace

import numpy as np
import pytest

from understudy.fleet import ExpertActor, Here
from understudy.physics.randomise import Randomisation
from understudy.spec import ENVIRONMENT_STATE, STATE
from understudy.tasks import make_task
from understudy.tasks.panda_grasp import PandaGrasp

HALF_M = 0.025


def begun(task, seed):
    """A world at its beginning, and what is seen there."""
    world = task.build()
    seen, _ = world.reset(seed=seed)
    return world, seen


def played(world, actor, limit=200):
    """Step until the end; returns the last step's (reward, terminated, truncated, info)."""
    for _ in range(limit):
        _, reward, terminated, truncated, info = world.step(actor(world))
        if terminated or truncated:
            return reward, terminated, truncated, info
    raise AssertionError("the episode does not end")


def expert(world):
    return world.expert_action()


@pytest.mark.parametrize(
    ("options", "count"),
    [("pose=random,world=wide", 10), ("engine=bullet,pose=random", 5)],
)
def test_the_expert_lifts_the_object_wherever_it_lies(options, count):
    task = make_task(f"panda-grasp:{options}")
    episodes = Here(worlds=1).rollouts(task, ExpertActor(), range(10_000, 10_000 + count))
    assert [episode.seed for episode in episodes if not episode.success] == []


@pytest.mark.parametrize("seed", range(10_000, 10_006))
def test_the_expert_knows_what_to_do_wherever_another_has_left_off(seed):
    world, _ = begun(PandaGrasp(pose="random"), seed)
    draws = np.random.default_rng(seed)
    space = world.action_space
    for _ in range(3):
        goal = draws.uniform(space.low, space.high).astype(np.float32)
        for _ in range(6):
            world.step(goal)
    _, terminated, _, info = played(world, expert)
    assert terminated
    assert info["is_success"]


def test_no_two_episodes_are_equal_and_the_fixed_pose_is_nearly_fixed():
    world, _ = begun(PandaGrasp(), 0)
    starts = np.array([world.reset(seed=seed)[0][ENVIRONMENT_STATE] for seed in range(30)])
    assert len(np.unique(starts[:, 0])) == 30
    assert np.abs(starts[:, :2] - [0.5, 0]).max() <= 0.005 + 1e-6
    tools = np.array([world.reset(seed=seed)[0][STATE][:3] for seed in range(30)])
    assert 0.002 < tools.std(0).max() < 0.02


def test_the_random_pose_covers_ten_centimetres_to_each_side():
    world, _ = begun(PandaGrasp(pose="random"), 0)
    starts = np.array([world.reset(seed=seed)[0][ENVIRONMENT_STATE] for seed in range(100)])
    away = starts[:, :2] - [0.5, 0]
    assert np.abs(away).max() <= 0.105 + 1e-6
    assert (away.max(0) > 0.08).all()
    assert (away.min(0) < -0.08).all()


def test_success_is_a_second_in_the_air_without_a_break():
    world, _ = begun(PandaGrasp(), 10_000)
    held = []
    for _ in range(120):
        _, reward, terminated, _, info = world.step(world.expert_action())
        held.append(world._arm.pose("object").position_m[2] - HALF_M >= 0.1)
        assert terminated == info["is_success"]
        if terminated:
            break
    assert reward == pytest.approx(1.0, abs=1e-6)
    assert held[-10:] == [True] * 10
    assert not held[-11]


def test_an_object_that_is_let_go_too_early_does_not_count():
    world, _ = begun(PandaGrasp(), 10_000)

    def hasty(world):
        action = world.expert_action()
        if world._held >= 5:
            action[3] = 1.0
        return action

    reward, terminated, truncated, info = played(world, hasty)
    assert (terminated, truncated, info["is_success"]) == (False, True, False)
    assert float(reward) < 0.75


def test_a_far_command_is_approached_at_the_keyboards_speed_and_within_the_box():
    world, seen = begun(PandaGrasp(), 3)
    far = np.array([2.0, -2.0, -1.0, 0.0], np.float32)
    *_, info = world.step(far)
    moved = info["executed_action"][:3] - seen[STATE][:3]
    np.testing.assert_allclose(moved, [0.048, -0.048, -0.048], atol=1e-5)
    for _ in range(20):
        seen, *_, info = world.step(far)
    np.testing.assert_allclose(info["executed_action"], [0.65, -0.3, 0.015, 0.0], atol=1e-6)
    np.testing.assert_allclose(seen[STATE][:3], [0.65, -0.3, 0.015], atol=0.005)


def test_noise_is_on_what_is_seen_and_not_in_the_world():
    quiet, _ = begun(PandaGrasp(), 5)
    noisy, _ = begun(PandaGrasp(noise_m=0.01), 5)
    away = []
    for _ in range(60):
        action = quiet.expert_action()
        np.testing.assert_array_equal(action, noisy.expert_action())
        clear, *_, ended, _, _ = quiet.step(action)
        blurred, *_ = noisy.step(action)
        both = [np.concatenate([s[STATE][:3], s[ENVIRONMENT_STATE]]) for s in (clear, blurred)]
        away.append(both[1] - both[0])
        assert clear[STATE][3] == blurred[STATE][3]
        if ended:
            break
    away = np.array(away)
    assert 0.006 < away.std() < 0.014
    assert np.abs(np.diff(away, axis=0)).min() > 0


def test_a_randomised_world_differs_from_episode_to_episode_and_repeats_with_the_seed():
    def ended(task, seed):
        world, _ = begun(task, seed)
        for _ in range(4):
            seen, *_ = world.step(world.expert_action())
        return np.concatenate([seen[STATE], seen[ENVIRONMENT_STATE]])

    nominal, wide = PandaGrasp(), PandaGrasp(world="wide")
    assert np.abs(ended(nominal, 1) - ended(wide, 1)).max() > 1e-4
    np.testing.assert_array_equal(ended(wide, 1), ended(wide, 1))
    own = Randomisation(latency_s=(0.05, 0.05), seed=4)
    assert np.abs(ended(replace(nominal, world=own), 1) - ended(nominal, 1)).max() > 1e-3


@pytest.mark.parametrize("engine", ["mujoco", "bullet"])
def test_both_cameras_see_the_object(engine):
    task = PandaGrasp(observe="pixels", engine=engine)
    world, seen = begun(task, 0)
    for key in task.spec.cameras:
        red, green, blue = np.moveaxis(seen[key].astype(int), -1, 0)
        assert ((red > 2 * green) & (red > 2 * blue) & (red > 100)).sum() > 20
    assert set(seen) == set(task.spec.observations)
    world.close()


def test_a_randomisation_can_be_given_on_the_command_line():
    task = make_task('panda-grasp:pose=random,world={"mass":[0.5,2],"colours":["object"]}')
    assert task.world == Randomisation(mass=(0.5, 2.0), colours=("object",))


def test_a_worlds_own_noise_is_on_what_is_seen():
    away = []
    for seed in range(30):
        clear, noisy = (
            begun(make_task(f"panda-grasp{options}"), seed)[1]
            for options in ("", ':world={"noise_m":[0.01,0.01]}')
        )
        away.append(noisy[ENVIRONMENT_STATE] - clear[ENVIRONMENT_STATE])
    assert 0.007 < np.std(away) < 0.013


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("world=mars", "world: got 'mars'"),
        ('world={"mas":[1,2]}', "world: Randomisation has no 'mas'. Did you mean 'mass'"),
        ('world={"mass":[2,1]}', r"mass: \(2.0, 1.0\) is no range from a lower to a higher value"),
        ('world={"mass":[0,1]}', "mass is a factor above 0"),
        ('world={"mass":2}', r"world: mass: got 2, expected \[float, float\]"),
        ('world={"mass":[0.5]}', r"world: mass: got \[0.5\], expected \[float, float\]"),
        ('world={"colours":"object"}', r"world: colours: got 'object', expected \[str, ...\]"),
        ("world=[1,2]", "world: got .*expected one of nominal, wide, shifted or Randomisation"),
        ("engine=havok", "engine: got 'havok'"),
        ("noise_m=-0.01", "noise_m"),
        (
            'noise_m=0.01,world={"noise_m":[0,0.01]}',
            "noise_m=0.01 and a world with noise of its own",
        ),
        ("limit_s=0", "limit_s"),
    ],
)
def test_options_that_mean_nothing_are_refused(option, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_task(f"panda-grasp:{option}")
