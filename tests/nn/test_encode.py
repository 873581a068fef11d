import torch

from understudy.nn.encode import PiecewiseLinear


def test_each_bin_rises_from_0_to_1_between_its_quantiles():
    encoding = PiecewiseLinear(1, bins=4)
    encoding.fit(torch.linspace(0, 4, 101)[:, None])
    values = encoding(torch.tensor([[0.0], [1.5], [4.0], [9.0]]))[:, 1:5]
    expected = [[0, 0, 0, 0], [1, 0.5, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    torch.testing.assert_close(values, torch.tensor(expected, dtype=torch.float32))


def test_a_value_that_recurs_is_told_apart_from_its_nearest_neighbour():
    generator = torch.Generator().manual_seed(0)
    velocity = torch.randn(2000, generator=generator)
    velocity[:50] = 0.0
    encoding = PiecewiseLinear(1, bins=8)
    encoding.fit(velocity[:, None])
    nearest = velocity[velocity > 0].min()
    zero, near = encoding(torch.tensor([[0.0], [float(nearest)]]))
    assert (zero - near).abs().max() > 0.99


def test_a_constant_dimension_is_encoded_without_division_by_zero():
    encoding = PiecewiseLinear(2, bins=8)
    encoding.fit(torch.stack([torch.full((100,), 3.0), torch.randn(100)], 1))
    assert torch.isfinite(encoding(torch.tensor([[3.0, 0.1], [4.0, 5.0]]))).all()


def test_the_size_does_not_depend_on_the_data():
    encoding = PiecewiseLinear(3, bins=8)
    encoding.fit(torch.randn(500, 3))
    assert encoding(torch.randn(2, 7, 3)).shape == (2, 7, encoding.outputs)
