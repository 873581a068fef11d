"""Two tasks, one policy: PushT and PushT in a mirror, against a policy for each.

    python benchmarks/multi_task.py --folder runs/pusht

Needs what benchmarks/pusht.py leaves in --folder: its case `episodes-199` is the policy for the original
task alone. The demonstrations of the second task are the human ones in a mirror, so both have the same
difficulty. The single policies train 4,400 steps each, the one for both 8,800: the same work. 200 starts of each task, three training seeds; differences are
paired start by start and pooled.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import results
from numpy.typing import NDArray
from pusht import EPISODES, HELD_OUT, SEEDS, STARTS, understudy

from understudy.data.formats.pusht import mirrored
from understudy.data.store import Dataset
from understudy.evaluate.measure import Report
from understudy.statistics import pooled_mean

TASKS = {"original": "pusht", "mirrored": "pusht:goal=mirrored"}
STEPS = {"mirrored": 4400, "both": 8800}


def make_data(folder: Path) -> None:
    """Write the demonstrations of each task, and of both, unless they are there."""
    recorded = Dataset.open(folder / "data")
    for name in STEPS:
        place = folder / "multi_task" / f"data-{name}"
        if place.exists():
            continue
        with Dataset.create(place, recorded.spec) as made:
            for episode in recorded:
                if name == "both":
                    made.append(episode)
                made.append(mirrored(episode))


def train(folder: Path, name: str, seed: int) -> None:
    """Train one policy and evaluate it on each task that it knows, unless that is done."""
    place = folder / "multi_task" / f"{name}-{seed}"
    if not (place / "trained").exists():
        place.mkdir(parents=True, exist_ok=True)
        understudy("train", "flow", "--data", folder / "multi_task" / f"data-{name}",
                   "--run", place / "run", "--steps", STEPS[name], "--held-out", HELD_OUT,
                   "--seed", seed, "--threads", 1, log=place / "train.log")  # fmt: skip
        (place / "trained").touch()
    for task, world in TASKS.items():
        out = place / f"report-{task}"
        if name in (task, "both") and not (out / "report.json").exists():
            understudy("evaluate", place / "run", "--task", world, "--episodes", STARTS,
                       "--execute", 8, "--videos", 0, "--out", out,
                       log=place / f"evaluate-{task}.log")  # fmt: skip


def report_of(folder: Path, name: str, task: str, seed: int) -> Report:
    """What a policy reached on a task."""
    place = folder / "multi_task" / f"{name}-{seed}" / f"report-{task}"
    if name == "original":
        place = folder / f"episodes-{EPISODES}-{seed}" / "report"
    return Report.from_json(place / "report.json")


def rows_of(folder: Path, metric: str, difference: str, unit: str) -> list[results.Row]:
    """Each policy on each task, and the paired difference; over both tasks one figure a seed and start."""

    def values(name: str, task: str) -> list[NDArray[np.float64]]:
        reports = [report_of(folder, name, task, seed) for seed in SEEDS]
        return [np.asarray(r.scores if metric == "score" else r.successes, float) for r in reports]

    rows: list[results.Row] = []
    apart: list[list[NDArray[np.float64]]] = []
    for task in TASKS:
        single, both = values(task, task), values("both", task)
        apart.append([b - s for b, s in zip(both, single, strict=True)])
        for case, found in ((f"single-{task}", single), (f"both-{task}", both)):
            rows.append(results.estimate_row(case, metric, pooled_mean(found), unit, SEEDS))
        change = pooled_mean(apart[-1])
        rows.append(results.estimate_row(f"both-{task}", difference, change, unit, SEEDS))
    means = [np.mean(pair, axis=0) for pair in zip(*apart, strict=True)]  # of a seed's two tasks
    rows.append(results.estimate_row("both", difference, pooled_mean(means), unit, SEEDS))
    return rows


def main() -> None:
    """Train what is missing and write the rows."""
    parser = argparse.ArgumentParser(description="two tasks, one policy")
    parser.add_argument("--folder", type=Path, required=True, help="runs of benchmarks/pusht.py")
    folder = parser.parse_args().folder
    make_data(folder)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(train, folder, name, seed) for name in STEPS for seed in SEEDS]:
            done.result()
    rows = rows_of(folder, "score", "score_minus_single", "1")
    rows += rows_of(folder, "success_rate", "success_minus_single", "share")
    results.write("multi_task", "python benchmarks/multi_task.py --folder runs/pusht", rows)


if __name__ == "__main__":
    main()
