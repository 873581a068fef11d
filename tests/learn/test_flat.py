import pytest
import torch
from torch import nn

from understudy.learn.flat import FlatParameters, unflatten


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.SiLU(), nn.LayerNorm(5), nn.Linear(5, 2))


def test_a_module_computes_the_same_after_its_parameters_were_moved():
    module, inputs = network(), torch.randn(4, 3)
    before = module(inputs)
    FlatParameters(module)
    assert torch.equal(module(inputs), before)


def test_gradients_arrive_in_the_flat_vector():
    module, inputs = network(), torch.randn(4, 3)
    module(inputs).square().sum().backward()
    expected = {name: p.grad.clone() for name, p in module.named_parameters()}
    module.zero_grad()
    flat = FlatParameters(module)
    module(inputs).square().sum().backward()
    for name, gradient in unflatten(module, flat.gradients).items():
        torch.testing.assert_close(gradient, expected[name])


def test_matrices_come_first_and_they_alone_decay():
    flat = FlatParameters(network())
    assert flat.decayed == 3 * 5 + 5 * 2
    assert flat.values.numel() == flat.decayed + 5 + 5 + 5 + 2


def test_other_weights_can_be_tried_and_the_own_ones_come_back():
    module, inputs = network(), torch.randn(4, 3)
    before = module(inputs)
    flat = FlatParameters(module)
    with flat.replaced_by(torch.zeros_like(flat.values)):
        assert not module(inputs).any()
    assert torch.equal(module(inputs), before)


def test_parameters_of_another_dtype_are_refused():
    with pytest.raises(ValueError, match="float32"):
        FlatParameters(network().double())
