import numpy as np
import pytest

from understudy.fleet import ExpertActor, Here
from understudy.spec import STATE
from understudy.tasks.pendulum import Pendulum, swing_up


def test_the_expert_swings_up_from_rest_at_the_bottom_and_holds_the_top():
    world = Pendulum().build()
    world.reset(seed=0)
    world.unwrapped.state = np.array([np.pi, 0.0])
    for _ in range(200):
        seen, *_ = world.step(world.expert_action())
    cosine, _, speed = seen[STATE]
    assert cosine > 0.999
    assert abs(speed) < 0.1


def test_the_expert_never_asks_for_more_than_the_motor_gives_and_adds_energy_below():
    draws = np.random.default_rng(0)
    for angle, speed in draws.uniform((-10, -8), (10, 8), (200, 2)):
        torque = swing_up(angle, speed)
        assert abs(torque[0]) <= 2.0
        energy = 0.5 * speed**2 + 15 * (np.cos(angle) - 1)
        if np.cos(angle) < np.cos(0.5):
            assert torque[0] * speed * energy <= 0
    assert swing_up(0.1, 0.0)[0] < 0
    np.testing.assert_allclose(swing_up(0.1, 0.2), swing_up(0.1 + 4 * np.pi, 0.2), atol=1e-5)


def test_an_episode_is_ten_seconds_and_is_never_judged():
    (episode,) = Here(worlds=1).rollouts(Pendulum(), ExpertActor(), [10_000])
    assert (len(episode), episode.terminated, episode.success) == (200, False, None)
    assert episode.rewards.sum() == pytest.approx(-130, abs=130)
