import numpy as np
import pytest
import torch
from torch import nn

from understudy.fleet import ExpertActor, Here, RandomActor
from understudy.spec import STATE
from understudy.tasks import hopper
from understudy.tasks.hopper import Hopper


def test_the_expert_is_the_network_of_its_file():
    weights = {key: torch.from_numpy(value) for key, value in hopper._weights().items()}
    seen = np.random.default_rng(0).normal(size=(5, 11)).astype(np.float32)
    values = (torch.from_numpy(seen) - weights["offset"]) / weights["scale"]
    for layer in ("first", "second"):
        values = nn.functional.silu(
            values @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        )
    expected = (values @ weights["last.weight"].T + weights["last.bias"]).clamp(-1, 1)
    found = np.stack([hopper._expert(state) for state in seen])
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    assert hopper.EXPERT.stat().st_size < 100_000


def test_the_expert_answers_to_what_is_seen_now():
    world = Hopper().build()
    seen, _ = world.reset(seed=3)
    for _ in range(3):
        np.testing.assert_array_equal(world.expert_action(), hopper._expert(seen[STATE]))
        seen, *_ = world.step(world.expert_action())


def test_a_torque_beyond_the_limit_is_the_limit():
    near, far = Hopper().build(), Hopper().build()
    near.reset(seed=1)
    far.reset(seed=1)
    limit = near.step(np.array([1, -1, 1], np.float32))
    beyond = far.step(np.array([7, -7, 7], np.float32))
    np.testing.assert_array_equal(limit[0][STATE], beyond[0][STATE])
    assert limit[1] == pytest.approx(beyond[1])


def test_falling_is_no_success():
    (episode,) = Here(worlds=1).rollouts(Hopper(), RandomActor(), [10_000])
    assert (episode.terminated, episode.success) == (True, False)
    (held,) = Here(worlds=1).rollouts(Hopper(), ExpertActor(), [10_000])
    assert held.success == (len(held) == 1000)
