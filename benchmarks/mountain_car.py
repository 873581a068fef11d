"""Behaviour cloning of mountain-car's expert: 100 demonstrations, three training seeds, 1000 unseen starts.

    python benchmarks/mountain_car.py

The terminal's own commands do the work; the rows pool the three runs, each paired with the expert.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import results
from terminal import run

from understudy.evaluate.measure import Report
from understudy.statistics import pooled_mean

SEEDS = [0, 1, 2]
STARTS = 1000
MLP = (
    "--bins",
    "32",
    "--width",
    "128",
    "--depth",
    "2",
    "--steps",
    "3000",
    "--learning-rate",
    "3e-3",
)


def measure(folder: Path, seed: int) -> tuple[Report, Report, float]:
    """Collect, train and evaluate once; returns the reports of policy and expert, and the seconds."""
    demonstrations, run_folder = folder / "demonstrations", folder / f"run-{seed}"
    seconds = 0.0
    if not demonstrations.exists():
        seconds += run(
            "collect", "--task", "mountain-car", "--out", demonstrations, "--episodes", 100
        )
    seconds += run(
        "train", "mlp", "--data", demonstrations, "--run", run_folder, *MLP, "--seed", seed
    )
    run("evaluate", run_folder, "--task", "mountain-car", "--against", "expert", "--episodes", STARTS,
        "--videos", 0, "--out", folder / f"report-{seed}")  # fmt: skip
    reports = folder / f"report-{seed}"
    return (
        Report.from_json(reports / "report.json"),
        Report.from_json(reports / "against.json"),
        seconds,
    )


def main() -> None:
    """Measure three training seeds and write the rows."""
    with tempfile.TemporaryDirectory() as folder:
        measured = [measure(Path(folder), seed) for seed in SEEDS]
    differences = pooled_mean([policy.scores - expert.scores for policy, expert, _ in measured])
    failures = pooled_mean([~np.asarray(policy.successes) for policy, _, _ in measured])
    expert = pooled_mean([measured[0][1].scores])
    seconds = [seconds for *_, seconds in measured]
    rows = [
        results.estimate_row("mlp", "return_minus_expert", differences, "return", SEEDS),
        results.estimate_row("mlp", "failure_rate", failures, "share", SEEDS),
        results.estimate_row("expert", "return", expert, "return", []),
        results.median_row("mlp", "train_seconds", seconds, "s", SEEDS),
    ]
    results.write("mountain_car", "python benchmarks/mountain_car.py", rows)


if __name__ == "__main__":
    main()
