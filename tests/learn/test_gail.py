"""GAIL's parts against their definitions, and all of it on a pole that is to be held up."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.demonstrations import CAMERA, DISCRETE, dataset, made_up
from tests.learn.test_taught import helped
from tests.worlds import CountWorld
from understudy.actor import Expert
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.learn.discriminator import Coder, Shaped, StateAction, Transitions, scale_of
from understudy.learn.gail import (
    Adversary,
    GailConfig,
    begun,
    demonstrations_in,
    gail,
    paid,
    steepness,
)
from understudy.learn.played import played
from understudy.learn.ppo import PpoConfig
from understudy.learn.recipes import RECIPES
from understudy.nn.running import RunningMoments
from understudy.policies.gaussian import GaussianConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.spec import STATE, Signal
from understudy.tasks import make_task

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def poles(tmp_path_factory):
    """Ten demonstrations of holding a pole up."""
    task = make_task("cart-pole")
    made = Dataset.create(tmp_path_factory.mktemp("poles") / "data", task.spec)
    for episode in Here().rollouts(task, ExpertActor(), range(10)):
        made.append(episode)
    return made


def transitions(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    states, actions, following = (
        torch.randn(count, size, generator=generator) for size in (4, 2, 4)
    )
    return Transitions(states, actions, following, torch.randn(count), torch.ones(count))


def test_rewards_are_those_of_the_papers():
    logits = torch.tensor([-3.0, 0.0, 2.0])
    expert = torch.sigmoid(logits)
    assert torch.allclose(paid(logits, "positive"), -torch.log(1 - expert))
    assert torch.allclose(paid(logits, "negative"), torch.log(expert))
    assert torch.allclose(
        paid(logits, "both"), torch.log(expert) - torch.log(1 - expert), atol=1e-6
    )
    assert (paid(logits, "positive") > 0).all()
    assert (paid(logits, "negative") < 0).all()


def test_the_shaped_discriminator_is_airls():
    network = Shaped(4, 0.9, 8, "none")
    rows = transitions(5)
    shaping = 0.9 * network.potential(rows.following) - network.potential(rows.states)
    advantage = (network.reward(rows.states) + shaping)[:, 0]
    expected = advantage.exp() / (advantage.exp() + rows.likelihoods.exp())
    assert torch.allclose(torch.sigmoid(network(rows)), expected, atol=1e-6)


def test_the_penalty_is_that_of_the_gradient_which_small_steps_show():
    torch.manual_seed(0)
    network = StateAction(4, 2, 8, "none").double()
    rows = transitions(3)
    parts = [p.double() for p in (rows.states, rows.actions, rows.following)]
    rows = Transitions(*parts, rows.likelihoods.double(), rows.weights)
    norms = []
    for row in range(3):
        slopes = []
        for part, size in ((0, 4), (1, 2)):
            for element in range(size):
                moved = [p.clone() for p in parts]
                moved[part][row, element] += 1e-6
                there = network(Transitions(*moved, rows.likelihoods, rows.weights))[row]
                slopes.append(((there - network(rows)[row]) / 1e-6).item())
        norms.append(np.linalg.norm(slopes))
    expected = np.mean((np.array(norms) - 1) ** 2)
    assert steepness(network, rows).item() == pytest.approx(expected, rel=1e-4)


def test_a_spectral_norm_keeps_every_layer_from_stretching():
    torch.manual_seed(0)
    network = StateAction(4, 2, 16, "spectral_norm")
    for layer in list(network.network)[::2]:
        layer.weight  # noqa: B018  # each look takes one more step of the power iteration
    widths = [torch.linalg.matrix_norm(layer.weight, 2) for layer in list(network.network)[::2]]
    assert all(width < 1.1 for width in widths)


def test_episodes_that_were_terminated_go_on_in_an_absorbing_state():
    policy = MlpConfig(width=8, depth=1).build(DISCRETE)
    ended, cut = made_up(DISCRETE, 0, 3), made_up(DISCRETE, 1, 5)
    final = {STATE: np.ones(3, np.float32)}
    ended = replace(ended, final_observation=final)
    cut = replace(cut, terminated=False, truncated=True, final_observation=final)
    rows = played([e.check(DISCRETE) for e in (ended, cut)], DISCRETE, history=1)
    vectors = rows.batch.observations[STATE][:, -1]
    coder = Coder(policy.spec.action, RunningMoments(3), (torch.zeros(1), torch.ones(1)))
    coded = coder.code(rows, vectors, torch.zeros(8), horizon=10)
    absorbed = torch.tensor([0.0, 0.0, 0.0, 1.0])
    assert coded.states.shape == (9, 4)
    assert coded.weights.tolist() == [1.0] * 8 + [7.0]  # 3 of 10 ticks were played
    assert torch.equal(coded.states[8], absorbed)
    assert torch.equal(coded.following[8], absorbed)
    assert torch.equal(coded.following[2], absorbed)  # what the last action of `ended` led to
    assert coded.following[7].tolist() == [1.0, 1.0, 1.0, 0.0]  # time ran out: it led somewhere
    assert coded.states[:8, 3].tolist() == [0.0] * 8
    assert coded.actions[:8].sum(1).tolist() == [1.0] * 8  # one of three
    assert coded.actions[8].tolist() == [0.0] * 3
    assert torch.equal(coder.absorbed(3).states[0], absorbed)


def test_actions_are_seen_between_their_limits():
    shown = torch.tensor([[0.0, 5.0], [4.0, 5.0]])
    middle, half = scale_of(Signal((2,), low=(-2.0, -np.inf), high=(2.0, np.inf)), shown)
    assert middle.tolist() == [0.0, 5.0]
    assert half.tolist() == [2.0, 1.0]
    assert scale_of(Signal((2,)), shown)[0].tolist() == [2.0, 5.0]


@pytest.mark.parametrize("shown_ends", [True, False])
def test_ending_is_worth_what_the_expert_makes_of_it(poles, shown_ends):
    """The expert's episodes end, or never do: being absorbed then pays, or costs."""
    task = make_task("cart-pole")
    policy = begun(MlpConfig(width=16, depth=1), poles, GailConfig(), seed=0)
    expert = played([poles[i] for i in range(3)], policy.spec, 1)
    expert = replace(expert, terminated=np.full(3, shown_ends), lengths=expert.lengths)
    adversary = Adversary(
        policy, expert, GailConfig(updates=100, penalty=1.0), PpoConfig(discount=0.9)
    )
    random = list(rollouts([task.build()], Chunks(policy), range(20_000, 20_010)))
    tries = played(random, policy.spec, 1)
    tries = replace(tries, terminated=np.full(10, not shown_ends))
    adversary._counts[1] = 1000  # how long an episode may be
    judged = adversary.judge(tries, lambda rows: torch.zeros(rows.ticks))
    assert (judged.facts["absorbed"] > 0) == shown_ends
    assert judged.facts["accuracy"] > 0.7
    assert judged.rewards.shape == (tries.ticks,)
    assert torch.allclose(
        judged.after, torch.full((10,), 0.0 if shown_ends else 10 * judged.facts["absorbed"])
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"reward": "positive", "regulariser": "none", "pairs": 512}, {"method": "airl"}],
    ids=["recipe", "positive", "airl"],
)
def test_it_learns_to_hold_a_pole_up_from_demonstrations_alone(poles, changes):
    task, recipe = make_task("cart-pole"), RECIPES["cart-pole"]
    config = GailConfig(**{**recipe.gail, **changes})
    practice = PpoConfig(**{**recipe.practice, "steps": 12_000})
    policy = begun(MlpConfig(width=64, depth=2), poles, config, seed=0)
    reports = list(gail(policy, poles, task, config, practice))
    assert reports[0].mean_return < 60
    assert max(report.mean_return for report in reports) > 150
    assert all(0 <= report.facts["accuracy"] <= 1 for report in reports)


