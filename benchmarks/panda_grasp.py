"""Grasping, learnt from few demonstrations: the fixed pose, anywhere within 10 cm, and with noise.

    python benchmarks/panda_grasp.py --folder runs/grasp [--only CASE ...]

The demonstrations are the expert's, begun from seeds 0 on; every case learns from the first 10, or 100,
of them, with three training seeds, and is measured on 500 starts from seed 100,000, as the expert is. Minutes
are the processor time of collecting and of training, on one thread; a step is one decision for one world on one
thread, median of 200. What lies in --folder is not made again.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import results
import torch
from decisions import decision_ms
from pusht import understudy

from understudy.evaluate.measure import Report
from understudy.policies.checkpoint import load_checkpoint
from understudy.run import find_checkpoint
from understudy.statistics import pooled_mean

SEEDS = [0, 1, 2]
STARTS = 500
STEPS = 200


@dataclass(frozen=True)
class Case:
    """How one row is learnt and measured."""

    policy: str
    options: tuple[str, ...]
    task: str
    shown: str  # what the demonstrations were recorded in
    episodes: int


RANDOM = "panda-grasp:pose=random"
NOISY = "panda-grasp:pose=random,noise_m=0.01"
CASES = {
    "fixed": Case("lstm", ("--steps", "1500"), "panda-grasp", "panda-grasp", 10),
    "random": Case("lstm", ("--steps", "3000"), RANDOM, RANDOM, 100),
    "chunked": Case("mlp", ("--horizon", "8", "--steps", "4000"), RANDOM, RANDOM, 100),
    "flow": Case("flow", ("--network", "residual", "--steps", "2500"), RANDOM, RANDOM, 100),
    "noisy": Case("lstm", ("--steps", "3000"), NOISY, NOISY, 100),
}

EXPERTS = {"expert-fixed": "panda-grasp", "expert-random": RANDOM}


def demonstrations(case: Case, folder: Path) -> Path:
    """The expert's episodes, recorded unless they are there."""
    name = case.shown.replace(":", "-").replace(",", "-").replace("=", "-")
    place = folder / f"{name}-{case.episodes}"
    minutes = minutes_file(place)
    if not minutes.exists():
        log = place.parent / f"{place.name}.log"
        used = understudy("collect", "--task", case.shown, "--episodes", case.episodes,
                          "--out", place, log=log)  # fmt: skip
        minutes.write_text(json.dumps(used))
    return place


def minutes_file(data: Path) -> Path:
    """What recording took."""
    return data.parent / f"{data.name}.minutes"


def measure(name: str, seed: int, data: Path, folder: Path) -> None:
    """Train and evaluate, unless that is done; a run of another recipe is refused."""
    case, place = CASES[name], folder / f"{name}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    recipe, kept = json.loads(json.dumps(asdict(case))), place / "recipe.json"
    if not kept.exists():
        kept.write_text(json.dumps(recipe))
    if json.loads(kept.read_text()) != recipe:
        raise ValueError(f"{place} was trained otherwise, see its recipe.json: remove it")
    if not (place / "minutes.json").exists():
        used = understudy("train", case.policy, "--data", data, "--run", place / "run",
                          *case.options, "--seed", seed, "--threads", 1,
                          log=place / "train.log")  # fmt: skip
        (place / "minutes.json").write_text(json.dumps(used))
    if not (place / "report" / "report.json").exists():
        understudy("evaluate", place / "run", "--task", case.task, "--episodes", STARTS,
                   "--videos", 0, "--out", place / "report", log=place / "evaluate.log")  # fmt: skip


def rows_of(name: str, data: Path, folder: Path) -> list[results.Row]:
    """The rows of one case."""
    places = [folder / f"{name}-{seed}" for seed in SEEDS]
    reports = [Report.from_json(place / "report" / "report.json") for place in places]
    success = pooled_mean([np.asarray(report.successes) for report in reports])
    collected = json.loads(minutes_file(data).read_text())
    minutes = [collected + json.loads((place / "minutes.json").read_text()) for place in places]
    steps = [
        decision_ms(load_checkpoint(find_checkpoint(place / "run")).policy, STEPS)
        for place in places
    ]
    return [
        results.estimate_row(name, "success_rate", success, "share", SEEDS),
        results.median_row(name, "train_minutes", minutes, "min", SEEDS),
        results.median_row(name, "step_ms", steps, "ms", SEEDS),
    ]


def expert_rows(name: str, folder: Path) -> list[results.Row]:
    """What the expert takes of the same starts."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "report.json").exists():
        understudy("evaluate", "expert", "--task", EXPERTS[name], "--episodes", STARTS,
                   "--videos", 0, "--out", place, log=place / "evaluate.log")  # fmt: skip
    success = pooled_mean([np.asarray(Report.from_json(place / "report.json").successes)])
    return [results.estimate_row(name, "success_rate", success, "share", [])]


def main() -> None:
    """Make what is missing and write the rows."""
    parser = argparse.ArgumentParser(description="panda-grasp")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept")
    every = [*CASES, *EXPERTS]
    parser.add_argument("--only", nargs="+", choices=every, default=every)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    learnt = [name for name in given.only if name in CASES]
    data = {name: demonstrations(CASES[name], given.folder) for name in learnt}
    with ThreadPoolExecutor(2) as pool:  # two one-threaded processes at a time
        jobs = [(name, seed) for name in learnt for seed in SEEDS]
        for done in [pool.submit(measure, n, s, data[n], given.folder) for n, s in jobs]:
            done.result()
    torch.set_num_threads(1)
    rows = [row for name in learnt for row in rows_of(name, data[name], given.folder)]
    rows += [
        row for name in EXPERTS if name in given.only for row in expert_rows(name, given.folder)
    ]
    command = "python benchmarks/panda_grasp.py --folder runs/grasp"
    results.write("panda_grasp", command, rows, every)


if __name__ == "__main__":
    main()
