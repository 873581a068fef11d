"""Demonstrations from a loop of your own: a robot that you read and command, a person who leads it."""

import numpy as np

from understudy.data.collector import Collector
from understudy.data.store import Dataset
from understudy.spec import STATE, Signal, Spec

IMAGE = "observation.image"
spec = Spec(
    observations={STATE: Signal((2,), unit="m"), IMAGE: Signal((96, 96, 3), "uint8")},
    action=Signal((2,), unit="m"),
    rate_hz=10.0,
    task="Bring the tool to the corner.",
)


def picture_of(place: np.ndarray) -> np.ndarray:
    """What a camera would see: a bright square where the tool is."""
    picture = np.full((96, 96, 3), 40, np.uint8)
    row, column = (place * 88).astype(int)
    picture[row : row + 8, column : column + 8] = 255
    return picture


with Dataset.create("own-robot", spec) as dataset, Collector(dataset) as collector:
    for attempt in range(3):
        place = np.random.default_rng(attempt).uniform(0, 0.5, 2)
        while place.min() < 0.95 and len(collector) < 40:
            goal = np.minimum(place + 0.05, 1.0)  # what the person's hands would say
            collector.add({STATE: place, IMAGE: picture_of(place)}, goal)
            place = goal
        episode = collector.end(success=bool(place.min() >= 0.95))
        print(f"attempt {attempt}: {'dropped' if episode is None else f'{len(episode)} ticks'}")
