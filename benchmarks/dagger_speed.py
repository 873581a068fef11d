"""DAgger on mountain-car and cart-pole: our time to a return against that of `imitation` 1.0.1, one core each.

    python benchmarks/dagger_speed.py --imitation PYTHON

Both begin with the same expert demonstrations and stop at the same mean return over the same 100 selection
starts: -125 on mountain-car, 475 on cart-pole. Time is all of it, from the demonstrations on, but the
measuring, which is not part of learning; the interpreter's start and imports are not counted either. Each
side has its own settings: theirs those of peers/imitation_dagger.py, ours those below. Ours also writes
every episode durably to a dataset. PYTHON is the interpreter of an environment with imitation 1.0.1, as
`make peers` builds it. Timed in turn, each in a process of its own, five seeds; the ratio of processor time
stands beside that of the clock, which whatever else runs on the machine disturbs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import results
import torch

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.fleet import ExpertActor, Here, PolicyActor
from understudy.learn.clone import clone
from understudy.learn.dagger import DaggerConfig, MixtureActor, Score, dagger
from understudy.learn.gates import BetaGate
from understudy.learn.supervised import LearnConfig
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.spec import STATE
from understudy.statistics import mean
from understudy.tasks import make_task

SEEDS = [0, 1, 2, 3, 4]
STARTS = list(range(10_000, 10_100))
ROUNDS, EPISODES = 20, 5
PEER = Path(__file__).parent / "peers" / "imitation_dagger.py"


@dataclass(frozen=True)
class Case:
    """A task, the return that is asked for, and what both sides see of the expert first."""

    environment: str
    target: float
    demonstrations: int
    steps: int


CASES = {
    "mountain-car": Case("MountainCar-v0", -125.0, 1, 200),
    "cart-pole": Case("CartPole-v1", 475.0, 1, 100),
}
POLICY = MlpConfig(width=64, depth=2, bins=16)


def ours(task_name: str, seed: int, folder: Path) -> tuple[float, float, int, float]:
    """Seconds, processor seconds, rounds and return."""
    torch.set_num_threads(1)
    case, task, fleet = CASES[task_name], make_task(task_name), Here(8)
    shown = list(fleet.rollouts(task, ExpertActor(), range(case.demonstrations)))
    learning = LearnConfig(steps=case.steps, batch_size=128, learning_rate=1e-2, warmup_steps=10,
                           ema_decay=0.0, seed=seed)  # fmt: skip
    measured = [0.0, 0.0]

    def collect(number: int, checkpoint: Path, seeds: Sequence[int]) -> Iterator[Episode]:
        learner = PolicyActor(checkpoint=checkpoint, width=8)
        return fleet.rollouts(task, MixtureActor(learner=learner, gate=BetaGate(share=0.0)), seeds)

    def train(number: int) -> Path:
        policy = clone(POLICY, dataset, learning)
        return save_checkpoint(folder / f"policy-{number}", "mlp", policy, {})

    def evaluate(number: int, checkpoint: Path) -> Score:
        paused = time.perf_counter(), time.process_time()
        played = Here(20).rollouts(task, PolicyActor(checkpoint=checkpoint, width=20), STARTS)
        score = Score(None, mean([e.rewards.sum() for e in played]))
        measured[0] += time.perf_counter() - paused[0]
        measured[1] += time.process_time() - paused[1]
        return score

    config = DaggerConfig(rounds=ROUNDS, episodes=EPISODES, target_score=case.target)
    began, process = time.perf_counter(), time.process_time()
    with Dataset.create(folder / "data", task.spec) as dataset:
        for episode in shown:
            dataset.append(episode)
        *_, last = dagger(dataset, config, collect=collect, train=train, evaluate=evaluate,
                          first_seed=1000 * (seed + 1))  # fmt: skip
    seconds = time.perf_counter() - began - measured[0]
    processor = time.process_time() - process - measured[1]
    return seconds, processor, last.number + 1, last.score.score.value


def asked(command: Sequence[object]) -> tuple[float, float, int, float]:
    """Run a side in a process of its own, on one thread."""
    answer = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if answer.returncode:
        raise SystemExit(answer.stderr)
    seconds, processor, rounds, found = json.loads(answer.stdout.splitlines()[-1])
    return seconds, processor, rounds, found


def demonstrations(task_name: str, file: Path) -> None:
    """Write the expert's demonstrations where the peer reads them."""
    task, count = make_task(task_name), CASES[task_name].demonstrations
    shown = list(Here(8).rollouts(task, ExpertActor(), range(count)))
    seen = [
        np.concatenate(
            [np.asarray(e.observations[STATE]), (e.final_observation or {})[STATE][None]]
        )
        for e in shown
    ]
    np.savez(
        file,
        states=np.concatenate(seen),
        actions=np.concatenate([e.actions[:, 0] for e in shown]),
        lengths=np.array([len(e) for e in shown]),
    )


def measure(name: str, python: str) -> list[results.Row]:
    """Time both in turn on one task."""
    case, pairs = CASES[name], []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "demonstrations.npz"
            demonstrations(name, file)
            words = [case.environment, str(file), case.target, seed, STARTS, ROUNDS, 1]
            pairs.append(
                (
                    asked([sys.executable, __file__, "--ours", name, seed, folder]),
                    asked([python, "-W", "ignore", PEER, json.dumps(words)]),
                )
            )
    missed = [side for pair in pairs for side in pair if side[3] < case.target]
    if missed:
        print(f"{name}: the target was not reached by {missed}")
    figures = (
        ("ratio_to_imitation", [b[0] / a[0] for a, b in pairs], "ratio"),
        ("processor_ratio_to_imitation", [b[1] / a[1] for a, b in pairs], "ratio"),
        ("seconds", [a[0] for a, _ in pairs], "s"),
        ("imitation_seconds", [b[0] for _, b in pairs], "s"),
        ("processor_seconds", [a[1] for a, _ in pairs], "s"),
        ("imitation_processor_seconds", [b[1] for _, b in pairs], "s"),
        ("rounds", [float(a[2]) for a, _ in pairs], "1"),
        ("imitation_rounds", [float(b[2]) for _, b in pairs], "1"),
        ("return", [a[3] for a, _ in pairs], "return"),
        ("imitation_return", [b[3] for _, b in pairs], "return"),
    )
    return [
        results.median_row(name, metric, values, unit, SEEDS) for metric, values, unit in figures
    ]


def main() -> None:
    """Time both tasks and write the rows."""
    parser = argparse.ArgumentParser(description="time to a return by DAgger")
    parser.add_argument("--imitation", help="interpreter that has imitation 1.0.1")
    parser.add_argument("--ours", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        name, seed, folder = options.ours
        print(json.dumps(ours(name, int(seed), Path(folder))))
        return
    if not options.imitation:
        parser.error("--imitation PYTHON names an interpreter that has imitation 1.0.1")
    rows = [row for name in CASES for row in measure(name, options.imitation)]
    results.write("dagger_speed", "python benchmarks/dagger_speed.py --imitation PYTHON", rows)


if __name__ == "__main__":
    main()
