"""Diffusion and flow: what their noise is, what they are asked in training, and that both ways are kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests import demonstrations
from understudy.data.store import Dataset
from understudy.data.windows import Windows
from understudy.episode import Episode
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.nn.noise import Diffusion
from understudy.policies.denoiser import DenoiserConfig
from understudy.policies.diffusion import DiffusionConfig
from understudy.policies.flow import FlowConfig
from understudy.policies.mlp import MlpConfig
from understudy.spec import STATE, Signal, Spec

EITHER_WAY = Spec({STATE: Signal((2,))}, Signal((1,)), 10.0, "either way")
RESIDUAL = DenoiserConfig(network="residual", width=32, depth=2)
UNET = DenoiserConfig(widths=(8, 16), kernel=3)
LEARN = LearnConfig(steps=500, batch_size=64, learning_rate=3e-3, warmup_steps=20, ema_decay=0.99)


@pytest.fixture(scope="module")
def either_way(tmp_path_factory):
    """Two demonstrations that see the same: one goes +1 all the time, the other -1."""
    made = Dataset.create(tmp_path_factory.mktemp("either") / "data", EITHER_WAY)
    for seed, action in enumerate((1.0, -1.0)):
        made.append(
            Episode(
                observations={STATE: np.tile([0.5, -2.0], (40, 1))},
                actions=np.full((40, 1), action),
                rewards=np.zeros(40),
                time_s=np.arange(40) / 10,
                terminated=True,
                truncated=False,
                task="either way",
                seed=seed,
            )
        )
    return Windows(made, history=1, horizon=4, batch_size=64)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diffusion") / "data"
    made = demonstrations.dataset(folder, demonstrations.CONTINUOUS)
    return Windows(made, history=2, horizon=4)


def prepared(config, windows):
    torch.manual_seed(0)
    policy = config.build(windows.spec)
    policy.prepare(windows)
    return policy


def learnt(config, windows):
    policy = prepared(config, windows)
    *_, last = learn(policy, windows, LEARN)
    policy.load_state_dict(averaged_weights(policy, last.state))
    return policy.eval()


def drawn(policy, windows, count=1000):
    """Many chunks (count, H) for the one observation there is."""
    seen = windows.gather(np.zeros(count, np.int64)).observations
    noise = torch.randn(count, *policy.noise_shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        return policy.predict(seen, noise)[..., 0]


def require_both_ways(chunks):
    up, down = ((sign * chunks > 0.7).all(1).float().mean().item() for sign in (1, -1))
    between = (chunks.abs() < 0.5).any(1).float().mean().item()
    assert 0.4 < up < 0.6
    assert 0.4 < down < 0.6
    assert between < 0.08
    assert chunks.abs().max() <= 1.0


def test_a_flow_learns_both_of_two_ways(either_way):
    config = FlowConfig(history=1, horizon=4, inference_steps=8, denoiser=RESIDUAL)
    require_both_ways(drawn(learnt(config, either_way), either_way))


@pytest.mark.parametrize("target", ["noise", "velocity"])
def test_a_diffusion_learns_both_of_two_ways_and_plays_them_by_every_sampler(target, either_way):
    config = DiffusionConfig(history=1, horizon=4, target=target, denoiser=RESIDUAL)
    policy = learnt(config, either_way)
    require_both_ways(drawn(policy, either_way))
    for sampler, steps in (("ddpm", 100), ("dpm", 10)):
        other = replace(config, sampler=sampler, inference_steps=steps).build(EITHER_WAY).eval()
        other.load_state_dict(policy.state_dict())  # the sampler is no part of the weights
        require_both_ways(drawn(other, either_way))


def test_a_regression_answers_with_the_mean_of_two_ways(either_way):
    config = MlpConfig(history=1, horizon=4, width=32, loss="l2")
    assert drawn(learnt(config, either_way), either_way).abs().max() < 0.1


@pytest.mark.parametrize("signal_size", [1, 3])
def test_the_noise_of_ddpm_has_a_part_for_each_step_and_that_of_the_others_one(signal_size):
    spec = replace(EITHER_WAY, action=Signal((signal_size,)))
    sizes = {"horizon": 8, "inference_steps": 7, "denoiser": RESIDUAL}
    assert DiffusionConfig(sampler="ddpm", **sizes).build(spec).noise_shape == (7, 8, signal_size)
    assert DiffusionConfig(sampler="ddim", **sizes).build(spec).noise_shape == (1, 8, signal_size)
    assert DiffusionConfig(sampler="dpm", **sizes).build(spec).noise_shape == (1, 8, signal_size)
    assert FlowConfig(**sizes).build(spec).noise_shape == (8, signal_size)


def test_noise_of_a_discrete_action_has_a_number_for_each_choice():
    sizes = {"horizon": 8, "inference_steps": 7, "denoiser": RESIDUAL}
    spec = demonstrations.DISCRETE
    assert DiffusionConfig(sampler="ddim", **sizes).build(spec).noise_shape == (1, 8, 3)
    assert FlowConfig(**sizes).build(spec).noise_shape == (8, 3)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm"])
def test_a_prediction_follows_from_all_of_its_noise_and_from_nothing_else(sampler, windows):
    config = DiffusionConfig(horizon=4, inference_steps=5, sampler=sampler, denoiser=UNET)
    policy, seen = prepared(config, windows).eval(), windows.gather(np.arange(3)).observations
    noise = torch.randn(3, *policy.noise_shape)
    before = policy.predict(seen, noise)
    torch.manual_seed(17)  # predict draws nothing itself
    assert torch.equal(policy.predict(seen, noise), before)
    for part in range(noise.shape[1]):
        other = noise.clone()
        other[:, part] = torch.randn_like(other[:, part])
        assert not torch.equal(policy.predict(seen, other), before)


@pytest.mark.parametrize("config", [FlowConfig, DiffusionConfig])
def test_actions_are_clipped_to_those_shown(config, windows):
    policy = prepared(config(horizon=4, denoiser=RESIDUAL), windows).eval()
    nn.init.constant_(policy.get_submodule("network.last.1").bias, -30.0)
    shown, seen = windows.statistics("action"), windows.gather(np.arange(50)).observations
    actions = policy.predict(seen, 10 * torch.randn(50, *policy.noise_shape)).detach().numpy()
    slack = 1e-6 * (shown.most - shown.least)
    assert (actions >= shown.least - slack).all()
    assert (actions <= shown.most + slack).all()
    assert np.isclose(actions, shown.least).any() or np.isclose(actions, shown.most).any()


class Knowing(nn.Module):
    """A network that knows the chunks and gives the right answer."""

    def __init__(self, clean, answer):
        super().__init__()
        self.clean, self.answer, self.times = clean, answer, []

    def forward(self, noisy, time, seen):
        self.times.append(time)
        return self.answer(self.clean, noisy, time[:, None, None])


def test_the_right_velocity_has_no_loss_and_leads_to_the_chunk(windows):
    policy, batch = prepared(FlowConfig(horizon=4, denoiser=UNET), windows), windows.batch(0)
    clean = policy.action.encode(batch)
    policy.network = Knowing(clean, lambda clean, noisy, time: (clean - noisy) / (1 - time))
    assert policy.loss(batch)["total"] < 1e-6
    [times] = policy.network.times
    assert times.min() > 0
    assert times.max() < 1
    assert times.std() > 0.1
    chunks = policy.predict(batch.observations, torch.randn(len(batch), *policy.noise_shape))
    torch.testing.assert_close(chunks, policy.action.decode(clean), rtol=1e-4, atol=1e-4)
    asked = [time.unique().tolist() for time in policy.network.times[1:]]
    assert asked == [[0.0], [0.25], [0.5], [0.75]]


@pytest.mark.parametrize("target", ["noise", "sample", "velocity"])
def test_the_right_answer_at_every_level_has_no_loss_and_leads_to_the_chunk(target, windows):
    config = DiffusionConfig(horizon=4, target=target, denoiser=UNET)
    policy, batch = prepared(config, windows), windows.batch(0)
    clean, shares = policy.action.encode(batch), Diffusion(100, target).kept

    def answer(clean, noisy, time):
        kept = shares[(time * 100).round().long()]
        noise = (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
        velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
        return {"noise": noise, "sample": clean, "velocity": velocity}[target]

    policy.network = Knowing(clean, answer)
    assert policy.loss(batch)["total"] < 1e-6
    [times] = policy.network.times
    levels = (times * 100).round()
    torch.testing.assert_close(levels / 100, times)
    assert levels.min() < 10
    assert levels.max() > 90
    assert levels.max() <= 99
    chunks = policy.predict(batch.observations, torch.randn(len(batch), *policy.noise_shape))
    torch.testing.assert_close(chunks, policy.action.decode(clean), rtol=1e-3, atol=1e-3)
    assert len(policy.network.times) == 1 + config.inference_steps


@pytest.mark.parametrize("config", [FlowConfig, DiffusionConfig])
def test_a_wrong_answer_costs_its_mean_square_over_the_valid_steps(config, windows):
    policy, batch = (
        prepared(config(horizon=4, denoiser=UNET), windows),
        windows.gather(np.arange(len(windows))),
    )
    assert not batch.valid.all()
    clean, off = policy.action.encode(batch), 1e3 * (~batch.valid[..., None])
    shares = Diffusion(100, "noise").kept

    def answer(clean, noisy, time):
        if config is FlowConfig:
            return (clean - noisy) / (1 - time) + 0.5 + off
        kept = shares[(time * 100).round().long()]
        return (noisy - kept.sqrt() * clean) / (1 - kept).sqrt() + 0.5 + off

    policy.network = Knowing(clean, answer)
    assert policy.loss(batch)["total"].item() == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("steps", [0, 101, -3])
def test_steps_outside_the_levels_are_refused(steps):
    with pytest.raises(ValueError, match=r"1\.\.100"):
        DiffusionConfig(inference_steps=steps)


def test_a_flow_without_a_step_is_refused():
    with pytest.raises(ValueError, match="inference_steps"):
        FlowConfig(inference_steps=0)


@pytest.mark.parametrize("config", [FlowConfig, DiffusionConfig])
def test_a_horizon_that_the_unet_cannot_halve_is_refused(config):
    with pytest.raises(ValueError, match="horizon 6 must be a multiple of 4"):
        config(horizon=6).build(EITHER_WAY)
    config(horizon=6, denoiser=RESIDUAL).build(EITHER_WAY)
