"""What formats of positions and joint angles have in common: a row is what was seen and what is commanded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from understudy.data.formats import Imported
from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

RATE_HZ = 50.0  # at which such sets were played; they do not say so themselves
POSITION, ANGLES = 3, 7
TASK = "Follow the curve with the flange."
# A day of rows; a file that is larger than this is not what it says it is.
MOST_ROWS, MOST_BYTES = 4_320_000, 128 * 2**20
Pair = tuple[NDArray[np.float64], NDArray[np.float64]]  # seen (n, D), commanded (n, A)


def spec_of(seen: int, commanded: int) -> Spec:
    """Signals of rows with so many numbers: a position and joint angles where they are 3 and 7."""
    if (seen, commanded) == (POSITION, ANGLES):
        names = tuple(f"joint{number}" for number in range(1, ANGLES + 1))
        return Spec(
            {ENVIRONMENT_STATE: Signal((POSITION,), unit="m", names=("x", "y", "z"))},
            Signal((ANGLES,), unit="rad", names=names),
            RATE_HZ,
            TASK,
        )
    return Spec({STATE: Signal((seen,))}, Signal((commanded,)), RATE_HZ)


def read_bytes(file: Path) -> bytes:
    """The content of a file; raises ValueError where it is missing or too large."""
    if not file.is_file():
        raise ValueError(f"{file} is no file")
    if file.stat().st_size > MOST_BYTES:
        size = file.stat().st_size / 2**20
        raise ValueError(f"{file} has {size:.0f} MB, expected at most {MOST_BYTES / 2**20:.0f}")
    return file.read_bytes()


def write_dataset(destination: Path, pairs: Sequence[Pair], losses: Sequence[str]) -> Imported:
    """Make a dataset of an episode for each pair; all must have the same numbers of columns."""
    seen, commanded = (part.shape[1] for part in pairs[0])
    spec = spec_of(seen, commanded)
    [key] = spec.observations
    with Dataset.create(destination, spec) as dataset:
        try:
            for rows, answers in pairs:
                dataset.append(_episode(key, rows, answers, spec.task))
        except BaseException:
            dataset.close()
            shutil.rmtree(destination)
            raise
    said = f"rows have no times: {RATE_HZ:g} a second are taken for granted"
    digits = "numbers are kept with seven digits"
    return Imported(Path(destination), len(pairs), (said, digits, *losses))


def read_pairs(dataset: Dataset, format: str) -> Iterator[tuple[int, ArrayLike, ArrayLike]]:
    """(number, seen (T, D), commanded (T, A)) of each selected episode.

    Raises ValueError where the dataset has pictures or more than one observation, or choices.
    """
    spec = dataset.spec
    if len(spec.observations) != 1 or spec.cameras or spec.action.choices:
        raise ValueError(
            f"{format} holds one vector that is seen and one that is commanded, this dataset has "
            f"{', '.join(spec.observations)} and the action {spec.action}"
        )
    [key] = spec.observations
    for number in dataset.selected:
        episode = dataset[int(number)]
        yield int(number), np.asarray(episode.observations[key]), episode.actions


def losses_of(dataset: Dataset) -> tuple[str, ...]:
    """What rows of pairs cannot hold."""
    excluded = len(dataset) - len(dataset.selected)
    return (
        f"the rate of {dataset.spec.rate_hz:g} Hz, rewards and whether an episode succeeded have no place",
        *([f"{excluded} excluded episodes are left out"] if excluded else []),
    )


def plain(row: ArrayLike) -> list[float]:
    """Numbers with the fewest digits that read back as the same float32."""
    return [float(str(value)) for value in np.asarray(row, np.float32)]


def _episode(
    key: str, seen: NDArray[np.float64], answers: NDArray[np.float64], task: str
) -> Episode:
    ticks = len(seen)
    return Episode(
        observations={key: seen.astype(np.float32)},
        actions=answers.astype(np.float32),
        rewards=np.zeros(ticks, np.float32),
        time_s=np.arange(ticks) / RATE_HZ,
        terminated=False,
        truncated=True,
        task=task,
    )
