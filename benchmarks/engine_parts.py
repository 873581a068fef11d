"""What each part of a training step gains: the same step with it and without it, in turn.

    python benchmarks/engine_parts.py [--only PART ...]

`faster` is the time without over the time with, one thread, eleven turns each of about a second, in one
process; the row is the median with the least and the most.

bf16-*        products in bfloat16 against float32: U-Net of flow (batch 64), LSTM 2 x 400 (batch 100),
              ACT's transformer (batch 32), flow on frames of 96 x 96 with the small encoder (batch 32)
matrix        in bfloat16, the U-Net's convolutions as one product against the library's convolution
flat-*        weights, gradients, optimiser and average as single vectors, against a usual loop with
              torch's AdamW (fused), clip_grad_norm_ and an average tensor by tensor: the U-Net, and an
              MLP of 2 x 32 (batch 32)
channels-last frames as they lie in memory, against frames copied to (channels, rows, columns)
compile       torch.compile of the U-Net in bfloat16, against none, its first minutes not counted
deterministic torch.use_deterministic_algorithms on the U-Net
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import results
import scaling
import torch

from understudy.data.store import Dataset
from understudy.learn.clone import windows_of
from understudy.learn.supervised import LearnConfig, learn
from understudy.nn.ema import decay_at
from understudy.nn.unet1d import TemporalConvolution
from understudy.nn.vision import FrameReader, VisionConfig
from understudy.policies.act import ActConfig
from understudy.policies.base import PolicyConfig
from understudy.policies.flow import FlowConfig
from understudy.policies.lstm import LstmConfig
from understudy.policies.mlp import MlpConfig

TURNS, TURN_S = 11, 1.0
Step = Callable[[], object]
SIZES: dict[str, tuple[PolicyConfig, int, int]] = {  # policy, batch, cameras
    "unet": (FlowConfig(), 64, 0),
    "lstm": (LstmConfig(width=400, layers=2), 100, 0),
    "act": (ActConfig(), 32, 0),
    "frames": (FlowConfig(), 32, 1),
    "mlp": (MlpConfig(width=32, depth=2), 32, 0),
}


def trained(data: Path, size: str, **changes: Any) -> Step:
    """A step of `understudy train`."""
    config, batch, cameras = SIZES[size]
    learning = LearnConfig(steps=10**6, batch_size=batch, report_every=1, **changes)
    windows = windows_of(config, Dataset.open(data / str(cameras)), batch_size=batch)
    torch.manual_seed(0)
    policy = config.build(windows.spec)
    policy.prepare(windows)
    reports = learn(policy, windows, learning)
    return lambda: next(reports)


def usual(data: Path, size: str, precision: str) -> Step:
    """A step of the loop that most people write."""
    config, batch, cameras = SIZES[size]
    windows = windows_of(config, Dataset.open(data / str(cameras)), batch_size=batch)
    torch.manual_seed(0)
    policy = config.build(windows.spec)
    policy.prepare(windows)
    average = [p.detach().clone() for p in policy.parameters()]
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3, fused=True)
    done = 0

    def step() -> None:
        nonlocal done
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = policy.loss(windows.batch(done))["total"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for mean, weights in zip(average, policy.parameters(), strict=True):
                mean.lerp_(weights, 1 - decay_at(done))
        loss.item()
        done += 1

    return step


@contextmanager
def by_the_library() -> Iterator[None]:
    """Let the U-Net call the library's convolution in bfloat16 as well."""
    own = TemporalConvolution.forward

    def forward(self: TemporalConvolution, values: torch.Tensor) -> torch.Tensor:
        return self._convolution(values, self.kernel // 2)

    TemporalConvolution.forward = forward
    yield
    TemporalConvolution.forward = own


@contextmanager
def copied() -> Iterator[None]:
    """Let frames be copied to (channels, rows, columns) before the convolutions."""
    own = FrameReader.__init__

    def init(self: FrameReader, config: VisionConfig, shape: tuple[int, ...]) -> None:
        own(self, config, shape)
        self.network.register_forward_pre_hook(lambda _, given: (given[0].contiguous(),))

    FrameReader.__init__ = init
    yield
    FrameReader.__init__ = own


@contextmanager
def deterministic() -> Iterator[None]:
    """What --deterministic does."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    yield
    torch.use_deterministic_algorithms(False)


@contextmanager
def compiled() -> Iterator[None]:
    """Compile every policy that is built."""
    own = FlowConfig.build

    def build(self: FlowConfig, spec: Any) -> Any:
        policy: Any = own(self, spec)
        policy.network.compile()
        return policy

    FlowConfig.build = build
    yield
    FlowConfig.build = own


@contextmanager
def as_it_is() -> Iterator[None]:
    """Change nothing."""
    yield


Way = tuple[Callable[[Path], Step], Callable[[], Any]]
BF16, F32 = {"precision": "bfloat16"}, {"precision": "float32"}


def ways() -> dict[str, tuple[Way, Way]]:
    """With and without, by part."""

    def ours(size: str, **changes: Any) -> Callable[[Path], Step]:
        return lambda data: trained(data, size, **changes)

    plain = as_it_is
    low = ours("unet", **BF16)
    return {
        **{
            f"bf16-{size}": ((ours(size, **BF16), plain), (ours(size, **F32), plain))
            for size in ("unet", "lstm", "act", "frames")
        },
        "matrix": ((low, plain), (low, by_the_library)),
        "flat-unet": ((low, plain), (lambda data: usual(data, "unet", "bfloat16"), plain)),
        "flat-mlp": ((ours("mlp"), plain), (lambda data: usual(data, "mlp", "float32"), plain)),
        "channels-last": ((ours("frames", **BF16), plain), (ours("frames", **BF16), copied)),
        "compile": ((low, compiled), (low, plain)),
        "deterministic": ((low, deterministic), (low, plain)),
    }


def measure(part: str, data: Path) -> list[results.Row]:
    """Both ways in turn."""
    steps = []
    for make, change in ways()[part]:
        with change():
            step = make(data)
            for _ in range(3):
                step()
        steps.append((step, change))
    found: list[list[float]] = [[], []]
    for _ in range(TURNS):
        for times, (step, change) in zip(found, steps, strict=True):
            with change():
                times.append(seconds_of(step))
    ratios = [without / with_ for with_, without in zip(*found, strict=True)]
    milliseconds = [1e3 * seconds for seconds in found[0]]
    print(part, statistics.median(ratios), flush=True)
    return [
        results.median_row(part, "faster", ratios, "ratio", [0]),
        results.median_row(part, "step_ms", milliseconds, "ms", [0]),
    ]


def seconds_of(step: Step) -> float:
    """Seconds of a step, over about one second of them."""
    count, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < TURN_S:
        step()
        count += 1
    return taken / count


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description="what each part of a training step gains")
    parser.add_argument("--only", nargs="+", choices=ways(), default=list(ways()))
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[results.Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["UNDERSTUDY_CACHE"] = f"{scratch}/cache"
        for cameras in (0, 1):
            scaling.record(Path(scratch) / str(cameras), scaling.Point(cameras=cameras))
        for part in given.only:
            rows += measure(part, Path(scratch))
    results.write("engine_parts", "python benchmarks/engine_parts.py", rows, list(ways()))


if __name__ == "__main__":
    sys.exit(main())
