"""How fast camera frames are read: the frame cache against decoding at random from mp4.

    python benchmarks/frames.py

Two cameras of 240 x 320 with moving, lightly noisy pictures; a sample is one tick of both cameras.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results
from numpy.typing import NDArray

from understudy.data.decode import VideoFile
from understudy.data.frames import FrameCache
from understudy.data.video import Codec, RecordedFrames, VideoWriter, read_frames
from understudy.spec import Signal, Spec

CAMERAS = ("observation.images.front", "observation.images.wrist")
SIZE = (240, 320)
EPISODES, TICKS, REPEATS = 12, 200, 7


@dataclass
class Recorded:
    """Episodes of two cameras, one file each, as a dataset of ours holds them."""

    folder: Path
    codec: Codec

    def __post_init__(self) -> None:
        self.lengths = np.full(EPISODES, TICKS)
        self.ids = tuple(f"{self.codec}{i}" for i in range(EPISODES))
        cameras = {key: Signal((*SIZE, 3), "uint8") for key in CAMERAS}
        self.spec = Spec(cameras, Signal((2,)), 30)

    def frames_source(self, key: str, i: int) -> RecordedFrames:
        return RecordedFrames(self.folder / f"{self.codec}-{key}-{i}.mp4", 0, TICKS, SIZE)

    def record(self) -> float:
        """Write everything; returns the frames a second of one writer at a time."""
        pictures = moving_pictures()
        began = time.perf_counter()
        for key in CAMERAS:
            for i in range(EPISODES):
                writer = VideoWriter(
                    self.frames_source(key, i).path, (*SIZE, 3), 30, codec=self.codec
                )
                for tick in range(TICKS):
                    writer.write(pictures[(tick + 31 * i) % len(pictures)])
                writer.close()
        return len(CAMERAS) * EPISODES * TICKS / (time.perf_counter() - began)


def moving_pictures() -> NDArray[np.uint8]:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    pictures = np.empty((300, *SIZE, 3), np.uint8)
    for tick in range(len(pictures)):
        waves = [
            np.sin(x / 30 + tick / 7),
            np.cos(y / 25 - tick / 9),
            np.sin((x + y) / 40 + tick / 5),
        ]
        picture = 128 + 90 * np.stack(waves, -1) + generator.normal(0, 3, (*SIZE, 3))
        picture[60:120, (5 * tick) % 260 : (5 * tick) % 260 + 60] = (200, 40, 40)
        pictures[tick] = picture.clip(0, 255)
    return pictures


def repeated(samples: int, work: Callable[[int], None]) -> dict[str, Any]:
    """Samples a second: median, least and most of several runs, after one to warm up."""
    work(-1)
    rates = []
    for run in range(REPEATS):
        began = time.perf_counter()
        work(run)
        rates.append(samples / (time.perf_counter() - began))
    return {"value": float(np.median(rates)), "low": min(rates), "high": max(rates), "n": REPEATS}


def draws(run: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    generator = np.random.default_rng(run + 100)
    return generator.integers(0, EPISODES, count), generator.integers(0, TICKS, count)


def measure(dataset: Recorded) -> list[dict[str, Any]]:
    def in_order(run: int) -> None:
        source = dataset.frames_source(CAMERAS[0], run % EPISODES)
        for _ in read_frames(source.path, source.first, source.count):
            pass

    def reopened(run: int) -> None:
        for episode, tick in zip(*draws(run, 40), strict=True):
            for key in CAMERAS:
                dataset.frames_source(key, int(episode))[int(tick)]

    opened = {
        (key, i): VideoFile(dataset.frames_source(key, i).path)
        for key in CAMERAS
        for i in range(EPISODES)
    }

    def kept_open(run: int) -> None:
        for episode, tick in zip(*draws(run, 40), strict=True):
            for key in CAMERAS:
                next(opened[key, int(episode)].frames(range(int(tick), int(tick) + 1), None))

    began = time.perf_counter()
    cache = FrameCache.build(dataset, CAMERAS)
    built = len(CAMERAS) * EPISODES * TICKS / (time.perf_counter() - began)

    def gathered(run: int) -> None:
        for part in range(4):
            for key in CAMERAS:
                cache.gather(key, *draws(4 * run + part, 64))

    maps = {
        (key, i): np.load(
            next(Path(os.environ["UNDERSTUDY_CACHE"]).glob(f"frames/{key}-*/{dataset.ids[i]}.npy")),
            mmap_mode="r",
        ).view(np.ndarray)
        for key in CAMERAS
        for i in range(EPISODES)
    }

    def mapped(run: int) -> None:
        for part in range(4):
            for key in CAMERAS:
                frames = np.empty((64, *SIZE, 3), np.uint8)
                for row, (episode, tick) in enumerate(zip(*draws(4 * run + part, 64), strict=True)):
                    frames[row] = maps[key, int(episode)][tick]

    rows: list[dict[str, Any]] = [
        {"metric": "build the cache", "unit": "frames/s", "value": built, "n": 1},
        {"metric": "decode in order", "unit": "frames/s", **repeated(TICKS, in_order)},
        {"metric": "at random, file reopened", "unit": "samples/s", **repeated(40, reopened)},
        {"metric": "at random, files kept open", "unit": "samples/s", **repeated(40, kept_open)},
        {"metric": "shards as memory maps", "unit": "samples/s", **repeated(256, mapped)},
        {"metric": "gather from the cache", "unit": "samples/s", **repeated(256, gathered)},
    ]
    ratio = rows[-1]["value"] / rows[-3]["value"]
    rows.append(
        {"metric": "gather over at random, kept open", "unit": "ratio", "value": ratio, "n": 1}
    )
    return rows


def main() -> None:
    """Measure both codecs and write the rows."""
    rows: list[results.Row] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_CACHE"] = f"{folder}/cache"
        codecs: tuple[Codec, ...] = ("h264", "av1")
        for codec in codecs:
            dataset = Recorded(Path(folder), codec)
            encoded = {"metric": "encode", "unit": "frames/s", "value": dataset.record(), "n": 1}
            for row in [encoded, *measure(dataset)]:
                once = {"low": row["value"], "high": row["value"]}
                rows.append(results.Row(**{"case": codec, "seeds": [0], **once, **row}))
    results.write("frames", "python benchmarks/frames.py", rows)


if __name__ == "__main__":
    main()
