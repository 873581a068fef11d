"""Time LeRobot's datasets: `PYTHON FILE JSON`, see engine_data.py."""

import importlib
import itertools
import json
import logging
import sys
import time
import warnings
from pathlib import Path

import av
import numpy as np
import torch
from timing import report

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)
LeRobotDataset = importlib.import_module("lerobot.datasets.lerobot_dataset").LeRobotDataset


def read(
    folder: str,
    cameras: list[str],
    rate: float,
    backend: str,
    workers: int,
    batch: int,
    seconds: float,
) -> float:
    """Samples a second of shuffled windows: two observations, 16 actions."""
    seen = [-1 / rate, 0.0]
    times = dict.fromkeys([*cameras, "observation.state"], seen)
    times["action"] = [i / rate for i in range(16)]
    dataset = LeRobotDataset(
        "local/made", root=folder, delta_timestamps=times, video_backend=backend
    )
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=batch, shuffle=True, num_workers=workers, drop_last=True
    )
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    for _ in range(2):
        next(batches)
    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        count += len(next(batches)["index"])
    return count / (time.perf_counter() - began)


def record(folder: str, pictures: str, episodes: int, rate: int, options: dict[str, str]) -> float:
    """Frames a second of one camera, encoded while they come; counts those that were stored."""
    images = np.load(pictures)
    features = {
        "observation.state": {"dtype": "float32", "shape": (14,), "names": None},
        "action": {"dtype": "float32", "shape": (14,), "names": None},
        "observation.images.front": {
            "dtype": "video",
            "shape": images.shape[1:],
            "names": ["height", "width", "channels"],
        },
    }
    dataset = LeRobotDataset.create(
        "local/made", rate, features, root=Path(folder), streaming_encoding=True, **options
    )
    numbers = np.random.default_rng(0).normal(size=(len(images), 28)).astype(np.float32)
    began = time.perf_counter()
    for _ in range(episodes):
        for image, row in zip(images, numbers, strict=True):
            frame = {"observation.state": row[:14], "action": row[14:], "task": "made up"}
            dataset.add_frame(frame | {"observation.images.front": image})
        dataset.save_episode()
    dataset.finalize()
    seconds = time.perf_counter() - began
    stored = 0
    for path in Path(folder).rglob("*.mp4"):
        with av.open(str(path)) as video:
            stored += sum(packet.size > 0 for packet in video.demux(video=0))
    return stored / seconds


if __name__ == "__main__":
    what, arguments = json.loads(sys.argv[1])
    report({"read": read, "record": record}[what](**arguments))
