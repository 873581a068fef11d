"""Evaluation: episodes a second of `rollouts` over many worlds, against a plain loop over single ones.

    python benchmarks/evaluation_speed.py

The plain loop is what a first script does: one Gymnasium environment, the same network asked for one
action at a time. The network is an untrained MLP (2 x 128) on cart-pole and mountain-car, on one
thread, so that both play the same episodes; for PushT's states it is asked for chunks of 16, 8
played. Timed in turn, in one run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import results
import torch

from understudy.data.windows import TICK
from understudy.fleet import Here, PolicyActor
from understudy.policies.checkpoint import load_checkpoint, save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.tasks import make_task
from understudy.tasks.base import TaskConfig

REPEATS = 5
CASES = {"cart-pole": (1, 400), "mountain-car": (1, 60), "pusht": (16, 24)}  # horizon, episodes
WORLDS = 32


def single(task: TaskConfig, checkpoint: Path, seeds: range, execute: int) -> list[int]:
    """One environment, one action at a time; returns the lengths of the episodes."""
    policy = load_checkpoint(checkpoint).policy
    world, lengths = task.build(), []
    dtype = np.dtype(task.spec.action.dtype)
    for seed in seeds:
        seen, over, ticks, queue = world.reset(seed=seed)[0], False, 0, []
        while not over:
            if not queue:
                batch = {key: torch.from_numpy(value)[None, None] for key, value in seen.items()}
                batch[TICK] = torch.tensor([[ticks]])
                with torch.inference_mode():
                    chunk = policy.predict(batch, torch.zeros(1, 0))[0, :execute]
                queue = list(chunk.numpy().astype(dtype))
            seen, _, terminated, truncated, _ = world.step(queue.pop(0))
            ticks, over = ticks + 1, terminated or truncated
        lengths.append(ticks)
    return lengths


def timed(play: Callable[[], list[int]], count: int) -> float:
    """Episodes a second."""
    began = time.perf_counter()
    assert len(play()) == count
    return count / (time.perf_counter() - began)


def measure(name: str, folder: Path) -> list[results.Row]:
    """Time one task."""
    horizon, count = CASES[name]
    execute = max(1, horizon // 2)
    task, seeds = make_task(name), range(10_000, 10_000 + count)
    torch.manual_seed(0)
    policy = MlpConfig(horizon=horizon, width=128, depth=2).build(task.spec)
    with torch.no_grad():
        for key, buffer in policy.named_buffers():
            buffer.fill_(100.0 if name == "pusht" else float(key.endswith("scale")))
    save_checkpoint(folder / name, "mlp", policy, {})
    actor = PolicyActor(checkpoint=folder / name, execute=execute, width=WORLDS)

    def many() -> list[int]:
        return [len(episode) for episode in Here(WORLDS).rollouts(task, actor, seeds)]

    rates = [
        (
            timed(lambda: single(task, folder / name, seeds, execute), count),
            timed(many, count),
        )
        for _ in range(REPEATS)
    ]
    columns = {
        ("ratio_to_single", "ratio"): [rate / alone for alone, rate in rates],
        ("episodes_per_s", "episodes/s"): [rate for _, rate in rates],
        ("single_episodes_per_s", "episodes/s"): [alone for alone, _ in rates],
    }
    return [
        results.median_row(name, metric, values, unit, [0])
        for (metric, unit), values in columns.items()
    ]


def main() -> None:
    """Time all cases and write the rows."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for name in CASES for row in measure(name, Path(folder))]
    results.write("evaluation_speed", "python benchmarks/evaluation_speed.py", rows)


if __name__ == "__main__":
    main()
