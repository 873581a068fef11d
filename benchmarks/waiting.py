"""What it saves that worlds stand still until a whole batch of them needs a chunk: calls and processor time.

    python benchmarks/waiting.py --folder runs/pusht

Needs the runs `flow`, `diffusion` and `act` of benchmarks/pusht.py in --folder. 48 starts of PushT, 16 worlds
side by side, rows of 16, eight actions of a chunk, on one thread; episodes end when they succeed, so that
worlds fall out of step. With and without waiting in turn, in one run; the episodes must be the same to the bit.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import results
import torch

from understudy.episode import Episode
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.run import find_checkpoint
from understudy.tasks import make_task

POLICIES = ("flow", "diffusion", "act")
STARTS = range(100_000, 100_048)
WORLDS, EXECUTE, REPEATS = 16, 8, 3


def counted(policy: Any) -> list[None]:
    """What grows by one whenever the policy is asked from now on."""
    calls: list[None] = []
    predict = policy.predict

    def counting(*arguments: Any) -> Any:
        calls.append(None)
        return predict(*arguments)

    policy.predict = counting
    return calls


def played(checkpoint: Path, waits: bool) -> tuple[list[Episode], int, float]:
    """Episodes, calls of the network, processor seconds."""
    policy = load_checkpoint(checkpoint).policy
    calls = counted(policy)
    task = make_task("pusht")
    worlds = [task.build() for _ in range(WORLDS)]
    player = Chunks(policy, EXECUTE, WORLDS, "measured", task.spec.task, waits)
    began = time.process_time()
    episodes = list(rollouts(worlds, player, STARTS))
    seconds = time.process_time() - began
    for world in worlds:
        world.close()
    return episodes, len(calls), seconds


def same(ones: list[Episode], others: list[Episode]) -> bool:
    """Whether all actions are the same to the bit."""
    return all(np.array_equal(a.actions, b.actions) for a, b in zip(ones, others, strict=True))


def rows_of(name: str, checkpoint: Path) -> list[results.Row]:
    """Both ways in turn; raises AssertionError where an episode differs."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    calls: dict[bool, int] = {}
    reference = None
    for repeat in range(REPEATS):
        for waits in (True, False) if repeat % 2 else (False, True):
            episodes, calls[waits], spent = played(checkpoint, waits)
            seconds[waits].append(spent)
            reference = reference or episodes
            assert same(reference, episodes), f"{name}: episodes differ"
    ratios = [a / b for a, b in zip(seconds[False], seconds[True], strict=True)]
    print(name, calls, seconds, flush=True)
    return [
        results.median_row(name, "calls", [calls[True]], "calls", [0]),
        results.median_row(name, "calls_without", [calls[False]], "calls", [0]),
        results.median_row(name, "seconds", seconds[True], "s", [0]),
        results.median_row(name, "seconds_without", seconds[False], "s", [0]),
        results.median_row(name, "ratio", ratios, "ratio", [0]),
    ]


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description="full batches")
    parser.add_argument("--folder", type=Path, required=True, help="runs of benchmarks/pusht.py")
    folder = parser.parse_args().folder
    torch.set_num_threads(1)
    rows = [
        row
        for name in POLICIES
        for row in rows_of(name, find_checkpoint(folder / f"{name}-0" / "run"))
    ]
    results.write("waiting", "python benchmarks/waiting.py --folder runs/pusht", rows)


if __name__ == "__main__":
    main()
