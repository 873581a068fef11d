"""What is particular to recurrent policies: the window's order, and that nothing else is remembered."""

import numpy as np
import pytest
import torch
from torch import nn

from tests import demonstrations
from understudy.data.store import Dataset
from understudy.data.windows import Windows
from understudy.episode import Episode
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies.lstm import LstmConfig
from understudy.spec import STATE, Signal, Spec


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lstm") / "data"
    made = demonstrations.dataset(folder, demonstrations.CONTINUOUS)
    return Windows(made, history=4, horizon=3)


@pytest.fixture(scope="module")
def choices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choices") / "data"
    made = demonstrations.dataset(folder, demonstrations.DISCRETE)
    return Windows(made, history=4, horizon=3)


def prepared(windows, **changes):
    torch.manual_seed(0)
    sizes = {"history": windows.history, "horizon": windows.horizon, "width": 16}
    policy = LstmConfig(**sizes | changes).build(windows.spec)
    policy.prepare(windows)
    return policy.eval()


def predicted(policy, observations):
    count = len(observations[STATE])
    noise = torch.zeros(count, *policy.noise_shape)
    with torch.no_grad():
        return policy.predict(observations, noise)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("head", ["mixture", "l1"])
def test_the_order_of_the_observations_matters_and_each_of_them_does(cell, head, windows):
    policy = prepared(windows, cell=cell, head=head, modes=1)
    seen = windows.gather(np.arange(8, 14)).observations
    before = predicted(policy, seen)
    turned = dict(seen)
    for key in windows.spec.observations:
        turned[key] = seen[key][:, [1, 0, 2, 3]]  # the newest stays the newest
    assert (predicted(policy, turned) - before).abs().amax((1, 2)).min() > 1e-4
    for tick in range(4):
        changed = dict(seen)
        changed[STATE] = seen[STATE].clone()
        changed[STATE][:, tick] += 1.0
        assert (predicted(policy, changed) - before).abs().amax((1, 2)).min() > 1e-5


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_answer_is_the_head_s_for_the_last_state_from_zero_states(cell, kind, layers, windows):
    policy = prepared(windows, cell=cell, layers=layers, head="l2")
    assert isinstance(policy.network, kind)
    seen = windows.gather(np.arange(8, 14)).observations
    numbers = policy.input(seen)  # (B, K, F)
    state = torch.zeros(layers, 6, 16)
    given = (state, state) if cell == "lstm" else state
    for tick in range(4):  # one tick at a time, the state carried on
        output, given = policy.network(numbers[:, tick : tick + 1], given)
    expected = policy.head.actions(output[:, 0], torch.zeros(6, 0))
    torch.testing.assert_close(predicted(policy, seen), expected.detach())


def test_nothing_is_remembered_from_one_question_to_the_next(windows):
    policy = prepared(windows)
    first, second = (windows.gather(np.arange(a, a + 5)).observations for a in (0, 20))
    alone = predicted(policy, second)
    predicted(policy, first)
    assert torch.equal(predicted(policy, second), alone)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_only_the_first_observation_shows_is_learnt(cell, tmp_path):
    """A light at the episode's beginning says which way to go; then it is dark."""
    spec = Spec({STATE: Signal((1,))}, Signal((1,)), 10.0, "remember")
    made = Dataset.create(tmp_path / "data", spec)
    for seed, light in enumerate((-1.0, 1.0)):
        made.append(
            Episode(
                observations={STATE: np.array([[light], [0.0], [0.0]])},
                actions=np.array([[0.0], [0.0], [light]]),
                rewards=np.zeros(3),
                time_s=np.arange(3) / 10,
                terminated=True,
                truncated=False,
                task="remember",
                seed=seed,
            )
        )
    windows = Windows(made, history=3, horizon=1, batch_size=32)
    policy = prepared(windows, cell=cell, head="l2")
    *_, last = learn(
        policy, windows, LearnConfig(steps=200, batch_size=32, learning_rate=1e-2, ema_decay=0.9)
    )
    policy.load_state_dict(averaged_weights(policy, last.state))
    answers = predicted(policy.eval(), windows.gather(np.array([2, 5])).observations)
    torch.testing.assert_close(answers.flatten(), torch.tensor([-1.0, 1.0]), rtol=0, atol=0.1)


@pytest.mark.parametrize("head", ["l1", "l2"])
def test_a_regression_has_no_distribution(head, windows):
    policy = prepared(windows, head=head)
    assert policy.noise_shape == (0,)
    with pytest.raises(TypeError, match=f"head='{head}'.*no distribution"):
        policy.distribution(windows.gather(np.arange(2)).observations)


def test_a_mixture_has_a_distribution_and_its_loss_is_its_likelihood(windows):
    policy, batch = prepared(windows, modes=3), windows.gather(np.arange(5))
    assert policy.noise_shape == (3 * 2 + 1,)
    given = policy.distribution(batch.observations)
    assert batch.valid.all()
    jacobian = 3 * policy.head.normalizer.scale.log().sum()
    expected = -(given.log_prob(batch.actions) + jacobian).mean() / 6
    assert policy.loss(batch)["total"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("head", ["mixture", "l1"])
def test_a_discrete_action_has_a_distribution_whatever_the_head(head, choices):
    policy, batch = prepared(choices, head=head), choices.gather(np.arange(5))
    given = policy.distribution(batch.observations)
    likeliest = predicted(policy, batch.observations)
    assert likeliest.dtype == torch.int64
    others = (likeliest + 1) % 3
    assert (given.log_prob(likeliest) > given.log_prob(others)).all()


@pytest.mark.parametrize("wrong", [{"layers": 0}, {"width": 0}, {"modes": 0}, {"history": 0}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LstmConfig(**wrong)


@pytest.mark.parametrize("floor", [0.0, float("nan")])
def test_a_floor_that_is_none_is_refused(floor):
    with pytest.raises(ValueError, match="least_deviation"):
        LstmConfig(least_deviation=floor)
