"""How fast a small network is fitted to a hundred points: fit_full_batch against the usual loop.

    python benchmarks/full_batch.py --data circle_trajectory_dataset.json

10,000 full-batch epochs of the ReLU network 3-128-256-128-7, in single precision, from positions to
joint angles. Both sides run at one and at two threads in turn, each at its best counts. Imports are
done before; compiling is part of every run of ours.

The two follow the same path for about 1,000 epochs. After that the training magnifies rounding, so
that the loop itself, at one thread and at two, ends at losses that differ by tens of per cent. So
single losses say little at the end: the ratio is a geometric mean over seeds, with its 95 % interval.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import scipy.stats
import torch
from results import Row, median_row, write
from torch import Tensor, nn

from understudy.learn import full_batch

CASE = "3-128-256-128-7"
WIDTHS = (3, 128, 256, 128, 7)
EPOCHS, EARLY = 10_000, 1_000
THREADS = (1, 2)


def load(path: Path) -> tuple[Tensor, Tensor]:
    """Positions (B, 3) and joint angles (B, 7) of a list of {name: values}."""
    pairs = json.loads(path.read_text())
    inputs = torch.tensor([pair["desired_end_effector_position"] for pair in pairs])
    return inputs, torch.tensor([pair["joint_angles"] for pair in pairs])


def usual_loop(inputs: Tensor, targets: Tensor, epochs: int, seed: int) -> tuple[float, float]:
    """Return the losses of epoch EARLY, if it is reached, and of the last."""
    torch.manual_seed(seed)
    layers = [m for pair in pairwise(WIDTHS) for m in (nn.Linear(*pair), nn.ReLU())]
    network, loss_of = nn.Sequential(*layers[:-1]), nn.MSELoss()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    early = loss = torch.tensor(math.nan)
    for epoch in range(1, epochs + 1):
        optimiser.zero_grad()
        loss = loss_of(network(inputs), targets)
        loss.backward()
        optimiser.step()
        early = loss if epoch == EARLY else early
    return early.item(), loss.item()


def ours(inputs: Tensor, targets: Tensor, epochs: int, seed: int) -> tuple[float, float]:
    """Do the same with fit_full_batch, at as many threads as PyTorch has; compiles anew."""
    full_batch._compiled.cache_clear()
    _, losses = full_batch.fit_full_batch(
        inputs, targets, WIDTHS[1:-1], epochs=epochs, seed=seed, threads=torch.get_num_threads()
    )
    return losses[min(EARLY, epochs) - 1].item(), losses[-1].item()


@dataclass
class Runs:
    """Runs of one side at one number of threads, one for each seed."""

    fit: Callable[[Tensor, Tensor, int, int], tuple[float, float]]
    threads: int
    seconds: list[float] = field(default_factory=list)
    early: list[float] = field(default_factory=list)  # losses of epoch EARLY
    final: list[float] = field(default_factory=list)

    def add(self, inputs: Tensor, targets: Tensor, seed: int) -> None:
        torch.set_num_threads(self.threads)
        began = time.perf_counter()
        early, final = self.fit(inputs, targets, EPOCHS, seed)
        self.seconds.append(time.perf_counter() - began)
        self.early.append(early)
        self.final.append(final)


def measure(inputs: Tensor, targets: Tensor, rounds: int) -> list[Runs]:
    """Run each side at each number of threads in turn, once a round; a round's seed is its number."""
    runs = [Runs(fit, threads) for threads in THREADS for fit in (usual_loop, ours)]
    for each in runs:
        torch.set_num_threads(each.threads)
        each.fit(inputs, targets, 20, 0)  # imports what PyTorch imports late
    for seed in range(rounds):
        for each in runs:
            each.add(inputs, targets, seed)
            print(
                f"seed {seed}  {each.fit.__name__:10}  {each.threads} threads  "
                f"{each.seconds[-1]:6.2f} s  loss {each.final[-1]:.5f}",
                flush=True,
            )
    return runs


def fastest(runs: Sequence[Runs]) -> Runs:
    return min(runs, key=lambda each: statistics.median(each.seconds))


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def mean_row(metric: str, values: Sequence[float], seeds: list[int]) -> Row:
    """The geometric mean of ratios and its 95 % interval, by Student's t on their logarithms."""
    logs = [math.log(value) for value in values]
    mean, error = statistics.mean(logs), statistics.stdev(logs) / math.sqrt(len(logs))
    reach = float(scipy.stats.t.ppf(0.975, len(logs) - 1)) * error
    value, low, high = (math.exp(mean + shift) for shift in (0, -reach, reach))
    return Row(
        case=CASE,
        metric=metric,
        value=value,
        low=low,
        high=high,
        n=len(logs),
        unit="ratio, geometric mean",
        seeds=seeds,
    )


def summarise(runs: Sequence[Runs]) -> list[Row]:
    loops = [each for each in runs if each.fit is usual_loop]
    loop, best = fastest(loops), fastest([each for each in runs if each.fit is ours])
    seeds = list(range(len(best.seconds)))
    rows = [
        median_row(CASE, "seconds", best.seconds, "s", seeds),
        median_row(CASE, "naive_seconds", loop.seconds, "s", seeds),
        median_row(CASE, "ratio_to_naive", ratios(loop.seconds, best.seconds), "ratio", seeds),
        mean_row("loss_ratio_to_naive", ratios(best.final, loop.final), seeds),
        mean_row("naive_loss_ratio_2_to_1_threads", ratios(*(r.final for r in loops[::-1])), seeds),
        median_row(
            CASE, f"loss_ratio_to_naive_at_{EARLY}", ratios(best.early, loop.early), "ratio", seeds
        ),
    ]
    for each in runs:
        side = "naive_seconds" if each.fit is usual_loop else "seconds"
        name = f"{side}_{each.threads}_threads"
        rows.append(median_row(CASE, name, each.seconds, "s", seeds))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Time fit_full_batch against the usual loop.")
    parser.add_argument("--data", type=Path, required=True, help="JSON of positions and angles")
    parser.add_argument("--rounds", type=int, default=20, help="runs of each kind, at least 5")
    arguments = parser.parse_args()
    if arguments.rounds < 5:
        parser.error("a median of fewer than 5 rounds says too little")
    rows = summarise(measure(*load(arguments.data), arguments.rounds))
    for row in rows:
        print(f"{row['metric']:34} {row['value']:8.4f} ({row['low']:.4f} to {row['high']:.4f})")
    options = f"--data {arguments.data.name} --rounds {arguments.rounds}"
    write("full_batch", f"python benchmarks/full_batch.py {options}", rows)
    by_metric = {row["metric"]: row["value"] for row in rows}
    for metric in ("loss_ratio_to_naive", f"loss_ratio_to_naive_at_{EARLY}"):
        if by_metric[metric] > 1.05:
            sys.exit(f"{metric} is {by_metric[metric]:.3f}: more than 5 % above the usual loop")


if __name__ == "__main__":
    main()
