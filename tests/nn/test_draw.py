import torch

from understudy.nn.draw import normal


def test_they_are_the_numbers_that_torch_draws():
    torch.manual_seed(3)
    expected = torch.randn(5, 16) / 10, torch.nn.Embedding(3, 7).weight
    torch.manual_seed(3)
    assert torch.equal(normal(5, 16, over=10), expected[0])
    assert torch.equal(normal(3, 7), expected[1])


def test_where_there_are_no_numbers_there_is_the_shape():
    with torch.device("meta"):
        drawn = normal(5, 16)
    assert drawn.is_meta
    assert drawn.shape == (5, 16)