def test_what_was_cloned_begins_well_and_stays_so(poles):
    task = make_task("cart-pole")
    config = GailConfig(**{**RECIPES["cart-pole"].gail, "clone_steps": 300})
    practice = PpoConfig(steps=6_000, critic_rounds=1, learning_rate=3e-4)
    policy = begun(MlpConfig(width=64, depth=2), poles, config, seed=0)
    key = "input.vectors.encoders.0.scale"
    scale = policy.state_dict()[key].clone()
    reports = list(gail(policy, poles, task, config, practice, adapts=False))
    assert min(report.mean_return for report in reports) > 300
    assert torch.equal(policy.state_dict()[key], scale)


def test_it_goes_on_from_a_report_to_the_same_bits(poles):
    task = make_task("cart-pole")
    config = GailConfig(updates=4, regulariser="spectral_norm", memory=300)
    practice = PpoConfig(steps=800, steps_per_round=150, epochs=2)
    whole = begun(MlpConfig(width=8, depth=1), poles, config, seed=0)
    *_, end = gail(whole, poles, task, config, practice)
    half_way = begun(MlpConfig(width=8, depth=1), poles, config, seed=0)
    reports = gail(half_way, poles, task, config, practice)
    half = [next(reports) for _ in range(3)][-1]
    state = replace(half.state, tensors={k: v.clone() for k, v in half.state.tensors.items()})
    resumed = begun(MlpConfig(width=8, depth=1), poles, config, seed=1)
    resumed.load_state_dict(half_way.state_dict())
    *_, again = gail(resumed, poles, task, config, practice, resume=state)
    for name, value in end.state.tensors.items():
        assert torch.equal(value, again.state.tensors[name]), name


