"""GAIL against imitation 1.0.1: the return that is reached, and how soon, with and without cloning first.

    python benchmarks/gail.py --imitation PYTHON --franka FOLDER [--only CASE ...]

Five training seeds (three on hopper) learn from the expert's first demonstrations with the task's
recipe. After each round (each tenth on hopper) the likeliest actions are played from 20 starts (seeds
10,000 to 10,019), which no clock counts; seconds and steps are those until these reach the target,
seconds of one processor, on one thread. `return` is that at the end of the recipe, over 200 starts from
seed 100,000, the expert's over the same. PYTHON has imitation: as many of its trainings, from the same
demonstrations and seeds and looked at alike, are timed to the same target; ratio is their median over
ours, its range from the slowest of ours against the fastest of theirs to the reverse. `-cloned` begins
with cloning for 1000 steps (5000 on hopper), whose time counts; `cloning_return` is what that alone
reaches. A seed that never reaches the target counts with all its time, and lowers `reached`.
The `franka` cases learn from recorded files in FOLDER, see gail_franka.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import gail_franka
import numpy as np
import results
import torch
from numpy.typing import NDArray

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.fleet import ExpertActor, Here
from understudy.learn.gail import GailConfig, begun, gail
from understudy.learn.ppo import PpoConfig
from understudy.learn.recipes import RECIPES
from understudy.policies import find_policy
from understudy.policies.base import Policy
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.spec import STATE
from understudy.statistics import pooled_mean, rate
from understudy.tasks import make_task

LOOKS = range(10_000, 10_020)
STARTS = range(100_000, 100_200)
CHILD = Path(__file__).parent / "peers" / "imitation_gail.py"
CAREFUL = {"critic_rounds": 2}


@dataclass(frozen=True)
class Case:
    """One task, and what is called enough."""

    task: str
    policy: str
    demonstrations: int
    target: float
    environment: str = ""  # imitation's name of it; "": it is not compared
    their_steps: int = 300_000
    steps: int = 0  # to learn for; 0: those of the recipe
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    looks: int = 1  # rounds from one look to the next
    clone_steps: int = 0  # to begin with; 0: from nothing


CASES = {
    "cart-pole": Case("cart-pole", "mlp", 20, 475.0, "CartPole-v1"),
    "cart-pole-cloned": Case("cart-pole", "mlp", 20, 475.0, clone_steps=1000),
    "pendulum": Case("pendulum", "gaussian", 25, -400.0, "Pendulum-v1"),
    "pendulum-cloned": Case("pendulum", "gaussian", 25, -400.0, clone_steps=1000),
    "hopper": Case("hopper", "gaussian", 20, 2000.0, steps=300_000, seeds=(0, 1, 2), looks=10),
    "hopper-cloned": Case(
        "hopper", "gaussian", 20, 2000.0, steps=300_000, clone_steps=5000, seeds=(0, 1, 2), looks=10
    ),
}


@dataclass(frozen=True)
class Run:
    """One training."""

    seconds: float  # to the target, or all
    steps: int
    reached: bool
    returns: NDArray[np.float64]  # at the end
    cloning: NDArray[np.float64]  # before the first step, of one that was cloned


def shown(case: Case, folder: Path) -> Dataset:
    """The expert's episodes from seed 0 on."""
    place, task = folder / f"{case.task}-{case.demonstrations}", make_task(case.task)
    if place.exists():
        return Dataset.open(place)
    dataset = Dataset.create(place, task.spec)
    for episode in Here().rollouts(task, ExpertActor(), range(case.demonstrations)):
        dataset.append(episode)
    return dataset


def returns(policy: Policy, task: str, starts: range) -> NDArray[np.float64]:
    """Returns of the likeliest actions."""
    worlds = [make_task(task).build() for _ in range(20)]
    episodes = rollouts(worlds, Chunks(policy, width=20), starts)
    return np.array([episode.rewards.sum() for episode in episodes], np.float64)


def learnt(case: Case, dataset: Dataset, seed: int) -> Run:
    """Train once with the recipe."""
    recipe, task = RECIPES[case.task], make_task(case.task)
    config = GailConfig(**{**recipe.gail, "clone_steps": case.clone_steps})
    changes = {
        **(CAREFUL if case.clone_steps else {}),
        **({"steps": case.steps} if case.steps else {}),
    }
    practice = PpoConfig(**{**recipe.practice, **changes, "seed": seed})
    kind = find_policy(case.policy)
    fields = {key: value for key, value in recipe.policy.items() if hasattr(kind(), key)}
    began = time.process_time()
    policy = begun(kind(**fields), dataset, config, seed)
    spent = time.process_time() - began
    enough: tuple[float, int] | None = None
    steps = rounds = 0
    cloning = returns(policy, case.task, STARTS) if case.clone_steps else np.zeros(0)
    if case.clone_steps and returns(policy, case.task, LOOKS).mean() >= case.target:
        enough = (spent, 0)
    reports = gail(policy, dataset, task, config, practice, adapts=not case.clone_steps)
    while True:
        began = time.process_time()
        report = next(reports, None)
        spent += time.process_time() - began
        if report is None:
            break
        steps, rounds = report.step, rounds + 1
        is_due = enough is None and rounds % case.looks == 0
        if is_due and returns(policy, case.task, LOOKS).mean() >= case.target:
            enough = (spent, steps)
    seconds, needed = enough or (spent, steps)
    print(
        f"{case.task} seed {seed}: {seconds:.1f} s, {needed:,} steps, reached {enough is not None}"
    )
    last = returns(policy, case.task, STARTS)
    return Run(seconds, needed, enough is not None, last, cloning)


