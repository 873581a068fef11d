"""Handing a cube over, learnt from 50 demonstrations: the expert, and ACT on states.

    python benchmarks/two_arm_transfer.py --folder runs/transfer [--only CASE ...] [--seeds SEED ...]

The demonstrations are the expert's, begun from seeds 0 on. The expert is measured on 500 starts from
seed 100,000, what is learnt on the first 200 of them with each of three training seeds. Minutes are the
processor time of collecting and of training on one thread, which is what it takes on one core; two run
side by side on two cores. What lies in --folder is not made again, so that cases and seeds can run
apart; the rows of cases that are whole are written. `recipe.json` beside each run says how it was trained
and at which commit, and a run of another recipe is refused.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import results
import torch  # noqa: F401  (its version belongs to the result)
from pusht import understudy

from understudy.evaluate.measure import Report
from understudy.statistics import pooled_mean

TASK = "two-arm-transfer"
SHOWN = 50
SEEDS = [0, 1, 2]


@dataclass(frozen=True)
class Case:
    """How one row is learnt and measured; nothing is learnt where the policy is the expert."""

    policy: str
    starts: int
    options: tuple[str, ...] = ()
    execute: int = 8
    seeds: tuple[int, ...] = tuple(SEEDS)


CASES = {
    "expert": Case("expert", 500, seeds=(0,)),
    "act": Case(
        "act",
        200,
        ("--preset", "small", "--batch-size", "64", "--steps", "2400", "--held-out", "0",
         "--past-end", "held"),
    ),
}  # fmt: skip


def demonstrations(folder: Path) -> Path:
    """The expert's episodes, recorded unless they are there."""
    place = folder / "demonstrations"
    minutes = folder / "demonstrations.minutes"
    if not minutes.exists():
        used = understudy("collect", "--task", TASK, "--episodes", SHOWN, "--out", place,
                          log=folder / "demonstrations.log")  # fmt: skip
        minutes.write_text(json.dumps(used))
    return place


def measure(name: str, seed: int, folder: Path) -> None:
    """Train and evaluate, unless that is done."""
    case, place = CASES[name], place_of(name, seed, folder)
    place.mkdir(parents=True, exist_ok=True)
    require_same_recipe(case, place)
    actor, played = "expert", ()
    if case.policy != "expert":
        actor, played = place / "run", ("--execute", case.execute)
        if not (place / "minutes.json").exists():
            used = understudy("train", case.policy, "--data", folder / "demonstrations", "--run",
                              place / "run", *case.options, "--seed", seed, "--threads", 1,
                              log=place / "train.log")  # fmt: skip
            (place / "minutes.json").write_text(json.dumps(used))
    if not report_of(place).exists():
        understudy("evaluate", actor, "--task", TASK, "--episodes", case.starts, *played,
                   "--videos", 0, "--out", place / "report", log=place / "evaluate.log")  # fmt: skip


def place_of(name: str, seed: int, folder: Path) -> Path:
    """Where a run is kept."""
    return folder / f"{name}-{seed}"


def report_of(place: Path) -> Path:
    """What was measured of a run."""
    return place / "report" / "report.json"


def require_same_recipe(case: Case, place: Path) -> None:
    """Note how a run is trained; raises ValueError where one of another recipe lies in its place."""
    recipe = json.loads(json.dumps({"case": asdict(case), "shown": SHOWN}))
    kept = place / "recipe.json"
    if not kept.exists():
        kept.write_text(json.dumps({**recipe, "commit": results.commit()}, indent=1))
    found = json.loads(kept.read_text())
    if {key: found[key] for key in recipe} != recipe:
        raise ValueError(f"{place} was trained otherwise, see its recipe.json: remove it")


def rows_of(name: str, folder: Path) -> list[results.Row]:
    """Rows of a case, none unless all of its seeds are there."""
    case = CASES[name]
    places = [place_of(name, seed, folder) for seed in case.seeds]
    if not all(report_of(place).exists() for place in places):
        return []
    reports = [Report.from_json(report_of(place)) for place in places]
    learnt = list(case.seeds) if case.policy != "expert" else []
    success = pooled_mean([np.asarray(report.successes) for report in reports])
    seconds = [row.length / report.rate_hz for report in reports for row in report.rows]
    rows = [
        results.estimate_row(name, "success_rate", success, "share", learnt),
        results.median_row(name, "episode_seconds", seconds, "s", learnt),
    ]
    if learnt:
        collected = json.loads((folder / "demonstrations.minutes").read_text())
        minutes = [collected + json.loads((p / "minutes.json").read_text()) for p in places]
        rows.append(results.median_row(name, "train_minutes", minutes, "min", learnt))
    return rows


def commits_of(name: str, folder: Path) -> str:
    """The commit, or commits, at which a case was measured."""
    files = [place_of(name, seed, folder) / "recipe.json" for seed in CASES[name].seeds]
    return ", ".join(sorted({json.loads(file.read_text())["commit"] for file in files}))


def main() -> None:
    """Make what is missing and write the rows of what is whole."""
    parser = argparse.ArgumentParser(description=TASK)
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if any(CASES[name].policy != "expert" for name in given.only):
        demonstrations(given.folder)
    jobs = [(n, s) for n in given.only for s in CASES[n].seeds if s in given.seeds]
    with ThreadPoolExecutor(2) as pool:  # two one-threaded processes at a time
        for done in [pool.submit(measure, name, seed, given.folder) for name, seed in jobs]:
            done.result()
    found = {name: rows_of(name, given.folder) for name in given.only}
    commits = {name: commits_of(name, given.folder) for name in found if found[name]}
    rows = [row for part in found.values() for row in part]
    command = "python benchmarks/two_arm_transfer.py --folder runs/transfer"
    if rows:
        results.write("two_arm_transfer", command, rows, list(CASES), commits)


if __name__ == "__main__":
    main()
