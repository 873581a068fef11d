"""Sweeps: what searches find with the same number of configurations, and what a second worker saves.

    python benchmarks/sweep.py --folder runs/sweep [--only CASE ...]

An MLP learns mountain-car from 20 of the expert's episodes. Searched are width, depth, bins of the input
encoding and the learning rate, 18 configurations with two training seeds each, measured on 50 selection
starts; what is chosen is measured on 200 report starts. `plain` is the preset. *share of steps* is what
a search spent of those of training every configuration to the end. `pool-2` repeats
`random` with two workers: the same table is required, the ratio is of wall-clock times in one run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import results
from pusht import understudy

from understudy.evaluate.measure import Report
from understudy.statistics import pooled_mean

TASK, EPISODES, STEPS, TRIALS, SEEDS = "mountain-car", 20, 600, 18, [0, 1]
VARY = ("width=16..256:log", "depth=1..3", "bins=0..32", "learning-rate=1e-4..1e-2:log")
SEARCHES = {
    "random": ("--search", "random"),
    "halving": ("--search", "random", "--halving", "3"),
    "optuna": ("--search", "optuna"),
}
CASES = ("plain", *SEARCHES, "pool-2")


def swept(folder: Path, name: str, *further: object) -> float:
    """Sweep unless it is done; returns the seconds that it took."""
    place = folder / name
    took = folder / f"{name}.json"
    if not took.exists():
        began = time.perf_counter()
        understudy("sweep", "mlp", "--data", folder / "data", "--task", TASK, "--run", place,
                   "--vary", *VARY, "--trials", TRIALS, "--seeds", len(SEEDS), "--steps", STEPS,
                   "--horizon", 1, "--episodes", 50, "--report-episodes", 200, *further,
                   log=folder / f"{name}.log")  # fmt: skip
        took.write_text(json.dumps(time.perf_counter() - began))
    return json.loads(took.read_text())


def reports_of(folder: Path, name: str) -> list[Report]:
    """What the chosen configuration does on report starts, for each training seed."""
    runs = [Path(run) for run in json.loads((folder / name / "best.json").read_text())["runs"]]
    return [Report.from_json(run / f"evaluation-{TASK}" / "report.json") for run in runs]


def plain_reports(folder: Path) -> list[Report]:
    """What the preset does."""
    reports = []
    for seed in SEEDS:
        run = folder / f"plain-{seed}"
        if not (run / "report" / "report.json").exists():
            understudy("train", "mlp", "--data", folder / "data", "--run", run, "--steps", STEPS,
                       "--horizon", 1, "--seed", seed, "--threads", 1,
                       log=folder / f"plain-{seed}.log")  # fmt: skip
            understudy("evaluate", run, "--task", TASK, "--episodes", 200, "--videos", 0,
                       "--out", run / "report", log=folder / f"plain-{seed}.evaluate.log")  # fmt: skip
        reports.append(Report.from_json(run / "report" / "report.json"))
    return reports


def table_of(folder: Path, name: str) -> list[object]:
    """What a sweep found, but for times and places."""
    trials = json.loads((folder / name / "sweep.json").read_text())["trials"]
    for trial in trials:
        for training in trial["trainings"]:
            del training["train_s"]
    return trials


def rows_of(folder: Path, case: str) -> list[results.Row]:
    """Measure one case."""
    if case == "pool-2":
        alone, together = swept(folder, "random"), swept(folder, case, "--workers", 2)
        if table_of(folder, "random") != table_of(folder, case):
            raise RuntimeError("two workers found another table than one process")
        return [results.median_row(case, "ratio_to_process", [alone / together], "ratio", SEEDS)]
    if case in SEARCHES:
        swept(folder, case, *SEARCHES[case])
    reports = plain_reports(folder) if case == "plain" else reports_of(folder, case)
    score = pooled_mean([report.scores for report in reports])
    rows = [results.estimate_row(case, "score", score, "return", SEEDS)]
    if case in SEARCHES:
        share = spent(folder, case)
        rows.append(results.median_row(case, "share_of_steps", [share], "ratio", SEEDS))
        best = json.loads((folder / case / "best.json").read_text())
        flattery = best["score"]["value"] - score.value
        rows.append(results.median_row(case, "selection_minus_report", [flattery], "return", SEEDS))
    return rows


def spent(folder: Path, case: str) -> float:
    """Optimiser steps of all trainings, as a share of training every configuration to the end."""
    plans = (folder / case / "trials").glob("*/*/*/run/run.json")
    steps = sum(json.loads(plan.read_text())["learn"]["steps"] for plan in plans)
    return steps / (TRIALS * len(SEEDS) * STEPS)


def main() -> None:
    """Sweep and write the rows."""
    parser = argparse.ArgumentParser(description="sweeps on mountain-car")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if not (given.folder / "data").exists():
        subprocess.run(
            [sys.executable, "-m", "understudy", "collect", "--task", TASK, "--out",
             str(given.folder / "data"), "--episodes", str(EPISODES)], check=True)  # fmt: skip
    rows = [row for case in given.only for row in rows_of(given.folder, case)]
    results.write("sweep", "python benchmarks/sweep.py --folder runs/sweep", rows, CASES)


if __name__ == "__main__":
    main()