def theirs(case: Case, dataset: Dataset, python: str, folder: Path) -> list[tuple[float, bool]]:
    """Seconds that imitation takes to the same target, and whether it comes there."""
    file = folder / f"{case.task}.npz"
    episodes: list[Episode] = [dataset[i] for i in range(len(dataset))]
    seen = [
        row
        for episode in episodes
        for row in (np.asarray(episode.observations[STATE]), _last(episode)[None])
    ]
    np.savez(
        file,
        observations=np.concatenate(seen),
        actions=np.concatenate([episode.actions for episode in episodes]),
        lengths=[len(episode) for episode in episodes],
        terminated=[episode.terminated for episode in episodes],
    )
    found = []
    for seed in case.seeds:
        asked = {
            "environment": case.environment,
            "demonstrations": str(file),
            "target": case.target,
            "steps": case.their_steps,
            "first_start": LOOKS.start,
            "seed": seed,
        }
        ran = subprocess.run(
            [python, str(CHILD), json.dumps(asked)], capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise RuntimeError(f"imitation failed: {ran.stderr[-2000:]}")
        answer = json.loads(ran.stdout.splitlines()[-1])
        print(f"imitation, {case.task} seed {seed}: {answer}")
        found.append((float(answer["seconds"]), float(answer["return"]) >= case.target))
    return found


def _last(episode: Episode) -> NDArray[np.float32]:
    assert episode.final_observation is not None
    return np.asarray(episode.final_observation[STATE])


def rows_of(name: str, folder: Path, python: str) -> list[results.Row]:
    """The rows of one case."""
    case = CASES[name]
    dataset = shown(case, folder)
    seeds = list(case.seeds)
    runs = [learnt(case, dataset, seed) for seed in seeds]
    ours = [run.seconds for run in runs]
    task = make_task(case.task)
    expert = [e.rewards.sum() for e in Here().rollouts(task, ExpertActor(), STARTS)]
    rows = [
        results.estimate_row(
            name, "return", pooled_mean([r.returns for r in runs]), "return", seeds
        ),
        results.estimate_row(
            name, "return_of_expert", pooled_mean([np.array(expert)]), "return", []
        ),
        results.estimate_row(name, "reached", rate([run.reached for run in runs]), "share", seeds),
        results.median_row(name, "seconds_to_return", ours, "s", seeds),
        results.median_row(name, "steps_to_return", [run.steps for run in runs], "steps", seeds),
    ]
    if case.clone_steps:
        begun_with = pooled_mean([run.cloning for run in runs])
        rows.append(results.estimate_row(name, "cloning_return", begun_with, "return", seeds))
    if case.environment and python:
        peer = theirs(case, dataset, python, folder)
        took, came = [seconds for seconds, _ in peer], [reached for _, reached in peer]
        ratio = median(took) / median(ours)
        rows += [
            results.median_row(name, "imitation_seconds", took, "s", seeds),
            results.estimate_row(name, "imitation_reached", rate(came), "share", seeds),
            results.Row(
                case=name,
                metric="ratio_to_imitation",
                value=ratio,
                low=min(took) / max(ours),
                high=max(took) / min(ours),
                n=len(runs),
                unit="ratio",
                seeds=seeds,
            ),
        ]
    return rows


def main() -> None:
    """Measure what is asked for and write the rows."""
    parser = argparse.ArgumentParser(description="GAIL")
    parser.add_argument("--imitation", default="", help="a Python that has imitation 1.0.1")
    parser.add_argument(
        "--franka", type=Path, help="folder of circle_trajectory_dataset.json and others"
    )
    every = [*CASES, *gail_franka.CASES]
    parser.add_argument("--only", nargs="+", choices=every, default=every)
    given = parser.parse_args()
    torch.set_num_threads(1)
    franka: Path | None = given.franka
    if franka is None and any(name in gail_franka.CASES for name in given.only):
        parser.error("the franka cases need --franka FOLDER; --only leaves them out")
    command = "python benchmarks/gail.py --imitation PYTHON --franka FOLDER"
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only:
            if franka is not None and name in gail_franka.CASES:
                rows = gail_franka.rows_of(name, franka, Path(folder))
            else:
                rows = rows_of(name, Path(folder), given.imitation)
            results.write("gail", command, rows, every)


if __name__ == "__main__":
    main()
