"""GAIL on recorded answers of an inverse kinematics, beside cloning: benchmarks/gail.py measures it.

Two foreign sets of positions and a Panda's joint angles, a file each, every position shown once: a circle of
100 points, 6.3 mm apart, and a freehand stroke of 345; both hop between branches of the kinematics. The world
is panda-trace with the recorded line as its curve. References stand every 5 mm on the line through the points
halfway between neighbours, so hardly one of them was shown; what was chosen was chosen on those a quarter of
the way. The error is the distance of the tool from the reference: root mean square over references and
training seeds, median and largest of each seed. Where the tool is, the data say themselves: the freehand stroke
is not the flange's. Cloning is the plain MLP of benchmarks/panda_trace.py, 5,000 steps. `told_apart` is the
discriminator's accuracy in the last round.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import results
from numpy.typing import NDArray

from understudy.data.formats.ik_json import import_folder
from understudy.data.store import Dataset
from understudy.learn.clone import clone
from understudy.learn.gail import GailConfig, begun, gail
from understudy.learn.ppo import PpoConfig
from understudy.learn.recipes import RECIPES
from understudy.learn.supervised import LearnConfig
from understudy.physics.arms import PANDA
from understudy.physics.kinematics import Floats
from understudy.policies.base import Policy
from understudy.policies.gaussian import GaussianConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.spec import ENVIRONMENT_STATE
from understudy.statistics import Estimate, Interval, pooled_mean
from understudy.tasks.diagnosis import Diagnosis, diagnose_dataset
from understudy.tasks.panda_trace import CHAIN, PandaTrace

SEEDS = [0, 1, 2]
TRACER, TRACER_STEPS = MlpConfig(width=128, loss="l2"), 5000
RECIPE = RECIPES["panda-trace"]


@dataclass(frozen=True)
class Case:
    """One recorded line, and how GAIL begins."""

    file: str
    clone_steps: int = 0
    learning_rate: float = 1e-3
    critic_rounds: int = 0


CIRCLE, FREEHAND = "circle_trajectory_dataset.json", "diffusion_dataset.json"
CASES = {
    "franka": Case(CIRCLE),
    "franka-cloned": Case(CIRCLE, clone_steps=4000, learning_rate=3e-4, critic_rounds=2),
    "franka-freehand": Case(FREEHAND),
}


@dataclass(frozen=True)
class Line:
    """What is shown of a line, and what is asked for."""

    shown: Dataset
    found: Diagnosis
    task: PandaTrace  # to practise on: the recorded line
    references: PandaTrace


def line_of(file: Path, folder: Path, share: float = 0.5) -> Line:
    """Import a recorded line; references lie `share` of the way to the next point."""
    place = folder / file.stem
    if not place.exists():
        import_folder(file, place)
    dataset = Dataset.open(place)
    points = np.asarray(dataset.column(ENVIRONMENT_STATE), np.float64)
    between = (1 - share) * points[:-1] + share * points[1:]
    tasks = []
    for name, rows in (("shown", points), (f"at-{share}", between)):
        curve = place.with_name(f"{place.name}-{name}.txt")
        np.savetxt(curve, rows)
        tasks.append(PandaTrace().following(curve))
    return Line(dataset, diagnose_dataset(dataset, PANDA), *tasks)


def errors_mm(policy: Policy, line: Line) -> Floats:
    """Distance of the tool from each reference (T,)."""
    [episode] = rollouts([line.references.build()], Chunks(policy), [100_000])
    joints = np.clip(np.asarray(episode.actions, np.float64), CHAIN.low_rad, CHAIN.high_rad)
    flange, turns = CHAIN.forward(joints)
    tool = flange + turns @ line.found.offset_m
    points = np.asarray(episode.observations[ENVIRONMENT_STATE], np.float64)
    return 1e3 * np.linalg.norm(tool - points, axis=1)


def tried(case: Case, line: Line, seed: int) -> tuple[NDArray[np.float64], float]:
    """Errors of GAIL's policy, and how well the discriminator knew it in the last round."""
    fields = {**RECIPE.practice, "learning_rate": case.learning_rate, "seed": seed}
    practice = PpoConfig(**{**fields, "critic_rounds": case.critic_rounds})
    config = GailConfig(**{**RECIPE.gail, "clone_steps": case.clone_steps})
    policy = begun(GaussianConfig(**RECIPE.policy), line.shown, config, seed)
    adapts = not case.clone_steps
    *_, last = gail(policy, line.shown, line.task, config, practice, adapts=adapts)
    return errors_mm(policy, line), last.facts["accuracy"]


def rows_of(name: str, source: Path, folder: Path) -> list[results.Row]:
    """The rows of one case, from the recorded files in `source`."""
    case = CASES[name]
    line = line_of(source / case.file, folder)
    cloned = [
        errors_mm(clone(TRACER, line.shown, LearnConfig(steps=TRACER_STEPS, seed=seed)), line)
        for seed in SEEDS
    ]
    found, accuracies = zip(*(tried(case, line, seed) for seed in SEEDS), strict=True)
    rows = [rms_row(name, "tracking_mm", found), rms_row(name, "cloning_tracking_mm", cloned)]
    for of, runs in (("tracking", found), ("cloning_tracking", cloned)):
        for kind, size in (("median", np.median), ("most", np.max)):
            sizes = [float(size(run)) for run in runs]
            rows.append(results.median_row(name, f"{of}_{kind}_mm", sizes, "mm", SEEDS))
    rows.append(results.median_row(name, "told_apart", accuracies, "share", SEEDS))
    print(f"{name}: {[(row['metric'], round(row['value'], 2)) for row in rows]}", flush=True)
    return rows


def rms_row(case: str, metric: str, runs: list[Floats] | tuple[Floats, ...]) -> results.Row:
    """The root mean square of errors (T,) of several runs, with its interval."""
    square = pooled_mean([run**2 for run in runs])
    low, high = np.sqrt([square.interval.low, square.interval.high]).tolist()
    estimate = Estimate(float(np.sqrt(square.value)), Interval(low, high), square.n)
    return results.estimate_row(case, metric, estimate, "mm", SEEDS)
