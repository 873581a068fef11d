"""Augmentation changes what it says, by at most what it says, and nothing in place."""

import numpy as np
import pytest
import torch

from tests import demonstrations
from understudy.data.augment import Augment, AugmentConfig, moved, recoloured, shifted
from understudy.data.windows import Windows
from understudy.learn.clone import windows_of
from understudy.policies.mlp import MlpConfig
from understudy.spec import STATE


def pictures(count=6, history=2):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(80, 170, (count, history, 3, 4, 5), generator=generator).float()
    smooth = torch.nn.functional.interpolate(coarse.flatten(0, 1), size=(20, 30), mode="bilinear")
    return smooth.permute(0, 2, 3, 1).round().to(torch.uint8).view(count, history, 20, 30, 3)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_a_shift_moves_all_frames_of_a_window_alike_and_repeats_edges():
    frames = pictures()
    result = shifted(frames, 3)
    places = set()
    for before, after in zip(frames, result, strict=True):
        padded = np.pad(before.numpy(), ((0, 0), (3, 3), (3, 3), (0, 0)), mode="edge")
        found = [
            (down, right)
            for down in range(7)
            for right in range(7)
            if np.array_equal(padded[:, down : down + 20, right : right + 30], after.numpy())
        ]
        assert len(found) == 1
        places.add(found[0])
    assert len(places) > 1


def test_nothing_asked_for_changes_nothing_by_colour():
    frames = pictures()
    same = recoloured(frames, AugmentConfig(hue=1e-9))
    assert (same.int() - frames.int()).abs().max() <= 1


def test_brightness_scales_each_window_by_one_factor_within_its_bounds():
    frames = pictures(20)
    result = recoloured(frames, AugmentConfig(brightness=0.2)).float()
    factors = (result / frames.float()).flatten(1)
    assert (factors.std(1) < 0.02).all()
    assert factors.mean(1).min() < 0.9
    assert factors.mean(1).max() > 1.1
    assert ((factors.mean(1) > 0.79) & (factors.mean(1) < 1.21)).all()


def test_contrast_keeps_the_mean_and_saturation_and_hue_keep_the_greys():
    frames = pictures(20)
    luma = torch.tensor([0.299, 0.587, 0.114])
    contrast = recoloured(frames, AugmentConfig(contrast=0.2)).float()
    for before, after in zip(frames.float(), contrast, strict=True):
        assert abs(((before - after) @ luma).mean()) < 1
    for config in (AugmentConfig(saturation=0.2), AugmentConfig(hue=0.1)):
        changed = recoloured(frames, config).float()
        assert (changed - frames.float()).abs().max() > 5
        assert ((changed - frames.float()) @ luma).abs().max() < 1.5


def test_a_turn_keeps_the_centre_and_goes_no_further_than_asked():
    frames = torch.zeros(30, 1, 41, 41, 3, dtype=torch.uint8)
    frames[:, :, 20, 36] = 255  # 16 pixels right of the centre
    frames[:, :, 20, 20] = 255
    result = moved(frames, 10.0, 0.0)[..., 0].float()
    assert (result[:, 0, 20, 20] > 250).all()
    right = result[:, 0, :, 28:]
    row = (right.sum(2) @ torch.arange(41.0)) / right.sum((1, 2)) - 20
    assert row.abs().max() <= 16 * np.sin(np.radians(10)) + 0.2
    assert row.min() < -1
    assert row.max() > 1


def test_vector_noise_is_in_deviations_and_leaves_the_batch_as_it_was(tmp_path):
    made = demonstrations.dataset(tmp_path / "data", demonstrations.CONTINUOUS, lengths=(300,))
    windows = Windows(made, history=2, horizon=1)
    batch = windows.gather(np.arange(300))
    before = {key: value.clone() for key, value in batch.observations.items()}
    result = Augment(AugmentConfig(vector_noise=0.1), windows)(batch)
    for key, value in before.items():
        assert torch.equal(batch.observations[key], value)
    noise = (result.observations[STATE] - before[STATE]) / torch.from_numpy(
        windows.statistics(STATE).std
    )
    assert abs(noise.std().item() - 0.1) < 0.01
    assert torch.equal(result.actions, batch.actions)


def test_frames_of_each_camera_change_by_themselves_and_the_batch_stays_as_it_was(tmp_path):
    dataset = demonstrations.dataset(tmp_path / "data", demonstrations.CAMERA, (9, 8))
    windows = windows_of(MlpConfig(history=2), dataset, batch_size=6)
    batch = windows.batch(0)
    kept = {key: value.clone() for key, value in batch.observations.items()}
    changed = Augment(AugmentConfig(brightness=0.2, shift=3), windows)(batch)
    assert all(batch.observations[key].equal(value) for key, value in kept.items())
    assert changed.actions.equal(batch.actions)
    for key in dataset.spec.cameras:
        frames = changed.observations[key]
        assert (frames.dtype, frames.shape) == (torch.uint8, kept[key].shape)
        assert (frames != kept[key]).flatten(1).any(1).all()
    assert changed.observations[STATE].equal(kept[STATE])


@pytest.mark.parametrize(
    "wrong", [{"hue": 0.6}, {"brightness": -0.1}, {"shift": -1}, {"vector_noise": float("nan")}]
)
def test_values_outside_their_bounds_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AugmentConfig(**wrong)
