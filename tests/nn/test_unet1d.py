"""The U-Net against torch's own layers, laid out as they were published."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from understudy.nn.embed import waves
from understudy.nn.unet1d import TemporalConvolution, UNet1d


def convolved(layer, values):
    """What torch's convolution gives with the weights of `layer`; (B, C, T) to the same."""
    kernel = layer.weight.view(-1, layer.kernel, layer.inputs).transpose(1, 2)  # (out, in, kernel)
    return functional.conv1d(
        values, kernel, layer.bias, stride=layer.stride, padding=layer.kernel // 2
    )


def published(network, actions, time, condition):
    """The same network with channels first, block by block (Chi et al. 2023)."""
    instant = network.time(waves(100 * time, network.time_features))
    films = network.film(functional.silu(torch.cat([instant, condition], 1)))
    taken = 0

    def through(pair, values):
        nonlocal taken
        for block in pair:
            outputs = block.second[0].weight.shape[0]
            scale, bias = films[:, taken : taken + 2 * outputs, None].split(outputs, 1)
            taken += 2 * outputs
            hidden = normalised(block.first, convolved(block.first[0], values))
            hidden = normalised(
                block.second, convolved(block.second[0], hidden * (1 + scale) + bias)
            )
            if isinstance(block.around, nn.Linear):
                around = block.around
                values = functional.conv1d(values, around.weight[..., None], around.bias)
            values = hidden + values
        return values

    def normalised(layers, values):
        norm = layers[1]
        return functional.silu(
            functional.group_norm(values, norm.num_groups, norm.weight, norm.bias)
        )

    values, kept = actions.transpose(1, 2), []
    for level, pair in enumerate(network.down):
        values = through(pair, values)
        kept.append(values)
        if level < len(network.shorten):
            values = convolved(network.shorten[level], values)
    values = through(network.middle, values)
    for pair, lengthen in zip(network.up, network.lengthen, strict=True):
        values = through(pair, torch.cat([values, kept.pop()], 1))
        kernel = lengthen.weight.view(2, -1, lengthen.in_features).permute(2, 1, 0)
        values = functional.conv_transpose1d(values, kernel, stride=2)
        values = values + lengthen.bias.view(2, -1).T.repeat(1, values.shape[2] // 2)
    last = network.last
    values = normalised(last, convolved(last[0], values))
    assert taken == films.shape[1]
    return last[3](values.transpose(1, 2))


def inputs(count, horizon, actions, condition, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(count, horizon, actions, generator=generator),
        torch.rand(count, generator=generator),
        torch.randn(count, condition, generator=generator),
    )


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("ticks", [8, 7])
def test_the_convolution_is_that_of_torch_in_training_and_in_use(kernel, stride, ticks):
    layer = TemporalConvolution(3, 4, kernel, stride)
    values = torch.randn(2, ticks, 3)
    expected = convolved(layer, values.transpose(1, 2)).transpose(1, 2)
    assert expected.shape == (2, -(-ticks // stride), 4)
    torch.testing.assert_close(layer(values), expected)
    with torch.no_grad():
        torch.testing.assert_close(layer(values), expected)


@pytest.mark.parametrize("is_low", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradients_of_the_convolution_are_those_of_torch(stride, is_low):
    layer = TemporalConvolution(6, 8, 5, stride)
    values = torch.randn(4, 8, 6, requires_grad=True)
    weight = torch.randn(4, 8 // stride, 8)
    leaves = (values, layer.weight, layer.bias)
    expected = convolved(layer, values.transpose(1, 2)).transpose(1, 2)
    wanted = torch.autograd.grad((expected * weight).sum(), leaves)
    with torch.autocast("cpu", torch.bfloat16, enabled=is_low):
        result = layer(values)
    assert result.dtype == (torch.bfloat16 if is_low else torch.float32)
    torch.testing.assert_close(result.float(), expected, **near(expected, is_low))
    for ours, theirs in zip(
        torch.autograd.grad((result.float() * weight).sum(), leaves), wanted, strict=True
    ):
        torch.testing.assert_close(ours, theirs, **near(theirs, is_low))


def near(values, is_low):
    """bfloat16 keeps eight bits: a hundredth of the largest number, else the usual tolerance."""
    return {"rtol": 0.0, "atol": 0.02 * values.abs().max().item()} if is_low else {}


@pytest.mark.parametrize("widths", [(8,), (8, 16), (16, 8, 24)])
def test_the_network_is_the_published_one_forward_and_backward(widths):
    network = UNet1d(2, 5, widths, kernel=3, groups=2, time_features=8)
    given = inputs(3, 16, 2, 5)
    weight = torch.randn(3, 16, 2)
    results, gradients = [], []
    for answer in (network(*given), published(network, *given)):
        network.zero_grad()
        (answer * weight).sum().backward()
        results.append(answer.detach())
        gradients.append({key: p.grad.clone() for key, p in network.named_parameters()})
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)
    assert all(value.any() for value in gradients[0].values())
    for key, value in gradients[0].items():
        scale = gradients[1][key].abs().max().item()
        torch.testing.assert_close(value, gradients[1][key], rtol=1e-3, atol=1e-5 * (1 + scale))
    with torch.no_grad():
        torch.testing.assert_close(network(*given), results[1], rtol=1e-4, atol=1e-5)


def test_in_bfloat16_the_answer_stays_near():
    network = UNet1d(2, 5, (16, 32))
    given = inputs(4, 8, 2, 5)
    with torch.no_grad():
        expected = network(*given)
        with torch.autocast("cpu", torch.bfloat16):
            result = network(*given).float()
    assert not torch.equal(result, expected)
    assert (result - expected).square().mean().sqrt() < 0.1 * expected.std()


@pytest.mark.parametrize(
    ("widths", "horizon"), [((8,), 1), ((8,), 5), ((8, 16), 6), ((8, 8, 8), 4)]
)
@pytest.mark.parametrize("count", [2, 7])
def test_a_chunk_keeps_its_shape(widths, horizon, count):
    network = UNet1d(3, 4, widths)
    given = inputs(count, horizon, 3, 4)
    assert network(*given).shape == (count, horizon, 3)


def test_condition_time_and_actions_each_change_the_answer_of_their_own_row_alone():
    network = UNet1d(2, 5, (8, 16))
    given, others = inputs(3, 8, 2, 5, seed=1), inputs(3, 8, 2, 5, seed=2)
    before = network(*given)
    for which in range(3):
        changed = [value.clone() for value in given]
        changed[which][1] = others[which][1]
        difference = (network(*changed) - before).abs().amax((1, 2))
        assert difference[1] > 1e-3
        torch.testing.assert_close(difference[[0, 2]], torch.zeros(2), rtol=0, atol=1e-5)


def test_each_action_of_a_chunk_sees_all_the_others():
    network = UNet1d(1, 2, (8, 16, 16))
    actions, time, condition = inputs(1, 8, 1, 2)
    actions.requires_grad_()
    answer = network(actions, time, condition)[0, :, 0]
    for place in range(8):
        [seen] = torch.autograd.grad(answer[place], actions, retain_graph=True)
        assert seen.all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernel": 4},
        {"kernel": 0},
        {"kernel": -1},
        {"widths": ()},
        {"widths": (8, 12)},
        {"widths": (0, 8)},
        {"widths": (-8,)},
    ],
)
def test_a_kernel_or_widths_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="multiples of 8 and the kernel odd"):
        UNet1d(2, 3, **wrong)
