"""Curves followed by a cloned inverse kinematics, and what the diffusion model does for bad demonstrations.

    python benchmarks/panda_trace.py [--only PART ...]

`circle`, `square` and `freehand`: an MLP learns from the expert's strokes (seeds from 0 on, points 3 cm
apart, up to 1.5 cm around the box: without them one freehand curve of 60 was missed by 3.5 mm) and follows 20 unseen curves of each kind (seeds from 100,000 on, points 5 mm apart), with three
training seeds. RMSE is the mean over curves and seeds; the other measures are of all curves of a training
seed together, the median of the seeds and the least and greatest: the largest error, the largest step of a
joint per 5 mm, ticks outside the limits. Seconds are processor time of collecting and training on one
thread. `*-mixed`, `*-noisy`, `*-clean`: the RMSE of 20 freehand curves, learnt from demonstrations that change
between two branches of the kinematics, whose angles are noisy, or neither; the ratio is of `regularised` to the
same policy without its prior, the geometric mean over curves and seeds. `weight-*`: the same with other weights
of the prior, on 20 selection curves (seeds from 10,000 on), by which the weight is chosen.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import results
import torch

from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.learn.clone import clone
from understudy.learn.supervised import LearnConfig
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.player import Chunks
from understudy.policies.regularised import RegularisedConfig
from understudy.rollout import rollouts
from understudy.statistics import Estimate, Interval, pooled_mean
from understudy.tasks.panda_trace import MOST_MARGIN_M, PandaTrace, Trace, measured_of

SEEDS = [0, 1, 2]
CURVES, SELECTION = range(100_000, 100_020), range(10_000, 10_020)
FREEHAND = PandaTrace()
TASKS = {"circle": PandaTrace(curve="circle"), "square": PandaTrace(curve="square"),
         "freehand": FREEHAND}  # fmt: skip
TRACER = MlpConfig(width=128, loss="l2")
TRACER_STEPS, COMPARED_STEPS = 15_000, 4000
REGULARISED = RegularisedConfig()
WEIGHTS = (0, 10, 100, 1000, 10_000)
SHOWN = {
    "tracer": (PandaTrace(spacing_m=0.03, margin_m=MOST_MARGIN_M), 1000),
    "mixed": (PandaTrace(demonstrations="mixed"), 100),
    "noisy": (PandaTrace(demonstrations="noisy"), 100),
    "clean": (FREEHAND, 100),
}
COMPARED = ("mixed", "noisy", "clean")
CASES = (*TASKS, *(f"{kind}-{data}" for data in COMPARED for kind in ("regularised", "plain")),
         *(f"weight-{weight}-{data}" for data in COMPARED for weight in WEIGHTS))  # fmt: skip


def demonstrations(name: str, folder: Path) -> tuple[Dataset, float]:
    """The expert's episodes, and the processor time they took."""
    task, count = SHOWN[name]
    began = time.process_time()
    if (folder / name).exists():
        return Dataset.open(folder / name), 0.0
    with Dataset.create(folder / name, task.spec) as dataset:
        for episode in Here(worlds=1).rollouts(task, ExpertActor(), range(count)):
            dataset.append(episode)
    return Dataset.open(folder / name), time.process_time() - began


def trained(config: PolicyConfig, dataset: Dataset, steps: int, seed: int) -> tuple[Policy, float]:
    """A policy, and the processor time it took."""
    began = time.process_time()
    policy = clone(config, dataset, LearnConfig(steps=steps, seed=seed))
    return policy, time.process_time() - began


def traces(policy: Policy, task: PandaTrace, curves: Sequence[int] = CURVES) -> list[Trace]:
    """How the policy follows all curves of a task."""
    worlds = [task.build() for _ in range(10)]
    return [measured_of(episode) for episode in rollouts(worlds, Chunks(policy), curves)]


