"""The student: what may teach it, where it begins, what it learns, what it keeps."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests import demonstrations
from understudy.data.windows import Batch, Windows
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies.checkpoint import load_checkpoint, save_checkpoint
from understudy.policies.denoiser import DenoiserConfig
from understudy.policies.diffusion import DiffusionConfig
from understudy.policies.flow import FlowConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.one_step import OneStep, OneStepConfig

SIZES = {"history": 2, "horizon": 4}
NETWORK = {"denoiser": DenoiserConfig(network="residual", width=32, depth=2)}
LEARN = LearnConfig(steps=250, batch_size=64, learning_rate=3e-3, warmup_steps=20, ema_decay=0.99)
FLOW = FlowConfig(inference_steps=8, **SIZES, **NETWORK)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one_step") / "data"
    made = demonstrations.dataset(folder, demonstrations.CONTINUOUS)
    return Windows(made, **SIZES, batch_size=64)


@pytest.fixture(scope="module")
def flow(windows, tmp_path_factory):
    """The folder of a flow that has learnt something."""
    policy = prepared(FLOW, windows)
    *_, last = learn(policy, windows, LEARN)
    folder = tmp_path_factory.mktemp("teachers") / "flow"
    return save_checkpoint(folder, "flow", policy, {}, averaged_weights(policy, last.state))


def prepared(config, windows):
    torch.manual_seed(0)
    policy = config.build(windows.spec)
    policy.prepare(windows)
    return policy


def untaught(name, config, windows, folder):
    """A checkpoint of a policy that has seen the data and learnt nothing."""
    return save_checkpoint(folder / name, name, prepared(config, windows), {})


def student(teacher, **changes):
    return OneStepConfig(teacher=str(teacher), **SIZES | NETWORK | changes)


def predicted(policy, windows, count=60):
    """Chunks for the first windows, from noise that is always the same."""
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(count, 4, 2, generator=generator).view(count, *policy.noise_shape)
    with torch.no_grad():
        return policy.eval().predict(windows.gather(np.arange(count)).observations, noise)


def test_a_student_without_a_teacher_says_how_to_name_one(windows):
    with pytest.raises(ValueError, match="--teacher"):
        prepared(student(""), windows)


def test_a_teacher_that_is_not_there_is_named(windows, tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        prepared(student(tmp_path / "nowhere"), windows)


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("diffusion", DiffusionConfig(sampler="ddpm", **SIZES, **NETWORK), "ddim or dpm"),
        ("mlp", MlpConfig(width=8, **SIZES), "noise: takes 0 numbers, one chunk has 8"),
        ("flow", replace(FLOW, horizon=8), "horizon: has 8, the student 4"),
        ("flow", replace(FLOW, history=1), "history: has 1, the student 2"),
        ("flow", replace(FLOW, tasks=("made up",)), "tasks: has"),
    ],
)
def test_a_policy_that_cannot_teach_is_refused_with_its_folder_and_the_reason(
    name, config, said, windows, tmp_path
):
    teacher = untaught(name, config, windows, tmp_path)
    with pytest.raises(ValueError, match=said) as raised:
        prepared(student(teacher), windows)
    assert str(tmp_path) in str(raised.value)


def test_a_teacher_of_other_signals_is_refused(windows, tmp_path):
    teacher = untaught("flow", FLOW, windows, tmp_path / "policy")
    made = demonstrations.dataset(tmp_path / "data", demonstrations.CAMERA)
    others = Windows(made, **SIZES, spec=made.spec.only(["observation.state"]))
    with pytest.raises(ValueError, match=r"observation\.environment_state: not offered"):
        prepared(student(teacher), others)


def test_a_student_begins_as_its_teacher_with_a_single_step(windows, flow):
    teacher = load_checkpoint(flow).policy
    single = replace(teacher.config, inference_steps=1).build(windows.spec)
    single.load_state_dict(teacher.state_dict())
    begun = predicted(prepared(student(flow), windows), windows)
    assert torch.equal(begun, predicted(single, windows))
    assert not torch.allclose(begun, predicted(teacher, windows), atol=1e-3)


def test_a_student_with_another_network_begins_anew_with_the_data_s_normalisers(windows, flow):
    wider = DenoiserConfig(network="residual", width=40, depth=2)
    policy = prepared(student(flow, denoiser=wider), windows)
    alone = prepared(replace(FLOW, denoiser=wider), windows)
    assert torch.equal(policy.action.normalizer.scale, alone.action.normalizer.scale)
    batch = windows.batch(0)
    policy.loss(batch)["total"].backward()
    assert all(p.grad.any() for p in policy.parameters())


def test_the_loss_is_the_mean_square_of_the_distance_from_the_teacher_s_chunks(windows, flow):
    policy, teacher, batch = (
        prepared(student(flow), windows),
        load_checkpoint(flow).policy,
        windows.batch(0),
    )
    torch.manual_seed(4)
    loss = policy.loss(batch)["total"].item()
    torch.manual_seed(4)
    noise = torch.randn(64, 4, 2)
    scale = policy.action.normalizer.scale
    seen = policy.input(batch.observations).flatten(1)
    ours = noise + policy.network(noise, torch.zeros(64), seen)
    theirs = teacher.action.normalizer(teacher.predict(batch.observations, noise))
    assert loss == pytest.approx((ours - theirs).square().mean().item(), rel=1e-4)
    assert torch.equal(teacher.action.normalizer.scale, scale)


def test_what_the_demonstrator_did_is_no_part_of_the_loss(windows, flow):
    """A student learns on the observations; steps past an episode's end are the teacher's too."""
    policy, batch = prepared(student(flow), windows), windows.batch(0)
    other = Batch(batch.observations, torch.randn_like(batch.actions), ~batch.valid)
    losses = []
    for given in (batch, other):
        torch.manual_seed(4)
        losses.append(policy.loss(given)["total"].item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", ["flow", "diffusion"])
def test_a_short_distillation_brings_the_student_nearer_to_the_teacher(
    name, windows, flow, tmp_path
):
    if name == "diffusion":
        config = DiffusionConfig(**SIZES, **NETWORK)
        flow = untaught("diffusion", config, windows, tmp_path)
    teacher = load_checkpoint(flow).policy
    policy = prepared(student(flow), windows)
    wanted = predicted(teacher, windows)
    scale = torch.from_numpy(windows.statistics("action").std)
    before = ((predicted(policy, windows) - wanted) / scale).square().mean()
    *_, last = learn(policy, windows, LEARN)
    policy.load_state_dict(averaged_weights(policy, last.state))
    after = ((predicted(policy, windows) - wanted) / scale).square().mean()
    assert after < before / 3


def test_training_leaves_the_teacher_as_it_was(windows, flow):
    policy = prepared(student(flow), windows)
    own = {id(p) for p in policy.parameters()}
    list(learn(policy, windows, replace(LEARN, steps=3)))
    assert isinstance(policy, OneStep)
    [teacher] = policy._teacher
    before = load_checkpoint(flow).policy.state_dict()
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not any(p.requires_grad or id(p) in own for p in teacher.parameters())
    assert not teacher.training


def test_the_teacher_follows_its_student_to_another_device(windows, flow):
    """`meta` stands for a GPU: a product of tensors on two devices raises there as well."""
    policy, batch = prepared(student(flow), windows), windows.batch(0)
    policy.loss(batch)
    policy.to("meta")
    assert policy.loss(batch.to("meta"))["total"].device.type == "meta"


def test_a_checkpoint_holds_no_teacher_and_needs_none(windows, flow, tmp_path):
    copied = shutil.copytree(flow, tmp_path / "teacher")
    policy = prepared(student(copied), windows)
    before = predicted(policy, windows)
    folder = save_checkpoint(tmp_path / "student", "one_step", policy, {})
    shutil.rmtree(copied)
    with safe_open(folder / "model.safetensors", "pt") as file:
        stored = set(file.keys())
    alone = replace(FLOW).build(windows.spec)
    assert stored == set(alone.state_dict())  # those of one policy of this size
    loaded = load_checkpoint(folder).policy
    assert torch.equal(predicted(loaded, windows), before)
    with pytest.raises(ValueError, match="teacher"):
        loaded.loss(windows.batch(0))
