import torch

from understudy.nn.running import RunningMoments


def test_moments_of_parts_are_those_of_the_whole():
    rows = torch.randn(1000, 3, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1]) + 7
    moments = RunningMoments(3)
    for part in rows.split([1, 99, 400, 500]):
        moments.update(part)
    assert torch.allclose(moments.mean, rows.mean(0))
    assert torch.allclose(moments.square, rows.var(0, correction=0))
    standard = moments(rows.float())
    assert standard.mean(0).abs().max() < 1e-4
    assert (standard.std(0) - 1).abs().max() < 1e-2


def test_with_a_memory_older_rows_fade():
    moments = RunningMoments(1, memory=100)
    moments.update(torch.zeros(10_000, 1))
    for _ in range(10):
        moments.update(torch.ones(100, 1))
    assert moments.mean.item() > 0.99


def test_what_never_changes_is_shifted_and_not_magnified():
    moments = RunningMoments(2)
    moments.update(torch.tensor([[3.0, 0.0]]).repeat(10, 1))
    assert moments(torch.tensor([[4.0, 0.5]])).tolist() == [[1.0, 0.5]]
