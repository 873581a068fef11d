"""Cloning in one call does what the steps one by one do."""

from dataclasses import replace

import pytest
import torch

from tests import demonstrations
from understudy.data.symmetry import MirrorConfig
from understudy.learn.clone import clone, readable, windows_of
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies.knn import KnnConfig
from understudy.policies.mlp import MlpConfig
from understudy.spec import STATE

LEARNING = LearnConfig(steps=5, batch_size=8, warmup_steps=2, seed=3)
CONFIG = MlpConfig(width=16, depth=1)


def test_the_policy_has_the_averaged_weights_of_a_training_done_by_hand(tmp_path):
    dataset = demonstrations.dataset(tmp_path / "data", demonstrations.CONTINUOUS)
    windows = windows_of(CONFIG, dataset, batch_size=8, seed=3)
    torch.manual_seed(3)
    by_hand = CONFIG.build(dataset.spec)
    by_hand.prepare(windows)
    *_, last = learn(by_hand, windows, LEARNING)
    expected = averaged_weights(by_hand, last.state)
    policy = clone(CONFIG, dataset, LEARNING)
    assert not policy.training
    assert all(torch.equal(value, expected[key]) for key, value in policy.state_dict().items())


def test_several_tasks_are_told_apart(tmp_path):
    dataset = demonstrations.dataset(
        tmp_path / "data", demonstrations.CONTINUOUS, tasks=("push", "pull")
    )
    assert clone(CONFIG, dataset, LEARNING).config.tasks == ("pull", "push")


@pytest.mark.parametrize("mirror", [None, MirrorConfig(mirror=("b = -b",))])
def test_an_excluded_episode_is_not_learnt_from(tmp_path, mirror):
    state = replace(demonstrations.CONTINUOUS.observations[STATE], names=("a", "b", "c"))
    spec = replace(demonstrations.DISCRETE, observations={STATE: state})
    dataset = demonstrations.dataset(tmp_path / "data", spec, lengths=(4, 3, 5))
    dataset.annotate(1, exclude=True)
    windows = windows_of(CONFIG, dataset, mirror=mirror)
    assert windows.episodes.tolist() == ([0, 2] if mirror is None else [0, 2, 3, 5])
    assert len(windows_of(CONFIG, dataset, episodes=[1])) == 3  # unless it is asked for


def test_cameras_are_read_by_those_that_can_and_their_frames_are_decoded_once(tmp_path):
    dataset = demonstrations.dataset(tmp_path / "data", demonstrations.CAMERA, lengths=(4, 3))
    assert readable(KnnConfig(), dataset) == ("observation.state",)
    counted = []
    seen = windows_of(CONFIG, dataset, progress=lambda done, total: counted.append((done, total)))
    assert seen.batch(0).observations["observation.images.front"].shape[1:] == (1, 32, 40, 3)
    assert counted[-1] == (14, 14)  # seven ticks of two cameras
    windows_of(CONFIG, dataset, progress=lambda done, total: counted.append((done, total)))
    assert counted[-1] == (14, 14)
    assert len(counted) <= 4


def test_a_policy_that_can_read_nothing_of_the_data_is_refused(tmp_path):
    spec = demonstrations.CAMERA.only(demonstrations.CAMERA.cameras)
    dataset = demonstrations.dataset(tmp_path / "data", spec, lengths=(3,))
    with pytest.raises(ValueError, match="KnnConfig can read none"):
        windows_of(KnnConfig(), dataset)
