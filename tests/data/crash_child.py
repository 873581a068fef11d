"""Records until it is killed: says "saved N" once episode N is durable."""

import sys
from dataclasses import replace
from pathlib import Path

from tests.data.demonstrations import CAMERAS, demonstration
from understudy.data.store import Dataset
from understudy.episode import Episode


def episode(number: int) -> Episode:
    """Episode `number` of every run: anybody can tell what should be there."""
    return demonstration(CAMERAS, 3 + number % 5, number, task=f"task {number // 4}")


def main(folder: Path) -> None:
    dataset = Dataset.open(folder) if folder.exists() else Dataset.create(folder, CAMERAS)
    recorder = dataset.recorder()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in range(len(dataset), 10_000):
        whole = episode(number)
        take = recorder.begin()
        for tick in range(len(whole)):
            for key in CAMERAS.cameras:
                take.frame(key, whole.observations[key][tick])
        vectors = {key: whole.observations[key] for key in CAMERAS.vectors}
        take.save(replace(whole, observations=vectors))
        sys.stdout.write(f"saved {number}\n")
        sys.stdout.flush()
