"""Drawing from policies: what is drawn follows the distribution, and depends on nobody else."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import distributions

from tests.demonstrations import CONTINUOUS, DISCRETE
from understudy.policies.act import ActConfig
from understudy.policies.gaussian import GaussianConfig
from understudy.policies.lstm import LstmConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Samples
from understudy.policies.stochastic import Likelihood, require_stochastic
from understudy.rollout import rollouts
from understudy.spec import Signal
from understudy.tasks import make_task


def made(config, spec):
    """An untrained policy with made-up normalisers."""
    torch.manual_seed(0)
    policy = config.build(spec).eval()
    for name, buffer in policy.named_buffers():
        buffer.fill_(1.0 if name.endswith("scale") else 0.0)
    return policy


def mixture(weights, means, deviations):
    """A mixture over one number, as policies give it."""
    shape = (1, len(means), 1, 1)
    component = distributions.Normal(
        torch.tensor(means).view(shape), torch.tensor(deviations).view(shape)
    )
    return distributions.MixtureSameFamily(
        distributions.Categorical(torch.tensor([weights])), distributions.Independent(component, 2)
    )


def repeated(distribution, count):
    return distribution.expand((count,))


def test_choices_are_drawn_as_often_as_they_are_likely():
    signal = Signal((2,), "int64", choices=3)
    logits = torch.tensor([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]]).expand(20_000, 1, 2, 3)
    choices = distributions.Independent(distributions.Categorical(logits=logits), 2)
    likelihood = Likelihood(signal)
    noise = torch.randn(20_000, likelihood.draws, generator=torch.Generator().manual_seed(1))
    drawn = likelihood.draw(choices, noise)
    assert drawn.shape == (20_000, 1, 2)
    for element in range(2):
        shares = torch.bincount(drawn[:, 0, element], minlength=3) / 20_000
        assert torch.allclose(shares, logits[0, 0, element].softmax(0), atol=0.015)
    assert torch.allclose(likelihood.log_likelihood(choices, drawn), choices.log_prob(drawn))
    assert torch.allclose(likelihood.entropy(choices), choices.entropy())


def test_a_mixture_is_drawn_from_and_what_lies_beyond_a_limit_is_the_limit():
    wide = mixture([0.3, 0.7], [-1.0, 2.0], [0.5, 1.0])
    likelihood = Likelihood(Signal((1,), low=(-1.5,), high=(2.0,)))
    noise = torch.randn(40_000, likelihood.draws, generator=torch.Generator().manual_seed(1))
    drawn = likelihood.draw(repeated(wide, 40_000), noise).flatten()
    parts = wide.component_distribution.base_dist
    below = (torch.tensor([0.3, 0.7]) * parts.cdf(torch.tensor(-1.5)).flatten()).sum()
    above = (torch.tensor([0.3, 0.7]) * (1 - parts.cdf(torch.tensor(2.0)).flatten())).sum()
    assert (drawn == -1.5).float().mean().item() == pytest.approx(below.item(), abs=0.01)
    assert (drawn == 2.0).float().mean().item() == pytest.approx(above.item(), abs=0.01)
    at = torch.tensor([-1.5, 2.0]).view(2, 1, 1)
    said = likelihood.log_likelihood(repeated(wide, 2), at).exp()
    assert torch.allclose(said, torch.stack([below, above]), atol=1e-5)
    inside = torch.tensor([0.25]).view(1, 1, 1)
    assert torch.allclose(likelihood.log_likelihood(wide, inside), wide.log_prob(inside))


def test_likelihoods_of_all_commands_add_up_to_one():
    wide = mixture([0.5, 0.5], [-1.0, 0.5], [0.3, 2.0])
    likelihood = Likelihood(Signal((1,), low=(-1.0,), high=(1.0,)))
    points = torch.linspace(-1, 1, 4001).view(-1, 1, 1)
    density = likelihood.log_likelihood(repeated(wide, 4001), points).exp().double()
    inside = torch.trapezoid(density[1:-1], dx=2 / 4000)
    assert (inside + density[0] + density[-1]).item() == pytest.approx(1, abs=2e-3)


def test_a_command_far_beyond_what_is_likely_has_a_finite_gradient():
    mean = torch.tensor([300.0], requires_grad=True)
    component = distributions.Normal(mean.view(1, 1, 1, 1), torch.full((1, 1, 1, 1), 0.01))
    far = distributions.MixtureSameFamily(
        distributions.Categorical(torch.ones(1, 1)), distributions.Independent(component, 2)
    )
    for signal in (Signal((1,), low=(-1.0,), high=(1.0,)), Signal((1,))):
        mean.grad = None
        for value in (-1.0, 1.0, 0.5):
            Likelihood(signal).log_likelihood(far, torch.full((1, 1, 1), value)).sum().backward()
        assert torch.isfinite(mean.grad).all()


def test_the_entropy_of_one_gaussian_is_exact():
    narrow = mixture([1.0], [3.0], [0.2])
    expected = distributions.Normal(3.0, 0.2).entropy()
    assert torch.allclose(Likelihood(Signal((1,))).entropy(narrow), expected)


@pytest.mark.parametrize(
    ("task", "config"),
    [
        ("cart-pole", MlpConfig(width=16, depth=1)),
        ("gym:Pendulum-v1", GaussianConfig(width=16, depth=1)),
        ("cart-pole", LstmConfig(width=8, history=3)),
    ],
)
def test_what_is_drawn_depends_on_seed_and_stream_and_not_on_company(task, config):
    task = make_task(task)
    policy = made(config, task.spec)
    seeds = range(40, 45)

    def played(worlds, stream=0):
        built = [task.build() for _ in range(worlds)]
        return [e.id for e in rollouts(built, Samples(policy, 4, stream), seeds)]

    alone = [next(rollouts([task.build()], Samples(policy, 4), [seed])).id for seed in seeds]
    assert played(1) == played(3) == played(6) == alone
    assert not set(played(3, stream=1)) & set(alone)


def test_noise_goes_on_beyond_the_first_block():
    policy = made(GaussianConfig(width=8, depth=1), make_task("gym:Pendulum-v1").spec)
    world = make_task("gym:Pendulum-v1").build()
    episode = next(rollouts([world], Samples(policy), [1]))
    blocks = [episode.actions[start : start + 64] for start in range(0, 192, 64)]
    assert all(not np.array_equal(a, b) for a, b in pairwise(blocks))


@pytest.mark.parametrize(
    ("config", "spec"),
    [
        (MlpConfig(), CONTINUOUS),
        (LstmConfig(head="l1"), CONTINUOUS),
        (GaussianConfig(horizon=4), CONTINUOUS),
        (MlpConfig(horizon=2), DISCRETE),
        (ActConfig(), CONTINUOUS),
    ],
)
def test_a_policy_that_gives_no_distribution_of_one_action_is_refused(config, spec):
    with pytest.raises(ValueError, match="take gaussian, or lstm"):
        require_stochastic(config.build(spec))
