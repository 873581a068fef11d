"""From disk to batch, and from camera to disk, against LeRobot's datasets.

Twenty episodes of 200 ticks, two cameras of 240 x 320 with moving, lightly noisy pictures, states and
actions of 14 numbers, recorded by our store as h264: LeRobot reads the same folder. A sample is two
observations and 16 actions, drawn at random, in batches of 32. LeRobot: its loader without or with two
workers, torchcodec or pyav, whichever is fastest. `loader-cached` reads frames that were decoded before
(`FrameCache`), from the operating system's cache of files as theirs; `loader-mp4` decodes the video
files while it reads, one epoch with room for two thirds of the frames (`StreamedFrames`), beginning to
end, with samples drawn within blocks of episodes. A batch ends as it is handed to the policies: ours
uint8, which they crop and convert, LeRobot's float32 in 0..1; `-float32` converts whole frames on our
side too.

`recording` takes frames of one camera that lie in memory, encodes while they come and ends with durable
episodes; LeRobot with `streaming_encoding`, and what it stored is counted. Its codec is AV1 by default,
ours h264 with libx264's `veryfast`; `recording-h264` is the ratio to its h264 (crf 30, a slower preset).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import comparison
import made_up
import numpy as np
import results
from frames import moving_pictures
from peers.timing import report

from understudy.data.frames import FrameCache
from understudy.data.store import Dataset
from understudy.data.stream import StreamedFrames
from understudy.data.windows import Batch, Windows
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
            walk = np.random.default_rng(number).normal(size=(TICKS, NUMBERS))
            take.save(made_up.episode(dataset.spec, walk, walk, number))
    return episodes * len(images) / (time.perf_counter() - began)


def cached(folder: str, converts: bool) -> float:
    """Samples a second."""
    dataset = Dataset.open(Path(folder))
    made = _windows(dataset, FrameCache.build(dataset, dataset.spec.cameras), 0)
    count, step, began = 0, 0, 0.0
    with closing(Ahead(made, 10**9)) as ahead:
        while not began or time.perf_counter() - began < SECONDS:
            if step == 3:
                began, count = time.perf_counter(), 0
            count += _seen(ahead.take(step), converts)
            step += 1
    return count / (time.perf_counter() - began)


def streamed(folder: str, converts: bool) -> float:
    """Samples a second of one epoch."""
    dataset = Dataset.open(Path(folder))
    room = EPISODES * TICKS * len(CAMERAS) * int(np.prod(SIZE)) * 2 // 3
    began = time.perf_counter()
    frames = StreamedFrames(dataset, dataset.spec.cameras, room)
    made = _windows(dataset, frames, frames.block)
    steps = len(made) // BATCH
    with closing(Ahead(made, steps)) as ahead:
        for step in range(steps):
            _seen(ahead.take(step), converts)
    return steps * BATCH / (time.perf_counter() - began)


def _seen(batch: Batch, converts: bool) -> int:
    """Return how many samples there are; on request convert their frames."""
    if converts:
        for key in CAMERAS:
            batch.observations[key].float().div_(255)
    return len(batch)


def _windows(dataset: Dataset, frames: FrameCache | StreamedFrames, block: int) -> Windows:
    return Windows(dataset, history=2, horizon=16, batch_size=BATCH, frames=frames, block=block)


def lerobot_reads(python: Path, folder: str) -> comparison.Run:
    """The best that LeRobot's loader does here."""
    asked: dict[str, Any] = {"folder": folder, "cameras": CAMERAS, "rate": RATE, "batch": BATCH}
    runs: list[comparison.Run] = []
    for backend in ("torchcodec", "pyav"):
        for workers in (0, 2):
            words = {**asked, "backend": backend, "workers": workers, "seconds": SECONDS}
            try:
                runs.append(comparison.theirs(python, "lerobot_data.py", ["read", words]))
            except RuntimeError as error:
                if "load" not in str(error) or backend == "pyav":
                    raise
                print("torchcodec does not load here", flush=True)
            else:
                print(f"LeRobot, {backend}, {workers} workers: {runs[-1][0]:.0f}", flush=True)
    return max(runs)


def measure(name: str, python: Path) -> list[results.Row]:
    """Time both in turn."""
    found: dict[str, list[comparison.Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_CACHE"] = f"{folder}/cache"
        pictures = f"{folder}/pictures.npy"
        np.save(pictures, moving_pictures()[:TICKS])
        if name == "recording":
            return _recording(python, Path(folder), pictures)
        data = f"{folder}/data"
        record(data, pictures, EPISODES, len(CAMERAS))
        what = "cached" if name == "loader-cached" else "streamed"
        for _ in range(REPEATS):
            for case, converts in ((name, False), (f"{name}-float32", True)):
                asked = {"folder": data, "converts": converts}
                found.setdefault(case, []).append(comparison.ours(__file__, [what, asked]))
            found.setdefault(f"{name}-lerobot", []).append(lerobot_reads(python, data))
    return comparison.rows(found, f"{name}-lerobot", "samples_per_s", "samples/s", memory=False)


def _recording(python: Path, folder: Path, pictures: str) -> list[results.Row]:
    """Time recorders in turn, and weigh what they left."""
    asked = {"pictures": pictures, "episodes": 5}
    found: dict[str, list[comparison.Run]] = {}
    sizes: dict[str, float] = {}
    peers = {"recording-lerobot": {}, "recording-h264-lerobot": {"vcodec": "h264"}}
    for run in range(REPEATS):
        here = {**asked, "folder": str(folder / f"ours{run}"), "cameras": 1}
        ours = comparison.ours(__file__, ["record", here])
        for case in ("recording", "recording-h264"):
            found.setdefault(case, []).append(ours)
            sizes[case] = _bytes(folder / f"ours{run}")
        for case, options in peers.items():
            place = str(folder / f"{case}{run}")
            there = {**asked, "folder": place, "rate": RATE, "options": options}
            run_of_theirs = comparison.theirs(python, "lerobot_data.py", ["record", there])
            found.setdefault(case, []).append(run_of_theirs)
            sizes[case] = _bytes(Path(place))
    rows: list[results.Row] = []
    for case in ("recording", "recording-h264"):
        pair = {name: found[name] for name in (case, f"{case}-lerobot")}
        rows += comparison.rows(pair, f"{case}-lerobot", "frames_per_s", "frames/s")
        for name in pair:
            weight = sizes[name] / (5 * TICKS)
            rows.append(results.median_row(name, "bytes_per_frame", [weight], "B", [0]))
    return rows


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.mp4"))


if __name__ == "__main__":
    what, arguments = json.loads(sys.argv[1])
    report({"record": record, "cached": cached, "streamed": streamed}[what](**arguments))
