"""Full-batch training: the same as the usual PyTorch loop, compiled or not."""

import logging
import re
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from understudy.learn import full_batch
from understudy.learn.full_batch import fit_full_batch

HIDDEN = (24, 70, 17)  # no multiples of a vector


def samples(count: int = 45) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(count, 3, generator=generator)
    return inputs, torch.sin(inputs @ torch.randn(3, 7, generator=generator))


def usual_loop(
    inputs: Tensor, targets: Tensor, hidden: tuple[int, ...], epochs: int
) -> tuple[nn.Sequential, Tensor]:
    torch.manual_seed(5)
    widths = [inputs.shape[1], *hidden, targets.shape[1]]
    modules = [m for pair in pairwise(widths) for m in (nn.Linear(*pair), nn.ReLU())]
    network = nn.Sequential(*modules[:-1])
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    losses = torch.empty(epochs)
    for epoch in range(epochs):
        optimiser.zero_grad()
        loss = nn.MSELoss()(network(inputs), targets)
        loss.backward()
        optimiser.step()
        losses[epoch] = loss.detach()
    return network, losses


def same_bits(first: tuple[nn.Module, Tensor], second: tuple[nn.Module, Tensor]) -> bool:
    pairs = zip(first[0].parameters(), second[0].parameters(), strict=True)
    return torch.equal(first[1], second[1]) and all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture(params=["compiled", "PyTorch"])
def _way(request, monkeypatch):
    if request.param == "PyTorch":
        monkeypatch.setattr(full_batch, "_compiled", lambda: None)
    elif full_batch._compiled() is None:
        pytest.skip("no C compiler here")


@pytest.mark.usefixtures("_way")
def test_gradients_are_those_of_autograd():
    inputs, targets = samples()
    network, _ = fit_full_batch(inputs, targets, HIDDEN, epochs=20, seed=5)
    before, _ = fit_full_batch(inputs, targets, HIDDEN, epochs=19, seed=5)
    before.zero_grad()
    nn.MSELoss()(before(inputs), targets).backward()
    for ours, theirs in zip(network.parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize(
    ("hidden", "count"), [(HIDDEN, 45), ((128, 256, 128), 100), ((16,), 1), ((), 7), ((3, 3), 9)]
)
def test_200_epochs_end_where_the_usual_loop_ends(hidden, count):
    inputs, targets = samples(count)
    network, losses = fit_full_batch(inputs, targets, hidden, epochs=200, seed=5)
    expected, expected_losses = usual_loop(inputs, targets, hidden, 200)
    torch.testing.assert_close(losses, expected_losses, rtol=1e-4, atol=1e-7)
    for ours, theirs in zip(network.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.usefixtures("_way")
def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    first, again, other = (
        fit_full_batch(*samples(), HIDDEN, epochs=50, seed=seed) for seed in (1, 1, 2)
    )
    assert same_bits(first, again)
    assert not same_bits(first, other)


def test_threads_and_cuts_between_calls_change_no_bit(monkeypatch):
    if full_batch._compiled() is None:
        pytest.skip("no C compiler here")
    inputs, targets = samples()
    alone = fit_full_batch(inputs, targets, HIDDEN, epochs=40, threads=1)
    monkeypatch.setattr(full_batch, "EPOCHS_PER_CALL", 7)
    for threads in (2, 3, 50):
        assert same_bits(alone, fit_full_batch(inputs, targets, HIDDEN, epochs=40, threads=threads))


@pytest.mark.usefixtures("_way")
def test_a_loss_that_overflows_is_reported_as_it_is():
    inputs, targets = samples()
    _, losses = fit_full_batch(inputs, targets * 1e30, HIDDEN, epochs=3)
    assert not losses.isfinite().any()


def test_the_callers_random_numbers_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    fit_full_batch(*samples(), HIDDEN, epochs=1, seed=9)
    assert torch.equal(torch.rand(2), expected)


def test_rows_that_are_not_contiguous_count_the_same():
    inputs, targets = samples()
    strided = fit_full_batch(inputs.t().contiguous().t(), targets, HIDDEN, epochs=5)
    assert same_bits(strided, fit_full_batch(inputs, targets, HIDDEN, epochs=5))


def test_a_missing_compiler_is_logged_and_done_without(monkeypatch, caplog):
    monkeypatch.setenv("CC", "no-such-compiler")
    find = full_batch._compiled.__wrapped__
    with caplog.at_level(logging.WARNING):
        assert find() is None
    assert "no-such-compiler" in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda x, y: (x.index_fill(0, torch.tensor([4]), torch.nan), y),
            "inputs holds NaN .* row 4",
        ),
        (lambda x, y: (x, y / 0), "targets holds NaN or infinity, first in row 0"),
        (lambda x, y: (x[:9], y), "inputs has 9 rows, targets 45"),
        (lambda x, y: (x[:0], y[:0]), "at least one row"),
        (lambda x, y: (x, y[:, :0]), "at least one row and one column"),
        (lambda x, y: (x, y[:, 0]), r"targets is torch.float32 \(45,\)"),
        (lambda x, y: (x.double(), y), "expected a float32 matrix"),
    ],
)
def test_bad_samples_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit_full_batch(*change(*samples()), HIDDEN, epochs=1)


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"threads": 0}, {"hidden": (8, 0)}])
def test_counts_below_one_are_refused(bad):
    with pytest.raises(ValueError, match=re.escape("must be at least 1")):
        fit_full_batch(*samples(), **bad)
