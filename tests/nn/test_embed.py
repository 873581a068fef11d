import math

import pytest
import torch

from understudy.nn.embed import waves


def test_waves_are_sines_and_cosines_with_periods_in_a_geometric_row():
    values = [0.0, 1.0, 37.5]
    result = waves(torch.tensor(values), 6, longest=100.0)
    rates = [1.0, 0.1, 0.01]
    expected = [
        [math.sin(v * rate) for rate in rates] + [math.cos(v * rate) for rate in rates]
        for v in values
    ]
    torch.testing.assert_close(result, torch.tensor(expected))


def test_the_slowest_wave_turns_once_in_the_longest_period():
    turn = 2 * math.pi * 10_000.0
    slowest = waves(torch.tensor([0.0, turn / 4, turn / 2]).double(), 8)[:, [3, 7]]
    expected = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, -1.0]])
    torch.testing.assert_close(slowest, expected, rtol=0, atol=1e-3)


def test_any_leading_shape_is_kept_and_integers_are_numbers_too():
    whole = waves(torch.arange(6).view(2, 3), 4)
    assert whole.shape == (2, 3, 4)
    assert torch.equal(whole, waves(torch.arange(6.0).view(2, 3), 4))


def test_all_levels_of_a_diffusion_are_told_apart():
    levels = waves(torch.arange(100.0), 64)
    apart = torch.cdist(levels, levels) + 10 * torch.eye(100)
    assert apart.min() > 0.5


@pytest.mark.parametrize("size", [0, 2, 5])
def test_a_size_without_pairs_or_with_one_alone_is_refused(size):
    with pytest.raises(ValueError, match="even and at least 4"):
        waves(torch.zeros(1), size)
