"""How the cost of a training step grows: with batch, width, cameras, data, threads and processes.

    python benchmarks/scaling.py [--only PART ...]

The `small` flow policy (1-D U-Net of 64, 128, 256, K = 2, H = 16) on made-up demonstrations, one thing
changed at a time; `--precision auto`, one thread unless it is about threads. Every figure is a process of
its own, three times; a row is the median with the least and the most. `data` trains with a camera of
96 x 96 from the frame cache on 20 and on 200 episodes of 200 ticks. `processes` computes a batch of 256 on
one thread, on two, and in two processes of one thread under torchrun.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import made_up
import numpy as np
import results
import torch
from numpy.typing import NDArray

from understudy.data.store import Dataset
from understudy.learn.clone import windows_of
from understudy.learn.group import joined
from understudy.learn.supervised import LearnConfig, learn
from understudy.policies.denoiser import DenoiserConfig
from understudy.policies.flow import FlowConfig
from understudy.spec import STATE, Signal, Spec

CAMERAS = ("observation.images.front", "observation.images.wrist")
TICKS, RATE, REPEATS, SECONDS, LEAST_STEPS = 200, 10.0, 3, 8.0, 10
CALIBRATED = 6  # steps that are done beforehand
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@dataclass(frozen=True)
class Point:
    """One training."""

    batch: int = 64
    widths: tuple[int, ...] = (64, 128, 256)
    cameras: int = 0
    episodes: int = 20
    threads: int = 1
    processes: int = 1


SMALL = Point()
PARTS = {
    "batch": {f"batch-{n}": replace(SMALL, batch=n) for n in (16, 64, 256, 1024)},
    "width": {f"width-{w}": replace(SMALL, widths=(w, 2 * w, 4 * w)) for w in (32, 64, 128, 256)},
    "cameras": {f"cameras-{n}": replace(SMALL, cameras=n) for n in (0, 1, 2)},
    "data": {f"episodes-{n}": replace(SMALL, cameras=1, episodes=n) for n in (20, 200)},
    "processes": {
        "one-thread": replace(SMALL, batch=256),
        "two-threads": replace(SMALL, batch=256, threads=2),
        "two-processes": replace(SMALL, batch=256, processes=2),
    },
}


def spec(cameras: int) -> Spec:
    """A state, an action and so many cameras of 96 x 96."""
    pictures = {key: Signal((96, 96, 3), "uint8") for key in CAMERAS[:cameras]}
    return Spec({STATE: Signal((8,)), **pictures}, Signal((2,)), RATE, "made up")


def record(folder: Path, point: Point) -> None:
    """Write the demonstrations."""
    light = np.arange(96 * 96).reshape(96, 96, 1) // 72
    with Dataset.create(folder, spec(point.cameras)) as dataset:
        for seed in range(point.episodes):
            walk = np.random.default_rng(seed).normal(size=(TICKS, 8)).cumsum(0)
            phase = np.arange(TICKS)[:, None, None, None]
            frames = np.broadcast_to(light + phase + seed, (TICKS, 96, 96, 3)).astype(np.uint8)
            pictures: dict[str, NDArray[np.uint8]] = dict.fromkeys(CAMERAS[: point.cameras], frames)
            dataset.append(made_up.episode(dataset.spec, walk, walk[:, :2], seed, pictures))


def train(folder: str, point: Point) -> None:
    """Print steps a second and the peak of memory in GiB, of all processes together."""
    torch.set_num_threads(point.threads)
    config = FlowConfig(denoiser=DenoiserConfig(widths=point.widths))
    learning = LearnConfig(
        batch_size=point.batch, precision="auto", past_end="held", warmup_steps=0
    )
    with joined() as group:
        windows = windows_of(
            config, Dataset.open(Path(folder)), batch_size=point.batch, group=group
        )
        torch.manual_seed(0)
        policy = config.build(windows.spec)
        policy.prepare(windows)
        few = replace(learning, steps=CALIBRATED)
        began = time.perf_counter()
        for _ in learn(policy, windows, few, group=group):
            pass
        step_s = torch.tensor([(time.perf_counter() - began) / CALIBRATED])
        group.average(step_s)  # the processes do as many steps
        steps = max(LEAST_STEPS, int(SECONDS / float(step_s)))
        began = time.perf_counter()
        for _ in learn(policy, windows, replace(learning, steps=steps), group=group):
            pass
        rate = steps / (time.perf_counter() - began)
        peak = torch.tensor([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20])
        group.average(peak)
        if not group.rank:
            print(json.dumps([rate, float(peak) * group.size]))


def measured(folder: Path, point: Point) -> tuple[float, float]:
    """Train in a process of its own, or in several."""
    own = [__file__, "--train", str(folder), json.dumps(asdict(point))]
    launch = [*TORCHRUN, str(point.processes)] if point.processes > 1 else []
    words = [sys.executable, *launch, *own]
    environment = {**os.environ, "OMP_NUM_THREADS": str(point.threads)}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    rate, memory = json.loads(done.stdout.splitlines()[-1])
    return rate, memory


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description="how the cost of a step grows")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--train", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train:
        folder, text = given.train
        fields = json.loads(text)
        train(folder, Point(**{**fields, "widths": tuple(fields["widths"])}))
        return
    rows: list[results.Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["UNDERSTUDY_CACHE"] = f"{scratch}/cache"
        for part in given.only:
            for case, point in PARTS[part].items():
                folder = Path(scratch) / f"{point.cameras}-{point.episodes}"
                if not folder.exists():
                    record(folder, point)
                runs = [measured(folder, point) for _ in range(REPEATS)]
                rates = [rate for rate, _ in runs]
                samples = [rate * point.batch for rate in rates]
                rows += [
                    results.median_row(case, "steps_per_s", rates, "steps/s", [0]),
                    results.median_row(case, "samples_per_s", samples, "samples/s", [0]),
                    results.median_row(case, "peak_memory", [m for _, m in runs], "GiB", [0]),
                ]
                print(case, rates, flush=True)
    cases = [case for part in PARTS.values() for case in part]
    results.write("scaling", "python benchmarks/scaling.py", rows, cases)


if __name__ == "__main__":
    main()
