"""LeRobot's checkpoints predict here what they predict there (tests/peers/lerobot_policies.py made them)."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import demonstrations
from tests.demonstrations import CONTINUOUS
from tests.peers.made_up_weights import frames, made_up
from understudy.cli import main
from understudy.data.store import Dataset
from understudy.learn.clone import clone, windows_of
from understudy.learn.supervised import LearnConfig
from understudy.policies import INTERCHANGE, find_policy
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.lerobot_export import export
from understudy.policies.mlp import MlpConfig

CASES = Path(__file__).parent / "lerobot"
ROWS = 2


def checkpoint(case, place):
    """A folder as LeRobot leaves it."""
    shutil.copytree(CASES / case, place)
    shapes = json.loads((place / "shapes.json").read_text())
    weights = {
        key: torch.from_numpy(made_up(key, tuple(shape)))
        for key, (dtype, shape) in shapes.items()
        if dtype == "torch.float32"
    }
    if (place / "old.safetensors").exists():
        weights |= load_file(place / "old.safetensors")
    save_file(weights, place / "model.safetensors")
    return place


def given(case, policy):
    """What LeRobot's policy was given, its noise, and its answer."""
    kept = load_file(CASES / case / "case.safetensors")
    seen = {key: kept[key] for key in policy.spec.vectors}
    for key in policy.spec.cameras:
        size = policy.spec.observations[key].shape[:2]
        pictures = [
            [
                torch.from_numpy(frames(f"{key}{row}{tick}", size))
                for tick in range(policy.config.history)
            ]
            for row in range(ROWS)
        ]
        seen[key] = torch.stack([torch.stack(row) for row in pictures])
    noise = kept.get("noise", torch.zeros(ROWS, *policy.noise_shape))
    return seen, noise, kept["chunk"]


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_a_checkpoint_of_lerobots_predicts_the_same_numbers(case, tmp_path):
    policy = load_checkpoint(checkpoint(case, tmp_path / "policy")).policy
    seen, noise, expected = given(case, policy)
    with torch.inference_mode():
        chunk = policy.predict(seen, noise)
    torch.testing.assert_close(chunk[:, : expected.shape[1]], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir()))
def test_what_was_opened_is_written_with_the_same_bits(case, tmp_path):
    before = checkpoint(case, tmp_path / "policy")
    policy = load_checkpoint(before).policy
    export(policy, tmp_path / "exported")
    given, written = (load_file(p / "model.safetensors") for p in (before, tmp_path / "exported"))
    for key, value in written.items():
        assert torch.equal(value, given[key]), key
    left = {key for key in given if not key.startswith(("normalize_", "unnormalize_"))} - set(
        written
    )
    assert all(key.endswith(("pos_grid", "pos_enc")) for key in left)  # nothing learnt
    again = load_checkpoint(tmp_path / "exported").policy
    assert again.config == policy.config
    for key, value in policy.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_what_lerobot_trained_goes_on_learning_here(tmp_path, capsys):
    source = checkpoint("act-states", tmp_path / "policy")
    spec = replace(load_checkpoint(source).policy.spec, rate_hz=10.0, task="made up")
    draws = np.random.default_rng(0)
    shown = demonstrations.made_up(CONTINUOUS, 0, 20)
    with Dataset.create(tmp_path / "data", spec) as dataset:
        dataset.append(
            replace(
                shown,
                observations={
                    key: draws.normal(size=(20, *signal.shape)).astype(np.float32)
                    for key, signal in spec.observations.items()
                },
                actions=draws.normal(size=(20, *spec.action.shape)).astype(np.float32),
            )
        )
    words = ["train", "lerobot_act", "--data", tmp_path / "data", "--from", source, "--dry-run",
             "--batch-size", "4", "--held-out", "0"]  # fmt: skip
    assert main([str(word) for word in words]) == 0
    shown = capsys.readouterr().out
    assert "100.0% of" in shown
    assert "normalised by these data" not in shown