def test_from_the_second_round_on_it_is_compared_with_what_it_did_before_as_well(poles):
    policy = begun(MlpConfig(width=8, depth=1), poles, GailConfig(), seed=0)
    rounds = [played([poles[i]], policy.spec, 1) for i in range(3)]
    learnt = {}
    for memory in (0, 10_000):
        adversary = Adversary(policy, rounds[0], GailConfig(memory=memory), PpoConfig())
        learnt[memory] = []
        for tried in rounds[1:]:
            adversary.judge(tried, lambda rows: torch.zeros(rows.ticks))
            learnt[memory].append([value.clone() for value in adversary.network.parameters()])
    first, second = (
        [torch.equal(a, b) for a, b in zip(*pair, strict=True)]
        for pair in zip(*learnt.values(), strict=True)
    )
    assert all(first)
    assert not any(second)


def test_from_nothing_all_between_the_limits_is_tried(tmp_path):
    task = make_task("pendulum")
    timid = Dataset.create(tmp_path / "timid", task.spec)
    for episode in Here().rollouts(task, ExpertActor(), range(2)):
        timid.append(replace(episode, actions=0.01 * np.asarray(episode.actions)))
    policy = begun(GaussianConfig(width=8, depth=1, modes=1), timid, GailConfig(), seed=0)
    drawn = policy.distribution({STATE: torch.zeros(1, 1, 3)}).sample((500,))
    assert drawn.std() > 1.0  # of a torque within 2 N m


def test_only_what_the_expert_did_alone_is_shown(tmp_path):
    data = helped(tmp_path / "data")
    data.append(next(rollouts([CountWorld()], Expert(), [1])))
    assert demonstrations_in(data).tolist() == [0, 2]
    data.annotate(0, exclude=True)
    assert demonstrations_in(data).tolist() == [2]
    data.annotate(2, exclude=True)
    with pytest.raises(ValueError, match="no demonstrations: 1 of its 3 episodes"):
        begun(GaussianConfig(width=8, depth=1), data, GailConfig(), seed=0)


def test_what_cannot_be_done_is_refused(poles, tmp_path):
    with pytest.raises(ValueError, match="airl's reward"):
        GailConfig(method="airl", reward="positive")
    with pytest.raises(ValueError, match="updates must be at least 1"):
        GailConfig(updates=0)
    pictures = dataset(tmp_path / "pictures", CAMERA)
    with pytest.raises(ValueError, match="take gaussian"):
        begun(MlpConfig(), pictures, GailConfig(), seed=0)
    policy = begun(GaussianConfig(width=8, depth=1), pictures, GailConfig(), seed=0)
    blind = dataset(tmp_path / "blind", CAMERA.only(CAMERA.cameras))
    with pytest.raises(ValueError, match=r"needs vectors.*show only observation\.images\.front"):
        begun(GaussianConfig(), blind, GailConfig(), seed=0)
    with pytest.raises(ValueError, match="do not fit together"):
        next(gail(policy, pictures, make_task("cart-pole"), GailConfig(), PpoConfig()))
