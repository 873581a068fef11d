"""Heads against torch.distributions and plain loops; codes there and back."""

import math

import pytest
import torch
from torch import distributions

from understudy.data.windows import Batch
from understudy.policies.heads import (
    PLAYED_DEVIATION,
    ActionCode,
    Choices,
    Mixture,
    Regression,
    masked_mean,
    mixture,
    positive,
    regression,
)
from understudy.spec import Signal

INPUTS, HORIZON = 6, 3
CONTINUOUS = Signal((2,))
DISCRETE = Signal((2,), "int64", choices=4)
LEAST, MOST = torch.tensor([-3.0, 10.0]), torch.tensor([1.0, 500.0])
MEAN, DEVIATION = torch.tensor([-1.5, 200.0]), torch.tensor([0.5, 70.0])
VALID = torch.tensor([[True, True, True], [True, True, False], [True, False, False]])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def fitted(head):
    """Fit the normaliser to statistics by hand; there are no data here."""
    if head.normalizer is not None:
        head.normalizer.fit(MEAN, DEVIATION, LEAST, MOST)
    return head


def actions_of(count=3):
    return MEAN + DEVIATION * torch.randn(count, HORIZON, 2)


def batch_of(actions, valid=VALID):
    return Batch({}, actions, valid)


def made(modes=3, least=0.05, play="low_noise", **changes):
    return fitted(Mixture(INPUTS, HORIZON, changes.get("signal", CONTINUOUS), modes, least, play))


# --- the mixture


def test_the_likelihood_of_a_mixture_is_that_of_torch_over_the_valid_steps():
    head, features, actions = made(), torch.randn(3, INPUTS), actions_of()
    total = head.loss(features, batch_of(actions))["total"]
    log_likelihood, numbers = 0.0, 0
    for row in range(3):
        steps = int(VALID[row].sum())
        means = head.means(features[row]).view(3, HORIZON, 2)[:, :steps].flatten(1)
        raw = head.deviations(features[row]).view(3, HORIZON, 2)[:, :steps].flatten(1)
        deviations = torch.log1p(raw.exp()) + 0.05
        expected = distributions.MixtureSameFamily(
            distributions.Categorical(logits=head.weights(features[row])),
            distributions.Independent(distributions.Normal(means, deviations), 1),
        )
        shown = ((actions[row, :steps] - MEAN) / DEVIATION).flatten()
        log_likelihood += expected.log_prob(shown).item()
        numbers += 2 * steps
    assert total.item() == pytest.approx(-log_likelihood / numbers, rel=1e-5)


def test_a_mode_stands_for_the_chunk_as_a_whole():
    """Two modes at -1 and 1: a chunk that changes between them is as good as impossible."""
    head = made(modes=2, least=0.01)
    with torch.no_grad():
        for layer in (head.means, head.deviations, head.weights):
            layer.weight.zero_()
            layer.bias.zero_()
        head.means.bias.copy_(torch.tensor([-1.0] * 6 + [1.0] * 6))
        head.deviations.bias.fill_(-3.0)
    features, valid = torch.zeros(1, INPUTS), torch.ones(1, HORIZON, dtype=torch.bool)

    def loss(steps):
        actions = MEAN + DEVIATION * torch.tensor(steps)[:, None].expand(-1, 2)
        return head.loss(features, batch_of(actions[None], valid))["total"].item()

    assert loss([-1.0, -1.0, -1.0]) == pytest.approx(loss([1.0, 1.0, 1.0]), abs=1e-4)
    assert loss([-1.0, 1.0, -1.0]) > loss([1.0, 1.0, 1.0]) + 100


def test_low_noise_follows_a_mode_s_mean_and_draws_modes_by_their_weights():
    head = made(modes=3)
    shares = [0.2, 0.7, 0.1]
    with torch.no_grad():
        head.weights.weight.zero_()
        head.weights.bias.copy_(torch.tensor(shares).log() + 5.0)
    count = 5000
    features = torch.randn(1, INPUTS).expand(count, -1)
    noise = torch.randn(count, head.draws)
    result = (head.actions(features, noise) - MEAN) / DEVIATION  # (count, H, 2)
    means = head.means(features[:1]).view(3, HORIZON, 2)
    distance = (result[:, None] - means).abs().amax((2, 3))  # (count, modes)
    assert distance.amin(1).max() < 6 * PLAYED_DEVIATION
    assert distance.amin(1).max() > 0
    counts = distance.argmin(1).bincount(minlength=3)
    for share, seen in zip(shares, (counts / count).tolist(), strict=True):
        assert seen == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count))
    assert distance.argmin(1)[noise[:, 0] < -0.9].unique().tolist() == [0]  # below 0.18
    assert distance.argmin(1)[noise[:, 0] > 1.4].unique().tolist() == [2]  # above 0.92