def test_a_policy_that_lerobot_has_none_like_is_not_exported(tmp_path):
    policy = MlpConfig().build(CONTINUOUS)
    with pytest.raises(ValueError, match="LeRobot has no policy like Mlp; it has lerobot_act"):
        export(policy, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"type": "pi0"}, r"config\.json: LeRobot's policy 'pi0' does not exist here"),
        ({"pre_norm": True}, r"config\.json: pre_norm is True, only False exists here"),
        ({"vision_backbone": "resnet34"}, "vision_backbone is 'resnet34'"),
        ({"normalization_mapping": {"STATE": "QUANTILES"}}, "QUANTILES"),
        ({"dim_model": 64}, r"model\.safetensors does not fit its config\.json"),
        ({"n_encoder_layers": 3}, "layers.2.*missing"),
        ({"input_features": {"observation.tactile": {"type": "STATE", "shape": [3]}}}, "tactile"),
        ({"input_features": None}, r"config\.json is damaged"),
    ],
)
def test_what_cannot_be_opened_says_why(change, complaint, tmp_path):
    folder = checkpoint("act-states", tmp_path / "policy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=complaint):
        load_checkpoint(folder)


def test_missing_statistics_are_an_error_and_not_an_answer(tmp_path):
    folder = checkpoint("act-states", tmp_path / "policy")
    (folder / "policy_preprocessor.json").unlink()
    (folder / "policy_postprocessor.json").unlink()
    with pytest.raises(ValueError, match=r"has no mean of observation\.state"):
        load_checkpoint(folder)


def test_what_is_kept_between_predictions_changes_with_the_weights(tmp_path):
    policy = load_checkpoint(checkpoint("act-states", tmp_path / "policy")).policy
    seen, noise, expected = given("act-states", policy)
    with torch.inference_mode():
        assert torch.equal(policy.predict(seen, noise), policy.predict(seen, noise))
    weights = {key: value.clone() for key, value in policy.state_dict().items()}
    with torch.no_grad():
        policy.queries.mul_(2)
        changed = policy.predict(seen, noise)
    assert (changed - expected).abs().max() > 0.01
    policy.load_state_dict(weights)
    with torch.inference_mode():
        torch.testing.assert_close(policy.predict(seen, noise), expected, rtol=1e-5, atol=1e-5)


SMALL = {
    "lerobot_act": {"horizon": 6, "width": 32, "heads": 2, "hidden": 64, "latent": 4},
    "lerobot_diffusion": {
        "horizon": 7,
        "widths": (16, 32),
        "target": "sample",
        "levels": 20,
        "inference_steps": 20,
    },
}


@pytest.mark.parametrize("name", sorted(INTERCHANGE))
def test_they_are_trained_here_and_leave_in_their_own_form(name, tmp_path):
    data = demonstrations.dataset(tmp_path / "data", CONTINUOUS, (40, 40))
    config = find_policy(name)(**SMALL[name])
    learning = LearnConfig(steps=200, batch_size=32, learning_rate=3e-3)
    policy = clone(config, data, learning)
    windows = windows_of(config, data)
    batch = windows.gather(np.arange(len(windows)))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(batch), *policy.noise_shape, generator=generator)
    with torch.inference_mode():
        chunk = policy.predict(batch.observations, noise)
    shown = batch.actions[:, -config.horizon :]
    assert chunk.shape == shown.shape
    errors = (chunk - shown)[:, :3].abs().mean()
    assert errors < 0.5 * (shown[:, :3] - shown.mean((0, 1))).abs().mean()
    export(policy, tmp_path / "exported")
    again = load_checkpoint(tmp_path / "exported").policy
    with torch.inference_mode():
        assert torch.equal(again.predict(batch.observations, noise), chunk)


@pytest.mark.parametrize("name", sorted(INTERCHANGE))
def test_signals_that_theirs_have_none_like_are_refused(name):
    config = find_policy(name)(**SMALL[name])
    with pytest.raises(ValueError, match="an action like"):
        config.build(demonstrations.DISCRETE)
    with pytest.raises(ValueError, match="task"):
        replace(config, tasks=("push", "pull"))
