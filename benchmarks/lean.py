"""Playing in bfloat16: what it costs in success, start by start against float32.

    python benchmarks/lean.py --act runs/transfer --diffusion runs/pusht [--only CASE ...] [--seeds SEED ...]

The runs are `act` of benchmarks/two_arm_transfer.py and `diffusion` of benchmarks/pusht.py, played on
the same 200 starts that those were measured on, three training seeds. "No worse" is an interval of the
paired difference above minus 3 points. What it gains in time is measured by benchmarks/engine.py.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import results
from pusht import understudy

from understudy.evaluate.measure import Report
from understudy.statistics import pooled_mean

SEEDS = [0, 1, 2]
STARTS = 200


@dataclass(frozen=True)
class Case:
    """Which runs, and the task they are played on."""

    run: str
    task: str


CASES = {"act": Case("act", "two-arm-transfer"), "diffusion": Case("diffusion", "pusht")}


def report_of(name: str, folder: Path, seed: int) -> Path:
    """Where the measurement in bfloat16 is kept, made unless it is there."""
    place = folder / f"{CASES[name].run}-{seed}"
    out = place / "report-bfloat16"
    if not (out / "report.json").exists():
        understudy("evaluate", place / "run", "--task", CASES[name].task, "--episodes", STARTS,
                   "--execute", 8, "--precision", "bfloat16", "--videos", 0, "--out", out,
                   log=place / "evaluate-bfloat16.log")  # fmt: skip
    return out / "report.json"


def rows_of(name: str, folder: Path) -> list[results.Row]:
    """Success in bfloat16, and what it is more than in float32; none unless all seeds are there."""
    places = [folder / f"{CASES[name].run}-{seed}" for seed in SEEDS]
    if not all((place / "report-bfloat16" / "report.json").exists() for place in places):
        return []
    lean = [Report.from_json(place / "report-bfloat16" / "report.json") for place in places]
    usual = [Report.from_json(place / "report" / "report.json") for place in places]
    success = pooled_mean([np.asarray(report.successes) for report in lean])
    pairs = zip(lean, usual, strict=True)
    difference = pooled_mean([np.asarray(a.scores - b.scores) for a, b in pairs])
    return [
        results.estimate_row(name, "success_rate", success, "share", SEEDS),
        results.estimate_row(name, "score_minus_float32", difference, "1", SEEDS),
    ]


def main() -> None:
    """Measure what is missing and write the rows of what is whole."""
    parser = argparse.ArgumentParser(description="playing in bfloat16")
    for name, case in CASES.items():
        parser.add_argument(f"--{name}", type=Path, help=f"runs of {case.task}")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    given = parser.parse_args()
    for name in given.only:
        for seed in given.seeds:
            report_of(name, getattr(given, name), seed)
    rows = [row for name in given.only for row in rows_of(name, getattr(given, name))]
    if rows:
        command = "python benchmarks/lean.py --act runs/transfer --diffusion runs/pusht"
        results.write("lean", command, rows, list(CASES))


if __name__ == "__main__":
    main()
