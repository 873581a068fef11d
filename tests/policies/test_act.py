"""What is particular to ACT: its latent, its layers, what its training looks at."""

import numpy as np
import pytest
import torch
from torch import distributions

from tests import demonstrations
from understudy.data.frames import FrameCache
from understudy.data.windows import Batch, Windows
from understudy.policies.act import Act, ActConfig

SMALL = {"width": 16, "heads": 2, "hidden": 32, "encoder_layers": 2, "decoder_layers": 3}


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    made = demonstrations.dataset(
        tmp_path_factory.mktemp("act") / "data", demonstrations.CONTINUOUS
    )
    return Windows(made, history=2, horizon=5)


@pytest.fixture(scope="module")
def camera_windows(tmp_path_factory):
    made = demonstrations.dataset(tmp_path_factory.mktemp("eye") / "data", demonstrations.CAMERA)
    frames = FrameCache.build(made, made.spec.cameras)
    return Windows(made, history=2, horizon=5, frames=frames)


def prepared(windows, **changes):
    torch.manual_seed(0)
    config = ActConfig(history=2, horizon=5, **SMALL | {"latent": 6} | changes)
    policy = Act(config, windows.spec)
    policy.prepare(windows)
    return policy.eval()


def predicted(policy, batch):
    with torch.no_grad():
        return policy.predict(batch.observations, torch.zeros(len(batch), 0))


def normalised(policy, actions):
    assert policy.action.normalizer is not None
    return policy.action.normalizer(actions)


def shown(policy, batch, clean=None, valid=None):
    """Mean and log variance of the latent, for these normalised actions."""
    vectors = policy.seen.state(batch.observations)
    clean = policy.action.encode(batch) if clean is None else clean
    valid = batch.valid if valid is None else valid
    return policy.shown(vectors, clean, valid, policy.shown_layers)


def test_every_decoder_layer_is_trained(windows):
    policy = prepared(windows, decoder_layers=4).train()
    policy.loss(windows.gather(np.arange(20)))["total"].backward()
    assert len(policy.decoder) == 4
    for layer in policy.decoder:
        for key, parameter in layer.named_parameters():
            if not key.endswith("key.bias"):  # adds the same to all logits: no gradient, ever
                assert parameter.grad.abs().max() > 1e-7, key


def test_every_decoder_layer_has_its_part_in_the_chunk(windows):
    policy, batch = prepared(windows), windows.gather(np.arange(4))
    before = predicted(policy, batch)
    for layer in policy.decoder:
        kept = layer.feedforward.norm.bias.detach().clone()
        torch.nn.init.normal_(layer.feedforward.norm.bias)
        assert (predicted(policy, batch) - before).abs().max() > 1e-3
        layer.feedforward.norm.bias.data = kept
    assert torch.equal(predicted(policy, batch), before)


def test_the_divergence_is_that_of_two_normal_distributions(windows):
    policy, batch = prepared(windows, kl_weight=3.0), windows.gather(np.arange(20))
    losses = policy.loss(batch)
    mean, spread = shown(policy, batch)
    given = distributions.Normal(mean, (spread / 2).exp())
    divergence = distributions.kl_divergence(given, distributions.Normal(0.0, 1.0))
    assert losses["kl"].item() == pytest.approx(divergence.sum(1).mean().item(), rel=1e-5)
    assert losses["kl"] > 0.01
    assert losses["total"].item() == pytest.approx((losses["l1"] + 3 * losses["kl"]).item())


def test_the_error_is_the_absolute_one_of_normalised_actions_over_valid_steps(windows):
    policy, batch = prepared(windows), windows.gather(np.arange(len(windows)))
    assert not batch.valid.all()
    chunks = policy._chunk(batch.observations, shown(policy, batch)[0])
    errors = (chunks - normalised(policy, batch.actions)).abs()[batch.valid]
    assert policy.loss(batch)["l1"].item() == pytest.approx(errors.mean().item(), rel=1e-5)


def test_training_draws_a_latent_and_evaluation_takes_its_mean(windows):
    policy, batch = prepared(windows, dropout=0.0), windows.gather(np.arange(8))
    assert policy.loss(batch)["l1"] == policy.loss(batch)["l1"]
    policy.train()
    assert policy.loss(batch)["l1"] != policy.loss(batch)["l1"]
    assert policy.loss(batch)["kl"] == policy.loss(batch)["kl"]


def test_in_play_the_latent_is_zero_whatever_the_encoder_of_shown_chunks_would_say(windows):
    policy, batch = prepared(windows), windows.gather(np.arange(4))
    before, loss = predicted(policy, batch), policy.loss(batch)["l1"]
    for module in (policy.shown, policy.shown_layers):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter)
    assert torch.equal(predicted(policy, batch), before)
    assert policy.loss(batch)["l1"] != loss
    torch.nn.init.normal_(policy.latent.weight)  # which a latent of 0 does not reach
    assert torch.equal(predicted(policy, batch), before)
    torch.nn.init.normal_(policy.latent.bias)
    assert not torch.equal(predicted(policy, batch), before)


