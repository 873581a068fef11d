"""Training steps of a recurrent policy against robomimic's BC-RNN.

Two LSTM layers of 400 over ten ticks, batches of 100, observations of 23 numbers, actions of 7, made up
and in memory, float32 on both sides, two threads. robomimic predicts an action at each of the ten ticks,
ours one at the last; that is the head's work alone, a matrix of 400 x 7 (350 numbers a tick with the
mixture of five Gaussians, which has a row of its own). `bc-rnn-train` is what `understudy train lstm`
does by default otherwise: normalising, clipping, averaging of weights included; theirs is one call of
its `train_on_batch` on a batch that lies ready.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import comparison
import numpy as np
import results
import torch
from peers.timing import median_seconds, report

from understudy.data.windows import Windows
from understudy.learn.supervised import LearnConfig, learn
from understudy.policies.lstm import LstmConfig
from understudy.spec import Signal, Spec

SIZES = {"robot0_eef_pos": 3, "robot0_eef_quat": 4, "robot0_gripper_qpos": 2, "object": 14}
SPEC = Spec(
    {f"observation.{key}": Signal((size,)) for key, size in SIZES.items()}, Signal((7,)), 20.0
)
BATCH, SEQUENCE, THREADS, REPEATS, SECONDS = 100, 10, 2, 5, 8.0
CASES = {"bc-rnn-train": "l2", "bc-rnn-gmm-train": "mixture"}


class Made:
    """Made-up demonstrations in memory; `understudy.data.windows.Columns`."""

    spec, fingerprint = SPEC, ""
    lengths = np.full(50, 200)
    tasks = ("",) * 50

    def column(self, key: str) -> np.ndarray:
        """Normal numbers for every signal; nobody labelled them."""
        size = 0 if key == "label" else {**SPEC.observations, "action": SPEC.action}[key].size
        generator = np.random.default_rng(size)
        return generator.normal(size=(int(self.lengths.sum()), size)).astype(np.float32)


def ours(head: str) -> float:
    """Steps a second."""
    torch.set_num_threads(THREADS)
    windows = Windows(Made(), history=SEQUENCE, horizon=1, batch_size=BATCH)
    policy = LstmConfig(history=SEQUENCE, width=400, layers=2, head=head).build(SPEC)  # pyright: ignore[reportArgumentType]  # one of CASES
    policy.prepare(windows)
    reports = learn(policy, windows, LearnConfig(steps=10**6, batch_size=BATCH, report_every=1))
    return 1 / median_seconds(lambda: next(reports), SECONDS)


def measure(name: str, python: Path) -> list[results.Row]:
    """Time both in turn."""
    found: dict[str, list[comparison.Run]] = {name: [], f"{name}-robomimic": []}
    gaussians = CASES[name] == "mixture"
    asked = [gaussians, BATCH, SEQUENCE, SIZES, SPEC.action.size, SECONDS, THREADS]
    for _ in range(REPEATS):
        found[name].append(comparison.ours(__file__, CASES[name]))
        seconds, memory = comparison.theirs(python, "robomimic_rnn.py", asked)
        found[f"{name}-robomimic"].append((1 / seconds, memory))
    return comparison.rows(found, f"{name}-robomimic", "steps_per_s", "steps/s")


if __name__ == "__main__":
    report(ours(json.loads(sys.argv[1])))
