"""Episodes a second of each ground, and how they grow with the worlds side by side in one process.

A time is that of a whole call of `play`: workers begin, load torch and the policy, play and end. Ray's
cluster runs before. The result is one that an evaluation keeps. `ratio_to_process` is that of the same
repeat; `core_s_per_episode` are the seconds of a worker's core that an episode took.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import results
from fleet_grounds import FIRST_SEED, GROUNDS, TASKS, WORKERS, WORLDS, actor_of, named

from understudy.episode import Lost
from understudy.evaluate.measure import outcome_of
from understudy.fleet import ActorConfig, Fleet, Here, RandomActor
from understudy.tasks import make_task
from understudy.tasks.base import TaskConfig

# (task, policy): how many episodes are played
CASES = {
    ("pusht", "diffusion"): 128,
    ("pusht", "mlp"): 192,
    ("pusht-pixels", "diffusion"): 48,
    ("pusht-pixels", "mlp"): 64,
    ("panda-grasp", "diffusion"): 48,
    ("panda-grasp", "mlp"): 96,
    ("cart-pole", "diffusion"): 64,
    ("cart-pole", "mlp"): 400,
}
COUNTS = (1, 4, 16, 64)  # worlds of one process
ROUNDS = {("pusht", "diffusion"): 1, ("cart-pole", "mlp"): 4}  # of all of them


@dataclass(frozen=True)
class Run:
    """One call of a fleet."""

    episodes: int
    ticks: int
    seconds: float


def play(fleet: Fleet, task: TaskConfig, actor: ActorConfig, seeds: Sequence[int]) -> Run:
    """Play all seeds and time it; none may be lost."""
    began, ticks = time.perf_counter(), 0
    for outcome in fleet.play(task, actor, seeds, outcome_of):
        if isinstance(outcome, Lost):
            raise RuntimeError(f"seed {outcome.seed} was lost: {outcome.reason}")
        ticks += outcome.row.length
    return Run(len(seeds), ticks, time.perf_counter() - began)


def grounds(folder: Path, repeats: int, share: float) -> list[results.Row]:
    """Rows of every ground. Ray comes last, so that its daemons are not there before."""
    found: dict[tuple[str, str, str], list[Run]] = {}
    for names in (("process", "pool-2"), ("ray-2",)):
        for task, policy in CASES:
            config, actor = make_task(TASKS[task]), actor_of(folder, task, policy)
            seeds = range(FIRST_SEED, FIRST_SEED + max(4, round(share * CASES[task, policy])))
            for name in names:
                fleet = GROUNDS[name](WORLDS)
                play(fleet, make_task("cart-pole"), RandomActor(), range(2))  # the cluster begins
                for _ in range(repeats):
                    run = play(fleet, config, actor, seeds)
                    found.setdefault((name, task, policy), []).append(run)
                print(named(name, task, policy), found[name, task, policy][-1], flush=True)
    return [
        row
        for (name, task, policy), runs in found.items()
        for row in rows_of(
            named(name, task, policy), runs, WORKERS[name], found["process", task, policy]
        )
    ]


def rows_of(
    case: str, runs: Sequence[Run], workers: int, alone: Sequence[Run] = ()
) -> list[results.Row]:
    """Rows of one case; `alone` is what one process took."""
    columns = {
        ("episodes_per_s", "episodes/s"): [run.episodes / run.seconds for run in runs],
        ("steps_per_s", "steps/s"): [run.ticks / run.seconds for run in runs],
        ("core_s_per_episode", "s"): [workers * run.seconds / run.episodes for run in runs],
    }
    if workers > 1:
        pairs = zip(runs, alone, strict=True)
        columns["ratio_to_process", "ratio"] = [one.seconds / run.seconds for run, one in pairs]
    return [
        results.median_row(case, metric, values, unit, [])
        for (metric, unit), values in columns.items()
    ]


def growth(folder: Path, repeats: int, share: float) -> list[results.Row]:
    """Rows of one process with more and more worlds."""
    rows: list[results.Row] = []
    for (task, policy), rounds in ROUNDS.items():
        for count in (n for n in COUNTS if n <= share * COUNTS[-1]):
            actor = actor_of(folder, task, policy, width=count)
            seeds = range(FIRST_SEED, FIRST_SEED + max(2, rounds * count))
            fleet, config = Here(count), make_task(TASKS[task])
            runs = [play(fleet, config, actor, seeds) for _ in range(repeats)]
            case = named(f"worlds-{count}", task, policy)
            rows += rows_of(case, runs, 1)
            print(case, runs[-1], flush=True)
    return rows
