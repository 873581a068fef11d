"""Training steps of a recurrent policy against robomimic's BC-RNN.

Two LSTM layers of 400 over ten ticks, batches of 100, observations of 23 numbers, actions of 7, made up
and in memory, two threads. robomimic predicts an action at each of the ten ticks and learns from all,
ours one at the last tick: the recurrent network's work is the same, the head's (a matrix of 400 x 7) and
what a step teaches are not. Ours is a step of `understudy train lstm --precision auto`, with
normalising, clipping and averaging of weights, and a row of its own is in float32; theirs is a call of
its `train_on_batch` on a batch that lies ready.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import comparison
import made_up
import results
import torch
from peers.timing import median_seconds, report

from understudy.data.windows import Windows
from understudy.learn.supervised import LearnConfig, learn
from understudy.policies.lstm import LstmConfig
from understudy.spec import Signal, Spec

SIZES = {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2, "object": 14}
Precision = Literal["float32", "bfloat16", "auto"]
SPEC = Spec(
    {f"observation.{key}": Signal((size,)) for key, size in SIZES.items()}, Signal((7,)), 20.0
)
BATCH, SEQUENCE, THREADS, REPEATS, SECONDS = 100, 10, 2, 5, 8.0
CASES = ("bc-rnn-train",)
PRECISIONS: dict[str, Precision] = {"": "auto", "-float32": "float32"}


def ours(precision: Precision) -> float:
    """Steps a second."""
    torch.set_num_threads(THREADS)
    windows = Windows(made_up.Columns(SPEC, 50, 200), history=SEQUENCE, horizon=1, batch_size=BATCH)
    policy = LstmConfig(history=SEQUENCE, width=400, layers=2, head="l2").build(SPEC)
    policy.prepare(windows)
    learning = LearnConfig(steps=10**6, batch_size=BATCH, report_every=1, precision=precision)
    reports = learn(policy, windows, learning)
    return 1 / median_seconds(lambda: next(reports), SECONDS)


def measure(name: str, python: Path) -> list[results.Row]:
    """Time both in turn."""
    found: dict[str, list[comparison.Run]] = {}
    asked = [False, BATCH, SEQUENCE, SIZES, SPEC.action.size, SECONDS, THREADS]
    for _ in range(REPEATS):
        for end, precision in PRECISIONS.items():
            found.setdefault(name + end, []).append(comparison.ours(__file__, precision))
        seconds, memory = comparison.theirs(python, "robomimic_rnn.py", asked)
        found.setdefault(f"{name}-robomimic", []).append((1 / seconds, memory))
    return comparison.rows(found, f"{name}-robomimic", "steps_per_s", "steps/s")


if __name__ == "__main__":
    report(ours(json.loads(sys.argv[1])))
