"""Sliders played back by the nearest neighbour: five traces, four disturbances, both engines.

    python benchmarks/kuka_sliders.py

One configuration for all. Each trace is shown once, in each of three worlds (seeds 0 to 2), and played
back from another start (seed 100,000 on); `tip_rmse_mm` is between the tip then and the tip in the
demonstration at the same time, `path_rmse_mm` to the path shown. A push's path error leaves out the half
second in which the arm may recover. `joints-only` is the same trace with three neighbours by the joints
alone. A query is one decision, on one thread, with 100,800 rows kept: the five traces and seven times the
same about other middles; median of 500, five times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import results
import torch
from decisions import decision_ms
from numpy.typing import NDArray

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.fleet import ExpertActor, Here
from understudy.learn.clone import clone
from understudy.learn.supervised import LearnConfig
from understudy.physics.arms import IIWA
from understudy.policies.base import Policy
from understudy.policies.knn import KnnConfig
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.spec import ENVIRONMENT_STATE, STATE
from understudy.statistics import rate
from understudy.tasks.arms import Engine
from understudy.tasks.kuka_sliders import JOINTS, TAPE, TRACES, KukaSliders, Trace

SEEDS = [0, 1, 2]
PLAYBACK = KnnConfig(k=1, scale="together", emphasis=(f"{ENVIRONMENT_STATE}=3", f"{TAPE}=2"))
JOINTS_ONLY = KnnConfig(k=3, emphasis=(f"{ENVIRONMENT_STATE}=0", f"{TAPE}=0"))
DISTURBANCES = ("push", "hold", "slow", "mid-start")
COPIES = 8
ENGINES: tuple[Engine, ...] = ("mujoco", "bullet")
Measured = dict[str, float]


def shown(trace: Trace, engine: Engine, seed: int) -> tuple[KukaSliders, Episode]:
    """The task of a trace, and its demonstration."""
    task = KukaSliders(trace=trace, engine=engine)
    return task, next(iter(Here(worlds=1).rollouts(task, ExpertActor(), [seed])))


def learnt(demonstrations: Sequence[Episode], task: KukaSliders, config: KnnConfig) -> Policy:
    """The policy that has seen them."""
    with tempfile.TemporaryDirectory() as folder:
        with Dataset.create(Path(folder) / "shown", task.spec) as dataset:
            for demonstration in demonstrations:
                dataset.append(demonstration)
        return clone(config, dataset, LearnConfig())


def played(policy: Policy, task: KukaSliders, seed: int) -> tuple[Episode, Measured]:
    """A playback, and what the world says of it."""
    world = task.build()
    actor = Chunks(policy, 1, 1, "knn", task.spec.task)
    (episode,) = rollouts([world], actor, [100_000 + seed])
    found = {key: float(value) for key, value in world.unwrapped.measured().items()}  # type: ignore[attr-defined]
    world.close()
    return episode, found


def tip_m(episode: Episode) -> NDArray[np.float64]:
    """Where the tip was (T, 3)."""
    return IIWA.chain.forward(np.asarray(episode.observations[STATE], np.float64))[0]


def measure(job: tuple[Trace, Engine, int]) -> dict[str, Measured]:
    """What became of one demonstration: played back, disturbed, and by the joints alone."""
    trace, engine, seed = job
    task, demonstration = shown(trace, engine, seed)
    found: dict[str, Measured] = {}
    for name, config in (("none", PLAYBACK), ("joints-only", JOINTS_ONLY)):
        policy = learnt([demonstration], task, config)
        episode, found[name] = played(policy, task, seed)
        apart_m = np.linalg.norm(tip_m(episode) - tip_m(demonstration), axis=1)
        found[name]["tip_m"] = float(np.sqrt(np.mean(apart_m**2)))
    policy = learnt([demonstration], task, PLAYBACK)
    for disturb in DISTURBANCES:
        _, found[disturb] = played(policy, replace(task, disturb=disturb), seed)
    return found


def moved(episode: Episode, way: NDArray[np.float32]) -> Episode:
    """The same movement about another middle, `way` (7,) from its own."""

    def all_but_the_tape(seen: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        return {key: value if key == TAPE else value + way for key, value in seen.items()}

    return replace(
        episode,
        observations=all_but_the_tape(episode.observations),
        final_observation=all_but_the_tape(episode.final_observation or {}),
        actions=episode.actions + np.append(way, np.float32(0)),
        executed=None,
    )


def query_ms() -> list[float]:
    """Five times the median of a decision with 100,800 rows."""
    draws = np.random.default_rng(0)
    made = [shown(trace, "mujoco", 0) for trace in TRACES]
    kept = [one for _, one in made]
    for _ in range(1, COPIES):
        kept += [moved(one, draws.uniform(-0.5, 0.5, JOINTS).astype(np.float32)) for _, one in made]
    policy = learnt(kept, made[0][0], PLAYBACK)
    return [decision_ms(policy, 500) for _ in range(5)]


def main() -> None:
    """Play everything back and write the rows."""
    torch.set_num_threads(1)
    jobs = [(trace, engine, seed) for engine in ENGINES for trace in TRACES for seed in SEEDS]
    with ProcessPoolExecutor(2) as pool:
        found = dict(zip(jobs, pool.map(measure, jobs), strict=True))
    rows: list[results.Row] = []

    def row(case: str, metric: str, values: Sequence[float], unit: str) -> None:
        rows.append(results.median_row(case, metric, values, unit, SEEDS))

    for engine in ENGINES:
        end = "" if engine == "mujoco" else f"-{engine}"
        for trace in TRACES:
            mine = [found[trace, engine, seed] for seed in SEEDS]
            for name, case in (
                ("none", f"{trace}{end}"),
                ("joints-only", f"joints-only-{trace}{end}"),
            ):
                row(case, "tip_rmse_mm", [1e3 * one[name]["tip_m"] for one in mine], "mm")
                row(case, "span", [one[name]["span"] for one in mine], "share")
        for disturb in DISTURBANCES:
            mine = [found[trace, engine, seed][disturb] for trace in TRACES for seed in SEEDS]
            successes = rate([bool(one["is_success"]) for one in mine])
            rows.append(
                results.estimate_row(f"{disturb}{end}", "success_rate", successes, "share", SEEDS)
            )
            row(f"{disturb}{end}", "path_rmse_mm", [1e3 * one["rms_m"] for one in mine], "mm")
            if disturb == "push":
                row(f"{disturb}{end}", "recovery_s", [one["recovery_s"] for one in mine], "s")
    row("query", "ms", query_ms(), "ms")
    results.write("kuka_sliders", "python benchmarks/kuka_sliders.py", rows)


if __name__ == "__main__":
    main()
