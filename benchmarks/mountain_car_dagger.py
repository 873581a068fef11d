"""Mountain-car from five demonstrations, corrected by its expert in at most five rounds: 1000 unseen starts.

    python benchmarks/mountain_car_dagger.py

The terminal's own commands do the work. The learner plays each round alone (beta 0) and the expert labels what
it sees; the rounds stop when, on 1000 selection starts, no more fail than of the expert's and the mean return is at
most 0.25 below the expert's. `cloning` is the policy of round 0, from the same five demonstrations; `cloning-equal` is cloned
from as many of the expert's own episodes as DAgger had in the end. The rows pool three training seeds, each
paired with the expert.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import results
from mountain_car import MLP
from terminal import run

from understudy.evaluate.measure import Report
from understudy.statistics import Estimate, pooled_mean

SEEDS = [0, 1, 2]
STARTS = 1000
SHORTFALL = 0.25  # return, on selection starts; the bar is 0.5 on report starts
DEMONSTRATIONS, ROUNDS, EPISODES = 5, 5, 20
TASK = ("--task", "mountain-car")


def reported(folder: Path, policy: Path, purpose: str = "report") -> Report:
    """Measure a policy, or the expert, on 1000 starts."""
    run("evaluate", policy, *TASK, "--episodes", STARTS, "--videos", 0, "--purpose", purpose,
        "--out", folder)  # fmt: skip
    return Report.from_json(folder / "report.json")


def corrected(folder: Path, seed: int, best: Report) -> tuple[Path, int, int, float]:
    """Do the rounds; returns the run, how many rounds and episodes it took, and the seconds."""
    assert best.success_rate is not None
    seconds = run("dagger", "mlp", *TASK, "--run", folder, "--demonstrations", DEMONSTRATIONS,
                  "--rounds", ROUNDS, "--episodes", EPISODES, "--beta", "zero", "--starts", STARTS,
                  "--target-success", best.success_rate.value,
                  "--target-score", best.mean_return.value - SHORTFALL, *MLP, "--seed", seed)  # fmt: skip
    rounds = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return folder, rounds[-1]["step"], rounds[-1]["episodes"], seconds


def cloned(folder: Path, episodes: int, seed: int) -> Path:
    """Clone from so many demonstrations of the expert."""
    run("collect", *TASK, "--out", folder / "data", "--episodes", episodes)
    run("train", "mlp", "--data", folder / "data", "--run", folder / "run", "--held-out", 0, *MLP,
        "--seed", seed)  # fmt: skip
    return folder / "run"


def rows_of(case: str, reports: list[Report], expert: Report) -> list[results.Row]:
    """Return and failures of three policies, each paired with the expert."""
    differences = pooled_mean([report.scores - expert.scores for report in reports])
    failures = pooled_mean([~np.asarray(report.successes) for report in reports])
    found: list[tuple[str, Estimate, str]] = [
        ("return_minus_expert", differences, "return"),
        ("failure_rate", failures, "share"),
    ]
    return [results.estimate_row(case, metric, e, unit, SEEDS) for metric, e, unit in found]


def main() -> None:
    """Measure three training seeds and write the rows."""
    reports: dict[str, list[Report]] = {"dagger": [], "cloning": [], "cloning-equal": []}
    rounds, episodes, seconds = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        best = reported(folder / "selection", Path("expert"), "selection")
        expert = reported(folder / "expert", Path("expert"))
        for seed in SEEDS:
            made, count, total, spent = corrected(folder / f"run-{seed}", seed, best)
            rounds.append(float(count))
            episodes.append(float(total))
            seconds.append(spent)
            equal = cloned(folder / f"equal-{seed}", total, seed)
            for case, policy in (
                ("dagger", made),
                ("cloning", made / "checkpoints" / "000000"),
                ("cloning-equal", equal),
            ):
                reports[case].append(reported(folder / f"{case}-{seed}", policy))
    rows = [row for case, found in reports.items() for row in rows_of(case, found, expert)]
    rows += [
        results.median_row("dagger", "rounds", rounds, "1", SEEDS),
        results.median_row("dagger", "episodes", episodes, "1", SEEDS),
        results.median_row("dagger", "seconds", seconds, "s", SEEDS),
        results.estimate_row("expert", "return", expert.mean_return, "return", []),
    ]
    results.write("mountain_car_dagger", "python benchmarks/mountain_car_dagger.py", rows)


if __name__ == "__main__":
    main()