def kind_rows(
    kind: str, runs: Sequence[Sequence[Trace]], seconds: list[float]
) -> list[results.Row]:
    """Rows of one kind of curve, of the runs of all training seeds."""
    errors = pooled_mean([[trace.rmse_mm for trace in run] for run in runs])
    success = pooled_mean([np.array([trace.is_good for trace in run]) for run in runs])
    return [
        results.estimate_row(kind, "rmse_mm", errors, "mm", SEEDS),
        results.median_row(kind, "max_mm", [max(t.max_mm for t in r) for r in runs], "mm", SEEDS),
        results.median_row(
            kind, "step_rad_per_5_mm", [max(t.step_rad for t in r) for r in runs], "rad", SEEDS
        ),
        results.median_row(
            kind, "ticks_outside", [sum(t.violations for t in r) for r in runs], "ticks", SEEDS
        ),
        results.estimate_row(kind, "success_rate", success, "share", SEEDS),
        results.median_row(kind, "train_seconds", seconds, "s", SEEDS),
    ]


def tracer_rows(folder: Path) -> list[results.Row]:
    """Rows of the curves that are to be followed well."""
    dataset, collected = demonstrations("tracer", folder)
    policies, seconds = zip(
        *(trained(TRACER, dataset, TRACER_STEPS, seed) for seed in SEEDS), strict=True
    )
    rows = []
    for kind, task in TASKS.items():
        runs = [traces(policy, task) for policy in policies]
        rows += kind_rows(kind, runs, [collected + used for used in seconds])
    return rows


def compared_rows(name: str, folder: Path) -> list[results.Row]:
    """Rows of the regularised policy, and of the same without its prior."""
    dataset, _ = demonstrations(name, folder)
    configs = {"regularised": REGULARISED, "plain": replace(REGULARISED, prior_weight=0.0)}
    errors: dict[str, list[list[float]]] = {}
    rows = []
    for kind, config in configs.items():
        runs = [trained(config, dataset, COMPARED_STEPS, seed) for seed in SEEDS]
        errors[kind] = [[t.rmse_mm for t in traces(policy, FREEHAND)] for policy, _ in runs]
        case = f"{kind}-{name}"
        rows += [
            results.estimate_row(case, "rmse_mm", pooled_mean(errors[kind]), "mm", SEEDS),
            results.median_row(case, "train_seconds", [used for _, used in runs], "s", SEEDS),
        ]
    ratio = pooled_ratio(errors["regularised"], errors["plain"])
    return [
        *rows,
        results.estimate_row(f"regularised-{name}", "rmse_ratio", ratio, "ratio", SEEDS),
    ]


def weight_rows(name: str, folder: Path) -> list[results.Row]:
    """Rows of all weights, on selection curves."""
    dataset, _ = demonstrations(name, folder)
    rows = []
    for weight in WEIGHTS:
        config = replace(REGULARISED, prior_weight=float(weight))
        runs = [trained(config, dataset, COMPARED_STEPS, seed)[0] for seed in SEEDS]
        found = [[t.rmse_mm for t in traces(run, FREEHAND, SELECTION)] for run in runs]
        case = f"weight-{weight}-{name}"
        rows.append(results.estimate_row(case, "rmse_mm", pooled_mean(found), "mm", SEEDS))
    return rows


def pooled_ratio(over: list[list[float]], under: list[list[float]]) -> Estimate:
    """The geometric mean of ratios (R, N) over shared curves, with its interval."""
    logs = pooled_mean(list(np.log(over) - np.log(under)))
    low, high = np.exp([logs.interval.low, logs.interval.high]).tolist()
    return Estimate(float(np.exp(logs.value)), Interval(low, high), logs.n)


def main() -> None:
    """Measure what is asked for and write the rows."""
    parts = {
        "tracer": tracer_rows,
        **{data: partial(compared_rows, data) for data in COMPARED},
        **{f"weights-{data}": partial(weight_rows, data) for data in COMPARED},
    }
    parser = argparse.ArgumentParser(description="panda-trace")
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        for part in given.only:
            rows = parts[part](Path(name))
            results.write("panda_trace", "python benchmarks/panda_trace.py", rows, CASES)


if __name__ == "__main__":
    main()
