"""PushT in mirrors: the published goal is its own image in one, the mirrored goal's in another."""

import numpy as np
import pytest

from understudy.data.formats.pusht import (
    IMAGE,
    MIRROR,
    MIRROR_PICTURES,
    MIRRORED_TEXT,
    mirrored,
    signals,
)
from understudy.data.symmetry import TURNS, Mirror, MirrorConfig
from understudy.fleet import Here, RandomActor
from understudy.spec import ACTION, ENVIRONMENT_STATE, STATE
from understudy.tasks import make_task


def placed(name, agent, block, angle):
    """A world whose things lie at these places."""
    world = make_task(name).build()
    world.reset(seed=0)
    inner = world.unwrapped
    inner.agent.position, inner.agent.velocity = agent, (0, 0)
    inner.block.angle = angle
    inner.block.position = block
    return world


def test_mirrored_commands_have_mirrored_effects_and_the_same_rewards():
    worlds = (
        placed("pusht", (200, 300), (230, 240), 0.6),
        placed("pusht:goal=mirrored", (312, 300), (282, 240), -0.6),
    )
    generator = np.random.default_rng(0)
    rewards = []
    for _ in range(20):
        x, y = 230 + generator.normal(0, 40), 240 + generator.normal(0, 40)
        first, second = (
            world.step(np.array([command, y], np.float32))
            for world, command in zip(worlds, (x, 512 - x), strict=True)
        )
        rewards.append((first[1], second[1]))
        np.testing.assert_allclose(first[0][STATE] * [-1, 1] + [512, 0], second[0][STATE], atol=0.1)
    one, other = np.array(rewards).T
    assert one.max() > 0.1
    np.testing.assert_allclose(one, other, atol=0.01)


def test_a_mirrored_demonstration_is_one_of_the_mirrored_goal():
    task = make_task("pusht")
    [episode] = Here().rollouts(task, RandomActor(), [3])
    image = mirrored(episode)
    assert image.task == MIRRORED_TEXT == make_task("pusht:goal=mirrored").spec.task
    np.testing.assert_allclose(image.actions[:, 0], 512 - episode.actions[:, 0], rtol=1e-6)
    before, after = (np.asarray(e.observations[ENVIRONMENT_STATE]) for e in (episode, image))
    np.testing.assert_allclose(after * [-1, 1, -1, 1] + [512, 0, 0, 0], before, rtol=1e-5)
    np.testing.assert_allclose(mirrored(image).actions, episode.actions, atol=1e-4)


def test_the_goal_is_its_own_mirror_image_over_the_diagonal():
    mirror = Mirror(signals(cameras=False), MirrorConfig(mirror=MIRROR))
    quarter = np.pi / 2
    worlds = (
        placed("pusht", (200, 300), (230, 240), 0.6),
        placed("pusht", (212, 312), (272, 282), quarter - 0.6),
    )
    generator = np.random.default_rng(0)
    rewards = []
    for _ in range(20):
        command = (235 + generator.normal(0, 40, 2)).astype(np.float32)
        first = worlds[0].step(command)
        second = worlds[1].step(mirror(ACTION, command))
        rewards.append((first[1], second[1]))
        for key, tolerance in ((STATE, 0.1), (ENVIRONMENT_STATE, 0.5)):
            np.testing.assert_allclose(mirror(key, first[0][key]), second[0][key], atol=tolerance)
    one, other = np.array(rewards).T
    assert one.max() > 0.1
    np.testing.assert_allclose(one, other, atol=0.01)


def test_the_picture_of_a_mirrored_world_is_the_mirrored_picture():
    task = "pusht:observe=pixels"
    worlds = (
        placed(task, (200, 300), (230, 240), 0.6),
        placed(task, (212, 312), (272, 282), np.pi / 2 - 0.6),
    )
    commands = (np.array([200, 300], np.float32), np.array([212, 312], np.float32))
    first, second = (w.step(c)[0][IMAGE] for w, c in zip(worlds, commands, strict=True))
    turned = TURNS[MIRROR_PICTURES](first).astype(int)
    assert np.abs(first.astype(int) - second).mean() > 3
    assert np.abs(turned - second).mean() < 1


@pytest.mark.parametrize("name", ["pusht", "pusht:goal=mirrored"])
def test_the_covered_share_is_gym_pushts_own_to_the_bit(name):
    world = make_task(name).build()
    inner, generator, seen = world.unwrapped, np.random.default_rng(0), []
    for seed in range(4):
        world.reset(seed=seed)
        for _ in range(25):
            x, y, turn = inner.goal_pose + generator.normal(0, (60, 60, 0.5))
            inner.block.angle = turn
            inner.block.position = float(x), float(y)
            seen.append((inner._get_coverage(), type(inner)._get_coverage(inner)))
    ours, original = np.array(seen).T
    np.testing.assert_array_equal(ours, original)
    assert ours.min() == 0
    assert ours.max() > 0.5
