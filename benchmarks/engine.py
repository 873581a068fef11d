"""Training and prediction against LeRobot: the same networks, batches and threads, timed in turn.

    python benchmarks/engine.py --lerobot PYTHON [--only CASE ...]

PYTHON is the interpreter of an environment with lerobot 0.4.4 (`make peers` builds one). `lerobot_act`
and `lerobot_diffusion` are LeRobot's networks, number for number (tests/policies/test_lerobot.py);
states of 14 numbers, an environment's of 14, actions of 14, made up and in memory on both sides. A
step of theirs is what their script does, with their optimiser and without their processors, which
normalise; ours is one of `understudy train` and includes that. Both with two threads, each run in a
process of its own, five times in turn; bfloat16 is what `--precision auto` takes where the processor
has it, and a row of its own is in float32. Predictions: one chunk for one robot, the better of one and
two threads on each side.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import results
import torch

from understudy.data.windows import Windows
from understudy.learn.supervised import LearnConfig, learn
from understudy.policies.base import PolicyConfig
from understudy.policies.lerobot_act import LerobotActConfig
from understudy.policies.lerobot_diffusion import LerobotDiffusionConfig
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

SIZE = 14
SPEC = Spec(
    {STATE: Signal((SIZE,)), ENVIRONMENT_STATE: Signal((SIZE,))}, Signal((SIZE,)), rate_hz=50.0
)
Precision = Literal["float32", "bfloat16"]
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

PEER = """
import json, logging, resource, sys, time, warnings
import torch
warnings.filterwarnings("ignore"); logging.disable(logging.WARNING)
kind, options, batch, threads, seconds = json.loads(sys.argv[1])
torch.set_num_threads(threads)
from lerobot.configs.types import FeatureType, PolicyFeature
if kind == "act":
    from lerobot.policies.act.configuration_act import ACTConfig as Config
    from lerobot.policies.act.modeling_act import ACTPolicy as Policy
    rows, ahead = (), 100
    options["pretrained_backbone_weights"] = None
else:
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig as Config
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy as Policy
    rows, ahead = (2,), 16
config = Config(
    input_features={"observation.state": PolicyFeature(FeatureType.STATE, (14,)),
                    "observation.environment_state": PolicyFeature(FeatureType.ENV, (14,))},
    output_features={"action": PolicyFeature(FeatureType.ACTION, (14,))}, device="cpu", **options)
policy = Policy(config)
keys = ("observation.state", "observation.environment_state")
if batch:
    data = {key: torch.randn(batch, *rows, 14) for key in keys}
    data["action"] = torch.randn(batch, ahead, 14).clamp(-1, 1)
    data["action_is_pad"] = torch.zeros(batch, ahead, dtype=torch.bool)
    optimizer = config.get_optimizer_preset().build(policy.get_optim_params())
    policy.train()
    def once():
        loss, _ = policy.forward(data)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
else:
    policy.eval()
    seen = {key: torch.randn(1, 14) for key in keys}
    def once():
        policy.reset()
        policy.select_action(dict(seen))
for _ in range(2):
    once()
times = []
while sum(times) < seconds or len(times) < 3:
    began = time.perf_counter()
    once()
    times.append(time.perf_counter() - began)
times.sort()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps([times[len(times) // 2], memory]))
"""


class Made:
    """Made-up demonstrations in memory; `understudy.data.windows.Columns`."""

    def __init__(self, episodes: int = 20, ticks: int = 200) -> None:
        generator = np.random.default_rng(0)
        self.spec, self.fingerprint, self.tasks = SPEC, "", [""] * episodes
        self.lengths = np.full(episodes, ticks)
        self._values = generator.normal(size=(episodes * ticks, SIZE)).astype(np.float32)

    def column(self, key: str) -> np.ndarray:
        """The same numbers for every signal; nobody labelled them."""
        return self._values[:, :0] if key == "label" else self._values


def ours(case: Case, precision: Precision, threads: int) -> tuple[float, float]:
    """Seconds of a step or a prediction, median, and the peak of memory in GiB."""
    torch.set_num_threads(threads)
    config = case.config
    windows = Windows(
        Made(),
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
        seconds = timed(lambda: next(reports))
    else:
        seen = windows.gather(np.arange(1)).observations
        noise = torch.randn(1, *policy.noise_shape)
        policy.eval()
        with torch.inference_mode():
            seconds = timed(lambda: policy.predict(seen, noise))
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def timed(once: Callable[[], object]) -> float:
    """Median seconds of a call."""
    for _ in range(2):
        once()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < 3:
        began = time.perf_counter()
        once()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def alone(words: list[str]) -> tuple[float, float]:
    """What a process of its own prints."""
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    seconds, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, memory


def measure(name: str, python: Path) -> list[results.Row]:
    """Time both in turn."""
    case = CASES[name]
    precisions = ("float32", "bfloat16") if case.batch else ("float32",)
    kinds = [*precisions, "lerobot"]
    threads = (2,) if case.batch else (1, 2)
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(REPEATS):
        for kind in kinds:
            tries = []
            for count in threads:
                asked = json.dumps([case.kind, dict(case.options), case.batch, count, SECONDS])
                own = [sys.executable, __file__, "--one", name, kind, str(count)]
                words = [str(python), "-c", PEER, asked] if kind == "lerobot" else own
                tries.append(alone(words))
            found[kind].append(min(tries))
    return rows_of(name, found, bool(case.batch))


def rows_of(
    name: str, found: Mapping[str, list[tuple[float, float]]], trains: bool
) -> list[results.Row]:
    """Ratios, and both in absolute numbers."""
    theirs = found["lerobot"]
    rows: list[results.Row] = []
    for kind, mine in found.items():
        case = f"{name}-{kind}" if kind == "float32" and trains else name
        if kind == "lerobot":
            case = f"{name}-lerobot"
        else:
            ratios = [t[0] / m[0] for t, m in zip(theirs, mine, strict=True)]
            rows.append(results.median_row(case, "ratio_to_peer", ratios, "ratio", [0]))
        if trains:
            rates = [1 / seconds for seconds, _ in mine]
            rows.append(results.median_row(case, "steps_per_s", rates, "steps/s", [0]))
        else:
            times = [1e3 * seconds for seconds, _ in mine]
            rows.append(results.median_row(case, "chunk_ms", times, "ms", [0]))
        memory = [gib for _, gib in mine]
        rows.append(results.median_row(case, "peak_memory", memory, "GiB", [0]))
    return rows


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description="training and prediction against LeRobot")
    parser.add_argument("--lerobot", type=Path, help="python with lerobot 0.4.4")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        name, precision, threads = given.one
        print(json.dumps(ours(CASES[name], precision, int(threads))))
        return
    if given.lerobot is None:
        parser.error(
            "--lerobot PYTHON is needed; `make peers` makes build/peers/lerobot/bin/python"
        )
    rows: list[results.Row] = []
    for name in given.only:
        rows += measure(name, given.lerobot)
        print(name, [(r["case"], r["metric"], round(r["value"], 3)) for r in rows], flush=True)
    ends = ("", "-float32", "-lerobot")
    cases = [f"{name}{end}" for name in CASES for end in ends]
    results.write("engine", "python benchmarks/engine.py --lerobot PYTHON", rows, cases)


if __name__ == "__main__":
    main()