def test_noise_far_out_picks_the_first_and_the_last_mode():
    head = made(modes=3)
    noise = torch.zeros(2, head.draws)
    noise[0, 0], noise[1, 0] = -40.0, 40.0
    features = torch.randn(1, INPUTS).expand(2, -1)
    result = (head.actions(features, noise) - MEAN) / DEVIATION
    means = head.means(features[:1]).view(3, HORIZON, 2)
    torch.testing.assert_close(result, means[[0, 2]], rtol=1e-4, atol=1e-5)


def test_sampled_actions_have_the_mean_and_deviation_of_the_distribution():
    head = made(modes=2, play="sample")
    features = torch.randn(1, INPUTS)
    expected = head.distribution(features)
    count = 20_000
    result = head.actions(features.expand(count, -1), torch.randn(count, head.draws))
    deviation = expected.stddev[0]
    torch.testing.assert_close(
        result.mean(0) / deviation, expected.mean[0] / deviation, rtol=0, atol=0.04
    )
    torch.testing.assert_close(result.std(0) / deviation, torch.ones(HORIZON, 2), rtol=0, atol=0.03)
    first, last = (result - expected.mean[0])[:, 0, 0], (result - expected.mean[0])[:, 2, 0]
    theirs = expected.sample(torch.Size([count]))[:, 0] - expected.mean[0]
    covariance = (first * last).mean() / DEVIATION[0] ** 2
    wanted = (theirs[:, 0, 0] * theirs[:, 2, 0]).mean() / DEVIATION[0] ** 2
    assert covariance.item() == pytest.approx(wanted.item(), abs=0.05)


def test_the_distribution_s_density_is_in_the_actions_own_unit():
    head, features = made(), torch.randn(4, INPUTS)
    actions = actions_of(4)
    expected = head.distribution(features)
    assert expected.batch_shape == (4,)
    assert expected.event_shape == (HORIZON, 2)
    valid = torch.ones(1, HORIZON, dtype=torch.bool)
    for row in range(4):
        alone = batch_of(actions[row : row + 1], valid)
        normalised = -head.loss(features[row : row + 1], alone)["total"] * HORIZON * 2
        own = normalised - HORIZON * DEVIATION.log().sum()  # change of variables
        assert expected.log_prob(actions)[row].item() == pytest.approx(own.item(), rel=1e-4)


def test_the_density_of_a_single_number_integrates_to_one_over_its_own_unit():
    head = Mixture(INPUTS, 1, Signal((1,)), 3, 0.05, "low_noise")
    head.normalizer.fit(*(value[1:] for value in (MEAN, DEVIATION, LEAST, MOST)))
    grid = torch.linspace(200 - 20 * 70, 200 + 20 * 70, 40_001)
    features = torch.randn(1, INPUTS)
    density = head.distribution(features).log_prob(grid[:, None, None]).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1.0, abs=1e-3)


def test_deviations_never_fall_below_their_floor():
    head = made(least=0.25)
    with torch.no_grad():
        head.deviations.bias.fill_(-1000.0)
    component = head.distribution(torch.randn(2, INPUTS)).component_distribution
    torch.testing.assert_close(component.stddev, (0.25 * DEVIATION).expand(2, 3, HORIZON, 2))


# --- regression and choices


@pytest.mark.parametrize("error", ["l1", "l2"])
@pytest.mark.parametrize("bounded", [False, True])
def test_the_error_of_a_regression_is_the_mean_over_the_valid_steps(error, bounded):
    head = fitted(Regression(INPUTS, HORIZON, CONTINUOUS, error, bounded))
    features, actions = torch.randn(3, INPUTS), actions_of()
    middle, half = ((LEAST + MOST) / 2, (MOST - LEAST) / 2) if bounded else (MEAN, DEVIATION)
    errors = []
    for row, step in VALID.nonzero().tolist():
        answer = head.last(features[row]).view(HORIZON, 2)[step]
        answer = answer.tanh() if bounded else answer
        wrong = answer - (actions[row, step] - middle) / half
        errors += (wrong.abs() if error == "l1" else wrong**2).tolist()
    total = head.loss(features, batch_of(actions))["total"].item()
    assert total == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_a_bounded_regression_never_leaves_what_was_shown_and_reaches_its_ends():
    head = fitted(Regression(INPUTS, HORIZON, CONTINUOUS, "l1", bounded=True))
    result = head.actions(1e4 * torch.randn(500, INPUTS), torch.zeros(500, 0)).flatten(0, 1)
    slack = 1e-6 * (MOST - LEAST)  # of rounding
    assert (result >= LEAST - slack).all()
    assert (result <= MOST + slack).all()
    torch.testing.assert_close(result.amin(0), LEAST)
    torch.testing.assert_close(result.amax(0), MOST)
    free = fitted(Regression(INPUTS, HORIZON, CONTINUOUS, "l1"))
    assert free.actions(1e4 * torch.randn(500, INPUTS), torch.zeros(500, 0)).max() > 1e4


