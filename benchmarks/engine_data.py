"""From disk to batch, and from camera to disk, against LeRobot's datasets.

Twenty episodes of 200 ticks, two cameras of 240 x 320 with moving, lightly noisy pictures, states and
actions of 14 numbers, recorded by our store as h264: LeRobot reads the same folder. A sample is two
observations and 16 actions, drawn at random, in batches of 32. LeRobot: its loader without or with two
workers, torchcodec or pyav, whichever is fastest. `loader-cached` reads frames that were decoded before
(`FrameCache`), from the operating system's cache of files as theirs; `loader-mp4` decodes the video
files while it reads, one epoch with room for two thirds of the frames (`StreamedFrames`), beginning to
end. LeRobot's batches are float32 in 0..1, ours uint8, which the policy converts.

`recording` takes frames of one camera that lie in memory, encodes while they come and ends with durable
episodes; both with their default codec, LeRobot with `streaming_encoding`, and beside it with h264.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import comparison
import numpy as np
import results
from frames import moving_pictures
from peers.timing import report

from understudy.data.frames import FrameCache
from understudy.data.store import Dataset
from understudy.data.stream import StreamedFrames
from understudy.data.windows import Windows
from understudy.episode import Episode
from understudy.learn.ahead import Ahead
from understudy.spec import STATE, Signal, Spec

CAMERAS = ("observation.images.front", "observation.images.wrist")
SIZE, NUMBERS, RATE = (240, 320, 3), 14, 30
EPISODES, TICKS, BATCH, REPEATS, SECONDS = 20, 200, 32, 5, 8.0
CASES = ("loader-cached", "loader-mp4", "recording")


def spec(cameras: int) -> Spec:
    """Signals with so many cameras."""
    pictures = {key: Signal(SIZE, "uint8") for key in CAMERAS[:cameras]}
    return Spec({STATE: Signal((NUMBERS,)), **pictures}, Signal((NUMBERS,)), RATE, "made up")


def numbers(seed: int) -> Episode:
    """An episode without its frames."""
    walk = np.random.default_rng(seed).normal(size=(TICKS, NUMBERS)).astype(np.float32)
    return Episode(
        observations={STATE: walk},
        actions=walk,
        rewards=np.zeros(TICKS, np.float32),
        time_s=np.arange(TICKS) / RATE,
        terminated=True,
        truncated=False,
        success=True,
        task="made up",
        source="made up",
        seed=seed,
    )


def record(folder: str, pictures: str, episodes: int, cameras: int) -> float:
    """Frames a second of each camera."""
    images = np.load(pictures)
    began = time.perf_counter()
    with Dataset.create(Path(folder), spec(cameras)) as dataset:
        recorder = dataset.recorder()
        for number in range(episodes):
            take = recorder.begin()
            for image in images:
                for key in CAMERAS[:cameras]:
                    take.frame(key, image)
            take.save(numbers(number))
    return episodes * len(images) / (time.perf_counter() - began)


def cached(folder: str) -> float:
    """Samples a second."""
    dataset = Dataset.open(Path(folder))
    made = _windows(dataset, FrameCache.build(dataset, dataset.spec.cameras), 0)
    count, step, began = 0, 0, 0.0
    with Ahead(made, 10**9) as ahead:
        while not began or time.perf_counter() - began < SECONDS:
            if step == 3:
                began, count = time.perf_counter(), 0
            count += len(ahead.take(step))
            step += 1
    return count / (time.perf_counter() - began)


def streamed(folder: str) -> float:
    """Samples a second of one epoch."""
    dataset = Dataset.open(Path(folder))
    room = EPISODES * TICKS * len(CAMERAS) * int(np.prod(SIZE)) * 2 // 3
    began = time.perf_counter()
    frames = StreamedFrames(dataset, dataset.spec.cameras, room)
    made = _windows(dataset, frames, frames.block)
    steps = len(made) // BATCH
    with Ahead(made, steps) as ahead:
        for step in range(steps):
            ahead.take(step)
    return steps * BATCH / (time.perf_counter() - began)


def _windows(dataset: Dataset, frames: FrameCache | StreamedFrames, block: int) -> Windows:
    return Windows(dataset, history=2, horizon=16, batch_size=BATCH, frames=frames, block=block)


def lerobot_reads(python: Path, folder: str) -> comparison.Run:
    """The best that LeRobot's loader does here."""
    asked: dict[str, Any] = {"folder": folder, "cameras": CAMERAS, "rate": RATE, "batch": BATCH}
    runs: list[comparison.Run] = []
    for backend in ("torchcodec", "pyav"):
        for workers in (0, 2):
            words = {**asked, "backend": backend, "workers": workers, "seconds": SECONDS}
            with suppress(RuntimeError):  # torchcodec needs libraries that are not everywhere
                runs.append(comparison.theirs(python, "lerobot_data.py", ["read", words]))
    return max(runs)


def measure(name: str, python: Path) -> list[results.Row]:
    """Time both in turn."""
    found: dict[str, list[comparison.Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_CACHE"] = f"{folder}/cache"
        pictures = f"{folder}/pictures.npy"
        np.save(pictures, moving_pictures()[:TICKS])
        if name == "recording":
            for run in range(REPEATS):
                _both_record(python, folder, pictures, run, found)
            return comparison.rows(found, "recording-lerobot", "frames_per_s", "frames/s")
        data = f"{folder}/data"
        record(data, pictures, EPISODES, len(CAMERAS))
        what = "cached" if name == "loader-cached" else "streamed"
        for _ in range(REPEATS):
            run = comparison.ours(__file__, [what, {"folder": data}])
            found.setdefault(name, []).append(run)
            found.setdefault(f"{name}-lerobot", []).append(lerobot_reads(python, data))
    return comparison.rows(found, f"{name}-lerobot", "samples_per_s", "samples/s")


def _both_record(
    python: Path, folder: str, pictures: str, run: int, found: dict[str, list[comparison.Run]]
) -> None:
    asked = {"pictures": pictures, "episodes": 5}
    here = {**asked, "folder": f"{folder}/ours{run}", "cameras": 1}
    found.setdefault("recording", []).append(comparison.ours(__file__, ["record", here]))
    for case, options in (
        ("recording-lerobot", {}),
        ("recording-lerobot-h264", {"vcodec": "h264"}),
    ):
        there = {**asked, "folder": f"{folder}/{case}{run}", "rate": RATE, "options": options}
        run_of_theirs = comparison.theirs(python, "lerobot_data.py", ["record", there])
        found.setdefault(case, []).append(run_of_theirs)


if __name__ == "__main__":
    what, arguments = json.loads(sys.argv[1])
    report({"record": record, "cached": cached, "streamed": streamed}[what](**arguments))