def test_the_latent_changes_the_chunk_and_the_shown_actions_change_the_latent(windows):
    policy, batch = prepared(windows), windows.gather(np.arange(4))
    zero = torch.zeros(4, 6)
    with torch.no_grad():
        chunks = [policy._chunk(batch.observations, latent) for latent in (zero, zero + 2)]
    assert (chunks[0] - chunks[1]).abs().amax((1, 2)).min() > 1e-3
    clean = policy.action.encode(batch)
    for other in (clean + 1, clean.flip(1)):
        assert (shown(policy, batch)[0] - shown(policy, batch, other)[0]).abs().max() > 1e-3


def test_actions_past_the_episode_s_end_do_not_enter_the_latent(windows):
    policy, batch = prepared(windows), windows.gather(np.arange(len(windows)))
    clean = policy.action.encode(batch)
    other = torch.where(batch.valid[..., None], clean, 50 * torch.randn_like(clean))
    for before, after in zip(shown(policy, batch), shown(policy, batch, other), strict=True):
        assert torch.equal(before, after)
    everywhere = torch.ones_like(batch.valid)
    with_all = shown(policy, batch, other, everywhere)[0]
    short = ~batch.valid.all(1)
    assert (with_all - shown(policy, batch)[0])[short].abs().amax(1).min() > 1e-3


def test_an_episode_of_few_steps_does_not_drown_in_padding(windows):
    """The loss of a window with a single valid step looks at that step alone."""
    policy, every = prepared(windows), windows.gather(np.arange(len(windows)))
    row = int(torch.nonzero(every.valid.sum(1) == 1)[0])
    batch = windows.gather(np.array([row]))
    before = policy.loss(batch)["l1"].item()
    moved = Batch(batch.observations, batch.actions.clone(), batch.valid)
    moved.actions[0, 1:] += 1e3
    assert policy.loss(moved)["l1"].item() == before
    chunk = policy._chunk(batch.observations, shown(policy, batch)[0])[0, 0]
    wrong = (chunk - normalised(policy, batch.actions[0, 0])).abs().mean()
    assert before == pytest.approx(wrong.item(), rel=1e-5)


def test_steps_of_the_chunk_and_ticks_of_the_history_are_told_apart(windows):
    policy, batch = prepared(windows), windows.gather(np.arange(5, 9))
    chunk = normalised(policy, predicted(policy, batch))
    assert (chunk[:, 1:] - chunk[:, :-1]).abs().amax(2).min() > 1e-3
    turned = {
        key: value.flip(1) if key in windows.spec.observations else value
        for key, value in batch.observations.items()
    }
    assert not torch.allclose(
        predicted(policy, Batch(turned, *rest(batch))), predicted(policy, batch)
    )


def rest(batch):
    return batch.actions, batch.valid


def test_every_camera_every_tick_and_every_place_of_a_picture_is_seen(camera_windows):
    policy, batch = prepared(camera_windows), camera_windows.gather(np.arange(1))
    before = predicted(policy, batch)
    for key in camera_windows.spec.cameras:
        for tick in range(2):
            frames = batch.observations[key]
            rows, columns = frames.shape[2:4]
            found = []
            for top, left in ((0, 0), (0, columns // 2), (rows // 2, 0), (rows // 2, columns // 2)):
                changed = frames.clone()
                changed[0, tick, top : top + rows // 2, left : left + columns // 2] = 255
                seen = Batch({**batch.observations, key: changed}, *rest(batch))
                found.append(predicted(policy, seen))
                assert not torch.allclose(found[-1], before, rtol=0, atol=1e-6), (key, tick)
            apart = [(a - b).abs().max() for i, a in enumerate(found) for b in found[:i]]
            assert min(apart) > 1e-6


def test_cameras_of_the_same_size_are_told_apart(camera_windows):
    """Without the learned places, swapping two cameras' tokens would change nothing."""
    policy, batch = prepared(camera_windows), camera_windows.gather(np.arange(1))
    tokens, places = policy.seen(batch.observations)
    assert tokens.shape == (1, len(places), 16)
    apart = torch.cdist(places, places) + 10 * torch.eye(len(places))
    assert len(places) == 2 + 2 * 4 * 5 + 2 * 3 * 3  # ticks; pixels at an eighth of 32x40 and 24x24
    assert apart.min() > 1e-2


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 18},
        {"width": 20, "heads": 3},
        {"latent": 0},
        {"decoder_layers": 0},
        {"dropout": 1.0},
        {"kl_weight": float("nan")},
    ],
)
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ActConfig(**wrong)
