"""The residual network against its formula written out with loops."""

import pytest
import torch

from understudy.nn.embed import waves
from understudy.nn.residual import ResidualNetwork


def inputs(count=3, horizon=5, actions=2, condition=4, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, horizon, actions, generator=generator),
        torch.rand(count, generator=generator),
        torch.randn(count, condition, generator=generator),
    )


def small(horizon=5, **sizes):
    torch.manual_seed(0)
    return ResidualNetwork(2, horizon, 4, **{"width": 8, "depth": 3, "time_features": 6} | sizes)


def standardised(token):
    return (token - token.mean()) / (token.var(correction=0) + 1e-5).sqrt()


def silu(values):
    return values / (1 + (-values).exp())


def written_out(network, actions, time, condition):
    """One chunk (H, A), one time, one condition (G,): every token and channel by itself."""
    horizon, width = network.position.shape
    seen = network.seen(torch.cat([waves(100 * time, network.time_features), condition]))
    film = network.film(seen).view(len(network.blocks), 4, width)
    tokens = [
        network.first.weight @ actions[t] + network.first.bias + network.position[t]
        for t in range(horizon)
    ]
    for block, (first, second, third, fourth) in zip(network.blocks, film, strict=True):
        read = [standardised(token) * (1 + first) + second for token in tokens]
        weight, bias = block.over_time.weight, block.over_time.bias
        mixed = [sum(weight[t, s] * read[s] for s in range(horizon)) for t in range(horizon)]
        tokens = [token + silu(mixed[t] + bias[t]) for t, token in enumerate(tokens)]
        for t in range(horizon):
            read_again = standardised(tokens[t]) * (1 + third) + fourth
            tokens[t] = tokens[t] + block.narrow(silu(block.widen(read_again)))
    return torch.stack([network.last(token) for token in tokens])


def test_the_answer_is_the_formula_s():
    network, (actions, time, condition) = small(), inputs()
    result = network(actions, time, condition)
    assert result.shape == actions.shape
    for row in range(len(actions)):
        expected = written_out(network, actions[row], time[row], condition[row])
        torch.testing.assert_close(result[row], expected, rtol=1e-4, atol=1e-5)


def test_condition_time_and_actions_each_change_the_answer_of_their_own_row_alone():
    network, given, others = small(), inputs(), inputs(seed=2)
    before = network(*given)
    for which in range(3):
        changed = [value.clone() for value in given]
        changed[which][1] = others[which][1]
        difference = (network(*changed) - before).abs().amax((1, 2))
        assert difference[1] > 1e-3
        torch.testing.assert_close(difference[[0, 2]], torch.zeros(2), rtol=0, atol=1e-6)


def test_each_action_of_a_chunk_sees_all_the_others_and_knows_its_place():
    network, (actions, time, condition) = small(), inputs(count=1)
    actions.requires_grad_()
    answer = network(actions, time, condition)
    for place in range(5):
        [seen] = torch.autograd.grad(answer[0, place, 0], actions, retain_graph=True)
        assert seen.all()
    turned = network(actions.flip(1), time, condition).flip(1)
    assert (turned - answer).abs().max() > 1e-2


def test_the_way_around_the_blocks_is_never_interrupted():
    shallow, deep = small(depth=1), small(depth=6)
    for network in (shallow, deep):
        for block in network.blocks:
            for layer in (block.over_time, block.narrow):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
    actions, time, condition = inputs()
    for network in (shallow, deep):
        untouched = network.last(network.first(actions) + network.position)
        assert torch.equal(network(actions, time, condition), untouched)


def test_a_chunk_of_one_action_works():
    assert small(horizon=1)(*inputs(horizon=1)).shape == (3, 1, 2)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depth": 0}])
def test_sizes_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        small(**wrong)
