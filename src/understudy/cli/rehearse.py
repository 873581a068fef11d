"""Before a long training: does all of it work, how large is it, and how long will it take?"""

from __future__ import annotations

import resource
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.table import Table
from torch import Tensor

from understudy.cli.console import Console
from understudy.data.windows import Windows
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.policies.base import Policy
from understudy.policies.checkpoint import load_checkpoint, save_checkpoint

STEPS_LEAST, STEPS_MOST, PATIENCE_S = 3, 30, 20.0  # of the steps that an estimate is made from
COPIES = 4  # of a trained weight beside itself: gradient, two moments, the average


def rehearse(
    name: str, policy: Policy, windows: Windows, learning: LearnConfig, held_out: Windows | None
) -> None:
    """Train on one batch, save, load and predict; whatever fails raises as it would in earnest."""
    once = replace(learning, steps=1)
    *_, report = learn(policy, windows, once)
    losses = ", ".join(f"{key} {value:.4g}" for key, value in report.losses.items())
    print(f"one batch of {min(learning.batch_size, len(windows))}: {losses}")
    if held_out is not None:
        print(f"held out: {len(held_out):,} windows of {held_out.episode_count} episodes")
    with tempfile.TemporaryDirectory() as folder:
        saved = save_checkpoint(
            Path(folder) / "policy", name, policy, {}, averaged_weights(policy, report.state)
        )
        size = sum(file.stat().st_size for file in saved.iterdir())
        print(f"checkpoint: {size / 1e6:.1f} MB, saved and loaded")
        chunk = _predict(load_checkpoint(saved).policy, windows)
    print(f"prediction: {tuple(chunk.shape[1:])} in the action's unit, all finite")
    print("the dry run went well; nothing was kept")


def estimate(name: str, policy: Policy, windows: Windows, learning: LearnConfig) -> None:
    """Print size, memory and time, from some steps of the training itself."""
    size = sum(p.numel() for p in policy.parameters())
    trained = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    table = Table(
        title=f"{name}, {learning.steps:,} steps of {learning.batch_size}", show_header=False
    )
    table.add_row("parameters", f"{size:,}")
    if trained:
        step_s = _step_s(policy, windows, learning)
        if trained < size:
            table.add_row("of them trained", f"{trained:,}")
        megabytes = 4 * (size + COPIES * trained) / 1e6
        table.add_row("weights, moments, average", f"{megabytes:,.0f} MB")
        table.add_row("peak of the process", f"{_peak_bytes() / 1e6:,.0f} MB")
        table.add_row("one step", f"{step_s * 1e3:,.1f} ms")
        table.add_row("whole run", _duration(step_s * learning.steps))
        epochs = learning.steps * learning.batch_size / len(windows)
        table.add_row("epochs", f"{epochs:,.1f} over {len(windows):,} windows")
    else:
        table.add_row("training", "none: the data themselves are kept")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    table.add_row("one prediction", f"{_prediction_s(policy, windows) * 1e3:,.1f} ms, one thread")
    torch.set_num_threads(threads)
    Console().print(table)


def _step_s(policy: Policy, windows: Windows, learning: LearnConfig) -> float:
    """Median seconds of a step after the first."""
    once = replace(learning, steps=STEPS_MOST + 1, report_every=1, validate_every=STEPS_MOST + 2)
    seconds: list[float] = []
    began = last = time.perf_counter()
    for _ in learn(policy, windows, once):
        now = time.perf_counter()
        seconds.append(now - last)
        last = now
        if len(seconds) > STEPS_LEAST and now - began > PATIENCE_S:
            break
    return statistics.median(seconds[1:])


def _prediction_s(policy: Policy, windows: Windows) -> float:
    """Median seconds of a prediction for one world."""
    seconds: list[float] = []
    for _ in range(STEPS_LEAST + 2):
        began = time.perf_counter()
        _predict(policy, windows)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _predict(policy: Policy, windows: Windows) -> Tensor:
    """One chunk (1, H, A) for a window of the data; raises ValueError where it is not finite."""
    device = next((t.device for t in [*policy.parameters(), *policy.buffers()]), "cpu")
    batch = windows.gather(np.arange(1)).to(device)
    noise = torch.zeros(1, *policy.noise_shape, device=device)
    with torch.inference_mode():
        chunk = policy.eval().predict(batch.observations, noise)
    if not torch.isfinite(chunk.double()).all():
        raise ValueError("the prediction is not finite")
    return chunk


def _peak_bytes() -> int:
    """The most memory that this process has held; with a GPU, the most that torch holds there."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