def test_the_error_of_choices_is_the_cross_entropy_over_the_valid_steps():
    head = Choices(INPUTS, HORIZON, DISCRETE)
    features, actions = torch.randn(3, INPUTS), torch.randint(4, (3, HORIZON, 2))
    losses = head.eval().loss(features, batch_of(actions))
    errors, right = [], []
    for row, step in VALID.nonzero().tolist():
        for number in range(2):
            logits = head.last(features[row]).view(HORIZON, 2, 4)[step, number]
            chosen = actions[row, step, number]
            errors.append(-(logits.exp() / logits.exp().sum()).log()[chosen].item())
            right.append(float(logits.argmax() == chosen))
    assert losses["total"].item() == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert losses["accuracy"].item() == pytest.approx(sum(right) / len(right))
    assert set(head.train().loss(features, batch_of(actions))) == {"total"}


def test_choices_play_the_likeliest_and_give_the_density_of_each_number():
    head = Choices(INPUTS, HORIZON, DISCRETE)
    features = torch.randn(5, INPUTS)
    result = head.actions(features, torch.zeros(5, 0))
    assert result.dtype == torch.int64
    given = head.distribution(features)
    best = given.log_prob(result)
    for _ in range(20):
        assert (given.log_prob(torch.randint(4, (5, HORIZON, 2))) <= best).all()
    expected = head.logits(features).log_softmax(-1).amax(-1).sum((1, 2))
    torch.testing.assert_close(best, expected)


@pytest.mark.parametrize("signal", [CONTINUOUS, DISCRETE])
def test_a_discrete_action_is_classified_whatever_was_asked_for(signal):
    heads = [
        mixture(INPUTS, HORIZON, signal, 2, 0.01, "sample"),
        regression(INPUTS, HORIZON, signal, "l2"),
    ]
    kinds = [Choices, Choices] if signal.choices else [Mixture, Regression]
    assert [type(head) for head in heads] == kinds


# --- codes


@pytest.mark.parametrize("mode", ["min_max", "mean_std"])
def test_a_continuous_action_is_coded_there_and_back(mode):
    code, actions = fitted(ActionCode(CONTINUOUS, mode)), actions_of()
    coded = code.encode(batch_of(actions, torch.ones_like(VALID)))
    assert coded.shape == (3, HORIZON, code.size)
    middle, half = (
        ((LEAST + MOST) / 2, (MOST - LEAST) / 2) if mode == "min_max" else (MEAN, DEVIATION)
    )
    torch.testing.assert_close(coded, (actions - middle) / half)
    torch.testing.assert_close(code.decode(coded), actions)


def test_a_discrete_action_is_one_number_for_each_choice_and_the_greatest_wins():
    code = ActionCode(DISCRETE, "min_max")
    actions = torch.randint(4, (3, HORIZON, 2))
    coded = code.encode(batch_of(actions, torch.ones_like(VALID)))
    assert coded.shape == (3, HORIZON, code.size) == (3, HORIZON, 8)
    assert coded.unique().tolist() == [-1.0, 1.0]
    assert (coded.view(3, HORIZON, 2, 4).sum(-1) == -2).all()
    result = code.decode(coded + torch.empty_like(coded).uniform_(-0.9, 0.9))
    assert result.dtype == torch.int64
    assert torch.equal(result, actions)


@pytest.mark.parametrize("signal", [CONTINUOUS, DISCRETE])
def test_past_the_episode_s_end_a_code_goes_on_with_the_last_action(signal):
    code = fitted(ActionCode(signal, "mean_std"))
    actions = torch.randint(4, (3, HORIZON, 2)) if signal.choices else actions_of()
    result = code.decode(code.encode(batch_of(actions)))
    expected = torch.stack(
        [actions[0], actions[1, [0, 1, 1]], actions[2, [0, 0, 0]]],
    )
    torch.testing.assert_close(result, expected)


# --- means


def test_the_masked_mean_counts_each_valid_step_once():
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 1000.0], [6.0, 1000.0, 1000.0]])
    assert masked_mean(values, VALID).item() == pytest.approx((1 + 2 + 3 + 4 + 5 + 6) / 6)
    assert masked_mean(values[:, :1], VALID[:, :1]).item() == pytest.approx(11 / 3)


def test_steps_past_the_end_give_no_gradient():
    values = torch.randn(3, HORIZON, requires_grad=True)
    masked_mean(values, VALID).backward()
    torch.testing.assert_close(values.grad, VALID.float() / 6)


HEADS = {
    "regression": lambda: regression(INPUTS, HORIZON, CONTINUOUS, "l2"),
    "mixture": lambda: mixture(INPUTS, HORIZON, CONTINUOUS, 3, 1e-2, "sample"),
}


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_a_head_answers_in_float32_where_the_network_computes_in_bfloat16(kind):
    head, features = fitted(HEADS[kind]()), torch.randn(5, INPUTS).bfloat16()
    noise = torch.zeros(5, head.draws)
    expected = head.actions(features.float(), noise)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head.actions(features, noise), expected)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_number_has_the_same_softplus_wherever_it_stands(size):
    values = torch.randn(200, 16, size, generator=torch.Generator().manual_seed(0)) * 10
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    for one in values:
        assert torch.equal(positive(one[order]), positive(one)[order])
    torch.testing.assert_close(positive(values), torch.nn.functional.softplus(values))
