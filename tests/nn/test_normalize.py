import pytest
import torch

from understudy.nn.normalize import Normalizer


def fitted(rows, mode):
    normalizer = Normalizer(rows.shape[1], mode)
    wide = rows.double()
    normalizer.fit(wide.mean(0), wide.std(0, correction=0), wide.amin(0), wide.amax(0))
    return normalizer


@pytest.mark.parametrize("mode", ["mean_std", "min_max"])
def test_there_and_back_is_the_same_value(mode):
    rows = torch.randn(50, 3) * torch.tensor([1.0, 1e3, 1e-3]) + 7
    normalizer = fitted(rows, mode)
    torch.testing.assert_close(normalizer.inverse(normalizer(rows)), rows)


def test_min_max_fills_the_box_exactly():
    scaled = fitted(torch.tensor([[2.0], [4.0], [10.0]]), "min_max")(torch.tensor([[2.0], [10.0]]))
    assert scaled.tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("mode", ["mean_std", "min_max"])
def test_a_constant_dimension_is_shifted_and_not_blown_up(mode):
    normalizer = fitted(torch.full((10, 1), 300.0), mode)
    assert normalizer(torch.tensor([[300.0], [300.5]])).tolist() == [[0.0], [0.5]]


@pytest.mark.parametrize("mode", ["mean_std", "min_max"])
def test_what_hardly_moved_is_not_magnified_without_end(mode):
    resting = 1 + 1e-5 * torch.randn(100, 1)
    drifted = fitted(resting, mode)(torch.tensor([[1.01]]))
    assert 9 < float(drifted) < 11
    fine = torch.tensor([[0.0], [1e-5]])  # small, and all that there is
    assert fitted(fine, "min_max")(fine).tolist() == [[-1.0], [1.0]]


def test_a_normaliser_that_was_never_fitted_raises():
    with pytest.raises(RuntimeError, match="prepare"):
        Normalizer(2, "mean_std")(torch.zeros(1, 2))
