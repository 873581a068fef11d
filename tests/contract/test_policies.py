"""What every policy must do. A policy that is listed in POLICIES is tested here."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from tests import demonstrations
from tests.processes import Process, program
from tests.worlds import ReachTask
from understudy.data.frames import FrameCache
from understudy.data.store import Dataset
from understudy.data.windows import Batch, Windows
from understudy.fleet import ExpertActor, Here
from understudy.learn.clone import clone
from understudy.learn.resume import read_state, state_files
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies import POLICIES, find_policy
from understudy.policies.checkpoint import load_checkpoint, save_checkpoint
from understudy.policies.denoiser import DenoiserConfig
from understudy.policies.lean import Lean
from understudy.policies.player import Chunks
from understudy.policies.transfer import freeze, parts_of, take_over
from understudy.rollout import rollouts
from understudy.spec import Signal
from understudy.tasks import make_task

UNET = DenoiserConfig(widths=(16, 32), kernel=3, dropout=0.0)
SMALL = {
    "act": {"width": 32, "heads": 2, "hidden": 64, "encoder_layers": 1, "decoder_layers": 2},
    "cnn": {"channels": (16, 16, 16), "width": 32},
    "diffusion": {"denoiser": UNET, "inference_steps": 5, "target": "sample"},
    "flow": {"denoiser": DenoiserConfig(network="residual", width=32, depth=2, dropout=0.0)},
    "gaussian": {"width": 32, "depth": 2, "modes": 2, "dropout": 0.1},
    "lstm": {"width": 32, "modes": 2},
    "mlp": {"width": 32, "depth": 2, "dropout": 0.1},
    "one_step": {"denoiser": DenoiserConfig(network="residual", width=48, depth=2, dropout=0.0)},
    "regularised": {"width": 32, "prior_width": 32},
}
TASKS = ("pull", "push")
PREDICTS = """
import json, numpy, sys, torch
from pathlib import Path
from understudy.policies.checkpoint import load_checkpoint
torch.set_num_threads(1)
parts = {{k: torch.from_numpy(v) for k, v in numpy.load({1!r}).items()}}
noise = parts.pop('noise')
policy = load_checkpoint(Path({0!r})).policy
assert 'sympy' not in sys.modules, 'loading let torch import what takes as long as torch itself'
print(json.dumps(policy.predict(parts, noise).tolist()))
"""
SPECS = {
    "continuous": demonstrations.CONTINUOUS,
    "discrete": demonstrations.DISCRETE,
    "cameras": demonstrations.CAMERA,
    "tasks": demonstrations.CONTINUOUS,
}


def small(name, dataset=None, **changes):
    """A little configuration of this policy for these data."""
    sizes = {"history": 2, "horizon": 4} | SMALL.get(name, {})
    if dataset is not None and len(set(dataset.tasks)) > 1:
        sizes["tasks"] = tuple(sorted(set(dataset.tasks)))
    there = {field.name for field in fields(find_policy(name))}
    return find_policy(name)(**{k: v for k, v in (sizes | changes).items() if k in there})


def windows_of(dataset, config, batch_size=16, **options):
    spec = dataset.spec if config.reads_cameras else dataset.spec.only(dataset.spec.vectors)
    frames = FrameCache.build(dataset, spec.cameras) if spec.cameras else None
    return Windows(
        dataset,
        history=config.history,
        horizon=config.horizon,
        spec=spec,
        frames=frames,
        batch_size=batch_size,
        **options,
    )


@pytest.fixture(params=sorted(SPECS), scope="module")
def dataset(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "data"
    tasks = TASKS if request.param == "tasks" else ()
    return demonstrations.dataset(folder, SPECS[request.param], tasks=tasks)


@pytest.fixture(params=sorted(POLICIES))
def name(request):
    return request.param


@pytest.fixture
def prepared(tmp_path):
    """Make policies that have looked at the data; a student gets a teacher to look at as well."""

    def make(name, dataset, **changes):
        if name == "cnn" and not dataset.spec.cameras:
            pytest.skip("cnn reads cameras, these data have none")
        config = small(name, dataset, **changes)
        if name == "one_step":
            teacher, _ = make("flow", dataset, **changes)
            folder = save_checkpoint(tmp_path / "teacher", "flow", teacher, {})
            config = replace(config, teacher=str(folder))
        torch.manual_seed(0)
        windows = windows_of(dataset, config)
        policy = config.build(windows.spec)
        policy.prepare(windows)
        return policy.eval(), windows

    return make


def noise_for(policy, batch):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(len(batch), *policy.noise_shape, generator=generator)


def test_predictions_have_the_promised_shape_and_dtype(name, dataset, prepared):
    policy, windows = prepared(name, dataset)
    for size in (1, 3):
        batch = windows.gather(np.arange(size))
        actions = policy.predict(batch.observations, noise_for(policy, batch))
        assert actions.shape == (size, 4, *dataset.spec.action.shape)
        assert actions.dtype == (torch.int64 if dataset.spec.action.choices else torch.float32)
        assert torch.isfinite(actions.double()).all()


def test_in_bfloat16_it_predicts_nearly_the_same(name, dataset, prepared):
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(8))
    noise = noise_for(policy, batch)
    with torch.inference_mode():
        exact = policy.predict(batch.observations, noise)
        lean = Lean(policy).predict(batch.observations, noise)
    assert lean.dtype == exact.dtype
    if dataset.spec.action.choices:
        assert (lean == exact).float().mean() > 0.8
    else:
        assert (lean - exact).abs().mean() < 0.05 * windows.statistics("action").std.max()


def test_every_trainable_parameter_receives_a_gradient(name, dataset, prepared):
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


def test_an_unprepared_policy_raises(name, dataset, prepared):
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(2))
    policy = policy.config.build(policy.spec).eval()
    with pytest.raises(RuntimeError, match="prepare"):
        policy.predict(batch.observations, noise_for(policy, batch))
    with pytest.raises(RuntimeError, match="prepare"):
        policy.loss(batch)


def test_values_past_the_episodes_end_do_not_change_the_loss(name, dataset, prepared):
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(len(windows)))
    assert not batch.valid.all()
    changed = torch.where(batch.valid[..., None], batch.actions, 2 - batch.actions % 2)
    assert not torch.equal(changed, batch.actions)
    totals = []
    for actions in (batch.actions, changed):
        torch.manual_seed(1)
        totals.append(policy.loss(Batch(batch.observations, actions, batch.valid))["total"].item())
    assert totals[0] == totals[1]


def test_training_that_goes_on_from_its_files_ends_with_the_same_bits(
    name, dataset, prepared, tmp_path
):
    config = LearnConfig(steps=8, batch_size=16, warmup_steps=2, report_every=4, precision="auto")
    whole, windows = prepared(name, dataset)
    *_, last = learn(whole, windows, config)
    if not last.state.tensors:
        pytest.skip(f"{name} has no weights to train")
    begun, windows = prepared(name, dataset)
    half = next(iter(learn(begun, windows, config))).state
    weights = averaged_weights(begun, half)
    save_checkpoint(tmp_path / "half", name, begun, {}, weights, state_files(half))
    resumed = load_checkpoint(tmp_path / "half").policy
    *_, end = learn(resumed, windows, config, resume=read_state(tmp_path / "half"))
    assert half.step == 4
    assert all(torch.equal(end.state.tensors[key], t) for key, t in last.state.tensors.items())
    assert all(torch.equal(resumed.state_dict()[key], t) for key, t in whole.state_dict().items())


def test_a_policy_that_takes_over_all_of_another_predicts_what_that_does(name, dataset, prepared):
    source, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(5))
    torch.manual_seed(9)
    policy = source.config.build(source.spec).eval()
    if name == "knn":
        with pytest.raises(ValueError, match="keeps the demonstrations"):
            take_over(policy, source)
        return
    transfer = take_over(policy, source)
    assert (transfer.share, transfer.fresh, transfer.anew) == (1.0, {}, {})
    noise = noise_for(policy, batch)
    assert torch.equal(
        policy.predict(batch.observations, noise), source.predict(batch.observations, noise)
    )


def test_parts_of_a_policy_can_stay_as_they_are(name, dataset, prepared):
    sizes = parts_of(prepared(name, dataset)[0])
    assert bool(sizes) == (name != "knn")
    for part in [part for part in sizes if "." in part][:: max(1, len(sizes) // 2)]:
        policy, windows = prepared(name, dataset)
        before = {key: p.detach().clone() for key, p in policy.named_parameters()}
        freeze(policy, [part])
        list(learn(policy, windows, LearnConfig(steps=2, batch_size=8, weight_decay=0.1)))
        changed = {k for k, p in policy.named_parameters() if not torch.equal(p, before[k])}
        assert not {key for key in changed if key.startswith(f"{part}.")}
        assert changed


def test_a_saved_policy_predicts_the_same_in_another_process(name, prepared, tmp_path):
    dataset = demonstrations.dataset(tmp_path / "data", demonstrations.CAMERA, tasks=TASKS)
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(5))
    save_checkpoint(tmp_path / "policy", name, policy, {"note": "test"})
    np.savez(
        tmp_path / "batch.npz",
        noise=noise_for(policy, batch).numpy(),
        **{key: value.numpy() for key, value in batch.observations.items()},
    )
    asked = (str(tmp_path / "policy"), str(tmp_path / "batch.npz"))
    answer = Process(program, PREDICTS.format(*asked)).done()
    assert answer.returncode == 0, answer.stderr
    here = policy.predict(batch.observations, noise_for(policy, batch))
    assert json.loads(answer.stdout) == here.tolist()


def test_data_in_other_units_give_the_same_predictions_in_those_units(name, prepared, tmp_path):
    predictions = []
    for scale in (1.0, 1024.0):  # a power of two, so that only the exponents differ
        made = demonstrations.dataset(tmp_path / f"{scale}", demonstrations.CONTINUOUS, scale=scale)
        policy, windows = prepared(name, made)
        batch = windows.gather(np.arange(8))
        predictions.append(policy.predict(batch.observations, noise_for(policy, batch)) / scale)
    torch.testing.assert_close(predictions[0], predictions[1], rtol=1e-4, atol=1e-4)


def test_a_row_of_a_batch_does_not_depend_on_the_others(name, dataset, prepared):
    policy, windows = prepared(name, dataset)
    batch = windows.gather(np.arange(16))
    noise = noise_for(policy, batch)
    whole = policy.predict(batch.observations, noise)
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    moved = {key: value[order] for key, value in batch.observations.items()}
    assert torch.equal(policy.predict(moved, noise[order]), whole[order])


@pytest.mark.parametrize(
    "task", [make_task("mountain-car"), ReachTask()], ids=["choices", "numbers"]
)
def test_one_demonstration_is_learnt_by_heart_and_reproduced(name, task, tmp_path):
    if name == "cnn":
        pytest.skip("cnn reads cameras, these worlds have none")
    [shown] = Here().rollouts(task, ExpertActor(), [5])
    dataset = Dataset.create(tmp_path / "one", task.spec)
    dataset.append(shown)
    # One mode: with twelve windows a second one learns nothing, and is drawn now and then.
    changes = {"history": 2 if name == "lstm" else 1, "horizon": 2, "dropout": 0.0, "modes": 1}
    if task.spec.action.choices and name == "diffusion":  # the U-Net, which numbers are enough for
        changes["denoiser"] = SMALL["flow"]["denoiser"]  # would need three times the steps
    steps = 600 if name == "regularised" else 300
    learning = LearnConfig(steps=steps, batch_size=32, learning_rate=5e-3)
    if name == "one_step":
        teacher = clone(small("flow", **changes), dataset, learning)
        saved = save_checkpoint(tmp_path / "teacher", "flow", teacher, {})
        changes["teacher"] = str(saved)
    policy = clone(small(name, **changes), dataset, learning)
    [again] = rollouts([task.build()], Chunks(policy), [5])
    assert again.success
    assert abs(len(again) - len(shown)) <= 0.1 * len(shown)


def test_a_checkpoint_with_a_file_missing_or_damaged_is_refused_by_name(
    name, dataset, prepared, tmp_path
):
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
    dataset, prepared, tmp_path
):
    policy, _ = prepared("mlp", dataset)
    folder = save_checkpoint(tmp_path / "policy", "mlp", policy, {})
    config = json.loads((folder / "config.json").read_text())
    config["config"]["width"] = 10**6  # its square would be 4 TB
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="does not fit"):
        load_checkpoint(folder)


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_each_preset_builds_for_vectors_and_cameras(name, preset):
    config = find_policy(name)
    values = config.presets[preset]
    pictures = Signal((96, 96, 3), "uint8")
    seen = {**demonstrations.CAMERA.observations, "observation.images.front": pictures}
    seen["observation.images.wrist"] = pictures
    spec = replace(demonstrations.CAMERA, observations=seen)
    with torch.device("meta"):
        policy = config(**values.policy).build(spec)
    learning = LearnConfig(**values.learn)
    assert learning.steps >= 5000
    size = sum(p.numel() for p in policy.parameters())
    assert preset == "paper" or size < 10_000_000


def test_the_preset_small_has_the_defaults_of_the_fields(name):
    config = find_policy(name)
    assert config(**config.presets["small"].policy) == config()
