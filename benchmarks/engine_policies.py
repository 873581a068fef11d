"""Training and prediction against LeRobot: the same networks, batches and threads.

`lerobot_act` and `lerobot_diffusion` are LeRobot's networks, number for number
(tests/policies/test_lerobot.py); states of 14 numbers, an environment's of 14, actions of 14, made up
and in memory on both sides. A step of theirs is what their script does, with their optimiser and
without their processors, which normalise; ours is one of `understudy train` without the average of the
weights, which theirs does not keep, and includes normalising. Both with two threads; theirs in float32,
its default, ours in bfloat16, which `--precision auto` takes where the processor has it, and in a row of
its own in float32. Predictions: one chunk for one robot in float32, the better of one and two threads on
each side.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import comparison
import made_up
import numpy as np
import results
import torch
from peers.timing import median_seconds, report

from understudy.data.windows import Windows
from understudy.learn.supervised import LearnConfig, learn, native_precision
from understudy.policies.base import PolicyConfig
from understudy.policies.lean import Lean
from understudy.policies.lerobot_act import LerobotActConfig
from understudy.policies.lerobot_diffusion import LerobotDiffusionConfig
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

SIZE = 14
SPEC = Spec(
    {STATE: Signal((SIZE,)), ENVIRONMENT_STATE: Signal((SIZE,))}, Signal((SIZE,)), rate_hz=50.0
)
Precision = Literal["float32", "bfloat16", "auto"]
REPEATS = 5
SECONDS = 15.0  # of a training run, at least three steps


@dataclass(frozen=True)
class Case:
    """One thing that both do."""

    config: PolicyConfig
    kind: str  # LeRobot's
    options: Mapping[str, Any]  # LeRobot's, where they are not its defaults
    batch: int = 0  # of training; 0: prediction


ACT = LerobotActConfig(
    horizon=100, width=512, heads=8, hidden=3200, encoder_layers=4, shown_layers=4
)
UNET = (256, 512, 1024)
FAST = {"noise_scheduler_type": "DDIM", "num_inference_steps": 10}
CASES = {
    "act-train": Case(ACT, "act", {}, batch=8),
    "diffusion-train": Case(
        LerobotDiffusionConfig(widths=UNET), "diffusion", {"down_dims": UNET}, batch=64
    ),
    "act-predict": Case(ACT, "act", {}),
    "diffusion-predict": Case(
        LerobotDiffusionConfig(widths=UNET, sampler="ddim", inference_steps=10),
        "diffusion",
        {"down_dims": UNET, **FAST},
    ),
}


def ours(case: Case, precision: Precision, threads: int) -> float:
    """Steps a second, or milliseconds of a prediction."""
    torch.set_num_threads(threads)
    config = case.config
    windows = Windows(
        made_up.Columns(SPEC, 20, 200),
        history=config.history,
        horizon=config.horizon - config.first_action,
        first_action=config.first_action,
        batch_size=case.batch or 1,
    )
    policy = config.build(SPEC)
    policy.prepare(windows)
    if case.batch:
        learning = LearnConfig(
            steps=10**6, batch_size=case.batch, precision=precision, report_every=1, ema_decay=0
        )
        reports = learn(policy, windows, learning)
        return 1 / median_seconds(lambda: next(reports), SECONDS)
    seen = windows.gather(np.arange(1)).observations
    noise = torch.randn(1, *policy.noise_shape)
    if precision == "auto" and native_precision(torch.device("cpu")) == "bfloat16":
        policy = Lean(policy)
    policy.eval()
    with torch.inference_mode():
        return 1e3 * median_seconds(lambda: policy.predict(seen, noise), SECONDS)


def measure(name: str, python: Path) -> list[results.Row]:
    """Time both in turn."""
    case = CASES[name]
    precisions = {"": "auto", "-float32": "float32"}
    threads = (2,) if case.batch else (1, 2)
    best = max if case.batch else min
    found: dict[str, list[comparison.Run]] = {}
    for _ in range(REPEATS):
        for end, precision in precisions.items():
            runs = [comparison.ours(__file__, [name, precision, count]) for count in threads]
            found.setdefault(name + end, []).append(best(runs))
        asked = [[case.kind, dict(case.options), case.batch, n, SECONDS] for n in threads]
        runs = [comparison.theirs(python, "lerobot_policy.py", words) for words in asked]
        runs = [(1 / s if case.batch else 1e3 * s, memory) for s, memory in runs]
        found.setdefault(f"{name}-lerobot", []).append(best(runs))
    metric, unit = ("steps_per_s", "steps/s") if case.batch else ("chunk_ms", "ms")
    return comparison.rows(found, f"{name}-lerobot", metric, unit, less_is_faster=not case.batch)


if __name__ == "__main__":
    one, precision, threads = json.loads(sys.argv[1])
    report(ours(CASES[one], precision, threads))
