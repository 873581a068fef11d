"""GAIL on mountain-car without cloning first: three training seeds, 1000 unseen starts.

    python benchmarks/mountain_car_gail.py

From the expert's first 100 demonstrations, with the recipe for the task; `steps` are all that were taken. The
rows join those of DAgger on the same task.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import results
import torch
from gail import Case, returns, shown

from understudy.learn.gail import GailConfig, begun, gail
from understudy.learn.ppo import PpoConfig
from understudy.learn.recipes import RECIPES
from understudy.policies.mlp import MlpConfig
from understudy.statistics import pooled_mean
from understudy.tasks import make_task

SEEDS = [0, 1, 2]
STARTS = range(100_000, 101_000)
NAME = "mountain_car_dagger"
CASE = Case("mountain-car", "mlp", 100, -125.0)


def main() -> None:
    """Train three times, play, write."""
    torch.set_num_threads(1)
    recipe, task = RECIPES["mountain-car"], make_task("mountain-car")
    found, steps = [], []
    with tempfile.TemporaryDirectory() as folder:
        dataset = shown(CASE, Path(folder))
        for seed in SEEDS:
            config = GailConfig(**recipe.gail)
            practice = PpoConfig(**{**recipe.practice, "seed": seed})
            fields = {k: v for k, v in recipe.policy.items() if hasattr(MlpConfig(), k)}
            policy = begun(MlpConfig(**fields), dataset, config, seed)
            *_, last = gail(policy, dataset, task, config, practice)
            found.append(returns(policy, "mountain-car", STARTS))
            steps.append(last.step)
            print(f"seed {seed}: {found[-1].mean():.1f} after {last.step:,} steps")
    rows = [
        results.estimate_row("gail", "return", pooled_mean(found), "return", SEEDS),
        results.median_row("gail", "steps", steps, "steps", SEEDS),
    ]
    file = results.FOLDER / f"{NAME}.json"
    known = [row["case"] for row in json.loads(file.read_text())["rows"]] if file.exists() else []
    cases = list(dict.fromkeys([*known, "gail"]))
    results.write(NAME, "python benchmarks/mountain_car_gail.py", rows, cases)


if __name__ == "__main__":
    main()
