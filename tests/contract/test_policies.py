"""What every policy must do. A policy that is listed in POLICIES is tested here."""

import json
import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tests import demonstrations
from understudy.data.windows import Batch, Windows
from understudy.fleet import ExpertActor, Here
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies import POLICIES, find_policy
from understudy.policies.checkpoint import load_checkpoint, save_checkpoint
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.tasks import make_task

SMALL = {"width": 32, "depth": 2, "dropout": 0.1}
SPECS = {"continuous": demonstrations.CONTINUOUS, "discrete": demonstrations.DISCRETE}


def small(name, **changes):
    config = find_policy(name)(**({"history": 2, "horizon": 4} | changes))
    there = {field.name for field in fields(config)}
    return replace(config, **{k: v for k, v in SMALL.items() if k in there and k not in changes})


def windows_of(dataset, config, batch_size=16, **options):
    return Windows(
        dataset,
        history=config.history,
        horizon=config.horizon,
        batch_size=batch_size,
        **options,
    )


@pytest.fixture(params=sorted(SPECS), scope="module")
def dataset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "data"
    return demonstrations.dataset(folder, SPECS[request.param])


@pytest.fixture(params=sorted(POLICIES))
def name(request):
    return request.param


def prepared(name, dataset, **changes):
    config = small(name, **changes)
    torch.manual_seed(0)
    policy = config.build(dataset.spec)
    windows = windows_of(dataset, config)
    policy.prepare(windows)
    return policy.eval(), windows


def noise_for(policy, batch):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(len(batch), *policy.noise_shape, generator=generator)


def test_predictions_have_the_promised_shape_and_dtype(name, dataset):
    policy, windows = prepared(name, dataset)
    for size in (1, 3):
        batch = windows.gather(np.arange(size))
        actions = policy.predict(batch.observations, noise_for(policy, batch))
        assert actions.shape == (size, 4, *dataset.spec.action.shape)
        assert actions.dtype == (torch.int64 if dataset.spec.action.choices else torch.float32)
        assert torch.isfinite(actions.double()).all()


def test_every_trainable_parameter_receives_a_gradient(name, dataset):
    policy, windows = prepared(name, dataset)
    policy.train()
    for step in range(4):
        losses = policy.loss(windows.batch(step))
        if losses["total"].requires_grad:
            losses["total"].backward()
    without = [
        key
        for key, p in policy.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert without == []


def test_an_unprepared_policy_raises(name, dataset):
    policy = small(name).build(dataset.spec).eval()
    batch = windows_of(dataset, policy.config).gather(np.arange(2))
    with pytest.raises(RuntimeError, match="prepare"):
        policy.predict(batch.observations, noise_for(policy, batch))
    with pytest.raises(RuntimeError, match="prepare"):
        policy.loss(batch)


def test_values_past_the_episodes_end_do_not_change_the_loss(name, dataset):
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(len(windows)))
    assert not batch.valid.all()
    changed = torch.where(batch.valid[..., None], batch.actions, 2 - batch.actions % 2)
    assert not torch.equal(changed, batch.actions)
    other = Batch(batch.observations, changed, batch.valid, batch.task)
    assert policy.loss(batch)["total"].item() == policy.loss(other)["total"].item()


def test_a_saved_policy_predicts_the_same_in_another_process(name, dataset, tmp_path):
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(5))
    save_checkpoint(tmp_path / "policy", name, policy, {"note": "test"})
    np.savez(
        tmp_path / "batch.npz",
        noise=noise_for(policy, batch).numpy(),
        **{key: value.numpy() for key, value in batch.observations.items()},
    )
    program = (
        "import sys, json, numpy, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from understudy.policies.checkpoint import load_checkpoint\n"
        "parts = {k: torch.from_numpy(v) for k, v in numpy.load(sys.argv[2]).items()}\n"
        "noise = parts.pop('noise')\n"
        "policy = load_checkpoint(Path(sys.argv[1])).policy\n"
        "print(json.dumps(policy.predict(parts, noise).tolist()))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "policy"), str(tmp_path / "batch.npz")],
        capture_output=True,
        text=True,
        check=True,
    )
    here = policy.predict(batch.observations, noise_for(policy, batch))
    assert json.loads(answer.stdout) == here.tolist()


def test_data_in_other_units_give_the_same_predictions_in_those_units(name, tmp_path):
    predictions = []
    for scale in (1.0, 1024.0):  # a power of two, so that only the exponents differ
        made = demonstrations.dataset(tmp_path / f"{scale}", demonstrations.CONTINUOUS, scale=scale)
        policy, windows = prepared(name, made)
        batch = windows.gather(np.arange(8))
        predictions.append(policy.predict(batch.observations, noise_for(policy, batch)) / scale)
    torch.testing.assert_close(predictions[0], predictions[1], rtol=1e-4, atol=1e-4)


def test_a_row_of_a_batch_does_not_depend_on_the_others(name, dataset):
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(16))
    noise = noise_for(policy, batch)
    whole = policy.predict(batch.observations, noise)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    moved = {key: value[order] for key, value in batch.observations.items()}
    assert torch.equal(policy.predict(moved, noise[order]), whole[order])


def test_one_demonstration_is_learnt_by_heart_and_reproduced(name, tmp_path):
    from understudy.data.store import Dataset

    task = make_task("mountain-car")
    [shown] = Here().rollouts(task, ExpertActor(), [5])
    dataset = Dataset.create(tmp_path / "one", task.spec)
    dataset.append(shown)
    there = {field.name for field in fields(find_policy(name))}
    options = {"dropout": 0.0} if "dropout" in there else {}
    config = small(name, history=1, horizon=1, **options)
    windows = windows_of(dataset, config, batch_size=64)
    torch.manual_seed(0)
    policy = config.build(task.spec)
    policy.prepare(windows)
    *_, last = learn(policy, windows, LearnConfig(steps=1500, learning_rate=1e-2))
    policy.load_state_dict(averaged_weights(policy, last.state))
    [again] = rollouts([task.build()], Chunks(policy), [5])
    assert again.success
    assert abs(len(again) - len(shown)) <= 0.1 * len(shown)


def test_a_checkpoint_with_a_file_missing_or_damaged_is_refused_by_name(name, dataset, tmp_path):
    policy, _ = prepared(name, dataset)
    folder = save_checkpoint(tmp_path / "policy", name, policy, {})
    for file, text in (
        ("spec.json", "{}"),
        ("config.json", '{"format": 1}'),
        ("config.json", "[]"),
        ("config.json", "{"),
    ):
        kept = (folder / file).read_text()
        (folder / file).write_text(text)
        with pytest.raises(ValueError, match=file):
            load_checkpoint(folder)
        (folder / file).write_text(kept)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_checkpoint(folder)
    weights.unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_checkpoint(folder)


def test_a_configuration_that_asks_for_more_than_its_weights_hold_takes_no_memory(
    dataset, tmp_path
):
    policy, _ = prepared("mlp", dataset)
    folder = save_checkpoint(tmp_path / "policy", "mlp", policy, {})
    config = json.loads((folder / "config.json").read_text())
    config["config"]["width"] = 10**6  # its square would be 4 TB
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not fit"):
        load_checkpoint(folder)
