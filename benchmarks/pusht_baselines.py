"""PushT from the real human demonstrations: nearest neighbours and chunked regression, 200 unseen starts.

    python benchmarks/pusht_baselines.py --data pusht_cchi_v7_replay.zarr

The demonstrations are Diffusion Policy's (Chi et al. 2023), 206 episodes, of which each run learns
from 200, drawn by its seed. *Score* is the highest reward of an episode: coverage / 0.95, at most 1;
*success* is a coverage above 0.95. What was chosen was chosen on selection seeds.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import results
from terminal import run

from understudy.evaluate.measure import Report
from understudy.statistics import pooled_mean

SEEDS = [0, 1, 2]
STARTS = 200
LEARN = ("--held-out", "0.03", "--train-episodes", "199")
POLICIES = {
    "knn": ("--k", "1", "--horizon", "16"),
    "mlp": ("--horizon", "16", "--width", "256", "--depth", "4", "--steps", "8000"),
}
EXECUTE = {"knn": "16", "mlp": "8"}


def measure(name: str, seed: int, data: Path, folder: Path) -> tuple[Report, float]:
    """Train and evaluate one policy with one seed; returns its report and the training's seconds."""
    run_folder = folder / f"{name}-{seed}"
    seconds = run("train", name, "--data", data, "--run", run_folder, *POLICIES[name], *LEARN,
                  "--seed", seed)  # fmt: skip
    run("evaluate", run_folder, "--task", "pusht", "--episodes", STARTS, "--execute", EXECUTE[name],
        "--workers", 2, "--videos", 0, "--out", run_folder / "report")  # fmt: skip
    return Report.from_json(run_folder / "report" / "report.json"), seconds


def main() -> None:
    """Import the demonstrations, measure all policies and write the rows."""
    parser = argparse.ArgumentParser(description="PushT baselines")
    parser.add_argument("--data", type=Path, required=True, help="folder of the zarr")
    source = parser.parse_args().data
    rows: list[results.Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run("data", "import", source, folder / "pusht")
        for policy in POLICIES:
            measured = [measure(policy, seed, folder / "pusht", folder) for seed in SEEDS]
            score = pooled_mean([report.scores for report, _ in measured])
            success = pooled_mean([np.asarray(report.successes) for report, _ in measured])
            minutes = [seconds / 60 for _, seconds in measured]
            rows += [
                results.estimate_row(policy, "score", score, "1", SEEDS),
                results.estimate_row(policy, "success_rate", success, "share", SEEDS),
                results.median_row(policy, "train_minutes", minutes, "min", SEEDS),
            ]
    command = f"python benchmarks/pusht_baselines.py --data {source.name}"
    results.write("pusht_baselines", command, rows)


if __name__ == "__main__":
    main()
