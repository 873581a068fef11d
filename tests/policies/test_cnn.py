"""What is particular to frames to bounded commands: cameras, bounds, and what two frames tell."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests import demonstrations
from understudy.data.frames import FrameCache
from understudy.data.store import Dataset
from understudy.data.windows import TASK, Windows
from understudy.episode import Episode
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies.cnn import CnnConfig
from understudy.spec import Signal, Spec

FRONT = "observation.images.front"
MOVING = Spec({FRONT: Signal((24, 32, 3), "uint8")}, Signal((1,)), 10.0, "which way")
SMALL = {"history": 2, "horizon": 3, "channels": (8, 8, 8), "width": 16}


def seen_in(made, horizon=3, batch_size=32):
    frames = FrameCache.build(made, made.spec.cameras)
    return Windows(made, history=2, horizon=horizon, frames=frames, batch_size=batch_size)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cnn") / "data"
    return seen_in(demonstrations.dataset(folder, demonstrations.CAMERA))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """A bar that moves by two pixels a tick, to the right (3.0) or to the left (1.0)."""
    made = Dataset.create(tmp_path_factory.mktemp("moving") / "data", MOVING)
    for seed in range(6):
        way = 1 if seed % 2 else -1
        frames = np.zeros((24, 24, 32, 3), np.uint8)
        for tick in range(24):
            columns = (5 * (seed // 2) + 2 * way * tick + np.arange(8)) % 32
            frames[tick, :, columns] = 220
        made.append(
            Episode(
                observations={FRONT: frames},
                actions=np.full((24, 1), 2.0 + way),
                rewards=np.zeros(24),
                time_s=np.arange(24) / 10,
                terminated=True,
                truncated=False,
                task="which way",
                seed=seed,
            )
        )
    return seen_in(made, horizon=1)


def prepared(windows, **changes):
    torch.manual_seed(0)
    policy = CnnConfig(**SMALL | {"horizon": windows.horizon} | changes).build(windows.spec)
    policy.prepare(windows)
    return policy.eval()


def predicted(policy, observations):
    count = len(next(iter(observations.values())))
    with torch.no_grad():
        return policy.predict(observations, torch.zeros(count, 0))


@pytest.mark.parametrize("spec", [demonstrations.CONTINUOUS, demonstrations.DISCRETE])
def test_without_a_camera_it_is_refused_and_says_what_reads_vectors(spec):
    with pytest.raises(ValueError, match="cnn reads cameras.*mlp reads vectors"):
        CnnConfig().build(spec)


def test_commands_stay_within_those_shown_whatever_is_seen(windows):
    policy = prepared(windows)
    with torch.no_grad():
        policy.head.last.weight.mul_(1e4)
    generator = torch.Generator().manual_seed(1)
    strange = {
        key: torch.randint(256, (200, 2, *signal.shape), generator=generator, dtype=torch.uint8)
        if key in windows.spec.cameras
        else 100 * torch.randn(200, 2, *signal.shape, generator=generator)
        for key, signal in windows.spec.observations.items()
    }
    actions = predicted(policy, strange).numpy()
    shown = windows.statistics("action")
    slack = 1e-6 * (shown.most - shown.least)
    assert (actions >= shown.least - slack).all()
    assert (actions <= shown.most + slack).all()
    assert np.isclose(actions.min((0, 1)), shown.least).all()
    assert np.isclose(actions.max((0, 1)), shown.most).all()


def test_every_frame_of_every_camera_and_the_vectors_are_seen(windows):
    policy, seen = prepared(windows), windows.gather(np.arange(4, 8)).observations
    before = predicted(policy, seen)
    for key in windows.spec.observations:
        for tick in range(2):
            changed = seen[key].clone()
            changed[:, tick] = changed[:, tick] // 2 if key in windows.spec.cameras else 3.0
            answer = predicted(policy, {**seen, key: changed})
            assert (answer - before).abs().amax((1, 2)).min() > 1e-6, (key, tick)
        turned = predicted(policy, {**seen, key: seen[key].flip(1)})
        assert not torch.equal(turned, before)


def test_two_frames_tell_which_way_something_moves(moving):
    policy = prepared(moving)
    config = LearnConfig(
        steps=150, batch_size=32, learning_rate=3e-3, warmup_steps=20, ema_decay=0.9
    )
    *_, last = learn(policy, moving, config)
    policy.load_state_dict(averaged_weights(policy, last.state))
    batch = moving.gather(np.flatnonzero(np.arange(len(moving)) % 24))  # not the first ticks
    frames = batch.observations[FRONT]
    answers = predicted(policy.eval(), batch.observations).flatten()
    torch.testing.assert_close(answers, batch.actions.flatten(), rtol=0, atol=0.3)
    turned = predicted(policy, {FRONT: frames.flip(1)}).flatten()
    torch.testing.assert_close(turned, 4 - batch.actions.flatten(), rtol=0, atol=0.5)


def test_a_crop_is_the_centre_in_use_and_random_in_training(windows):
    policy, seen = prepared(windows, crop=20), windows.gather(np.arange(4, 8)).observations
    before = predicted(policy, seen)
    for key, (top, left) in {FRONT: (6, 10), "observation.images.wrist": (2, 2)}.items():
        outside = seen[key] // 2
        centre = np.s_[:, :, top : top + 20, left : left + 20]
        outside[centre] = seen[key][centre]
        assert torch.equal(predicted(policy, {**seen, key: outside}), before)
        inside = seen[key].clone()
        inside[centre] //= 2
        assert not torch.equal(predicted(policy, {**seen, key: inside}), before)
    policy.train()
    assert len({predicted(policy, seen).sum().item() for _ in range(6)}) > 3


@pytest.mark.parametrize("shape", [(24, 32, 3), (27, 33, 3), (5, 6, 3), (1, 1, 3)])
@pytest.mark.parametrize("channels", [(4,), (4, 6, 8)])
def test_frames_of_any_size_fit(shape, channels):
    spec = replace(MOVING, observations={FRONT: Signal(shape, "uint8")})
    policy = CnnConfig(**SMALL | {"channels": channels}).build(spec)
    head = policy.head
    one = torch.ones(1)
    head.normalizer.fit(one, one, -one, one)
    frames = torch.zeros(2, 2, *shape, dtype=torch.uint8)
    assert predicted(policy, {FRONT: frames}).shape == (2, 3, 1)


def test_the_task_changes_the_answer(tmp_path):
    made = demonstrations.dataset(tmp_path / "data", demonstrations.CAMERA, tasks=("a", "b"))
    windows = seen_in(made)
    policy, seen = prepared(windows, tasks=("a", "b")), windows.gather(np.arange(3)).observations
    answers = [predicted(policy, {**seen, TASK: torch.full((3,), task)}) for task in (0, 1)]
    assert (answers[0] - answers[1]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "wrong", [{"crop": -1}, {"width": 0}, {"channels": ()}, {"channels": (8, 0)}, {"dropout": 1.0}]
)
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CnnConfig(**wrong)


def test_a_crop_larger_than_a_frame_is_refused():
    with pytest.raises(ValueError, match="crop 25: frames are"):
        CnnConfig(crop=25).build(MOVING)
