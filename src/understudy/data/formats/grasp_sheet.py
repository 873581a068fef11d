"""Spreadsheets of keyboard demonstrations of grasping: one file (.xlsx) an episode, a row each tenth of a second.

Seven columns: where gripper and object are, and whether the gripper is open (1) or closed (0). Such a
file has no commands; what is commanded at a row is taken to be the next row's gripper, which is how it is
learnt from. In the file y points up; here z does, so positions are turned on their way in and out.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from numpy.typing import NDArray

from understudy.data.formats import Imported
from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

COLUMNS = (
    *(f"End_pos_{axis}" for axis in "xyz"),
    *(f"Object_pos_{axis}" for axis in "xyz"),
    "finger",
)
RATE_HZ = 10.0
HAND, THING = ("x", "y", "z", "finger"), ("x", "y", "z")
SPEC = Spec(
    {STATE: Signal((4,), names=HAND), ENVIRONMENT_STATE: Signal((3,), unit="m", names=THING)},
    Signal((4,), names=HAND),
    RATE_HZ,
    "Grasp the object, lift it and hold it up.",
)
# A day of rows; a file that unpacks to more than this is not what it says it is.
MOST_ROWS, MOST_BYTES = 864_000, 512 * 2**20
# What reading a damaged file ends in.
DAMAGE = (zipfile.BadZipFile, zlib.error, ParseError, EOFError, KeyError, IndexError, OSError)


def import_folder(source: Path, destination: Path, cameras: bool = False) -> Imported:
    """Make a dataset in `destination` of a spreadsheet, or of all those in a folder in order of name.

    Raises ModuleNotFoundError naming the extra, and ValueError with file and row for anything that is not
    such a sheet; a dataset that was begun is removed then. There are no pictures, so `cameras` raises.
    """
    if cameras:
        raise ValueError(f"{source}: spreadsheets hold no pictures, so --cameras brings none")
    files = [source]
    if source.is_dir():  # Excel leaves ~$NAME beside a file that is open
        files = sorted(f for f in source.glob("*.xlsx") if not f.name.startswith("~$"))
    if not files:
        raise ValueError(f"{source} holds no spreadsheet (.xlsx)")
    with Dataset.create(destination, SPEC) as dataset:
        try:
            for file in files:
                dataset.append(_episode(read_sheet(file)))
        except BaseException:
            dataset.close()
            shutil.rmtree(destination)
            raise
    losses = (
        "commands are not in the files: each is the next row's gripper",
        "numbers are kept with seven digits, a tenth of a micrometre",
        "whether the object was lifted is not in the files",
    )
    return Imported(Path(destination), len(files), losses)


def export_folder(dataset: Dataset, destination: Path) -> tuple[str, ...]:
    """Write `demo0000.xlsx` and so on into a new folder; returns what could not be carried over.

    Raises ValueError for a dataset of other signals.
    """
    openpyxl = _openpyxl()
    if dataset.spec.rate_hz != RATE_HZ:
        raise ValueError(
            f"a sheet has {RATE_HZ:g} rows a second, this is {dataset.spec.rate_hz:g} Hz"
        )
    for key, signal in SPEC.observations.items():
        there = dataset.spec.observations.get(key)
        if there is None or there.names != signal.names:
            raise ValueError(
                f"{key} is {there.names if there else 'not there'}; a sheet has {signal.names}"
            )
    destination.mkdir(parents=True)
    for number in dataset.selected:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("demonstration")
        sheet.append(COLUMNS)
        for row in _rows(dataset[number]):
            sheet.append(row)
        book.save(destination / f"demo{number:04d}.xlsx")
    excluded = len(dataset) - len(dataset.selected)
    left = [key for key in dataset.spec.observations if key not in SPEC.observations]
    return (
        "commands, rewards, times and whether an episode succeeded have no column",
        *(f"{key} has no column" for key in left),
        *([f"{excluded} excluded episodes are left out"] if excluded else []),
    )


def read_sheet(file: Path) -> NDArray[np.float64]:
    """The rows (n, 7) of a spreadsheet; raises ValueError with the row that is wrong."""
    openpyxl = _openpyxl()
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"{file} unpacks to {size / 2**20:.0f} MB, too much for such a sheet")
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
    except DAMAGE as error:
        raise ValueError(f"{file} is no spreadsheet (.xlsx): {error}") from None
    try:
        return _numbers(book.worksheets[0].iter_rows(values_only=True), file)
    except DAMAGE as error:
        raise ValueError(f"{file} is damaged: {error}") from None
    finally:
        book.close()


def _numbers(lines: Iterator[tuple[Any, ...]], file: Path) -> NDArray[np.float64]:
    header = next(lines, ())
    if tuple(header[: len(COLUMNS)]) != COLUMNS:
        raise ValueError(f"{file}: columns {list(header)}, expected {list(COLUMNS)}")
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(lines, 2):
        values = line[: len(COLUMNS)]
        if all(value is None for value in values):
            continue
        wrong = [
            name
            for name, value in zip(COLUMNS, values, strict=False)
            if isinstance(value, bool)
            or not isinstance(value, int | float)
            or not np.isfinite(value)
        ]
        if wrong or len(values) < len(COLUMNS):
            raise ValueError(f"{file}, row {number}: no number in {', '.join(wrong) or 'the last'}")
        if values[-1] not in (0, 1):
            raise ValueError(f"{file}, row {number}: finger is {values[-1]}, expected 0 or 1")
        rows.append(values)
        if len(rows) > MOST_ROWS:
            raise ValueError(f"{file} has more than {MOST_ROWS:,} rows")
    if len(rows) < 2:
        raise ValueError(f"{file} has {len(rows)} rows of numbers, an episode has at least 2")
    return np.array(rows, np.float64)


def _episode(rows: NDArray[np.float64]) -> Episode:
    """An episode of T = n ticks; at the last, the gripper is commanded to stay."""
    place, thing = (_z_up(rows[:, part]) for part in (slice(0, 3), slice(3, 6)))
    hand = np.concatenate([place, rows[:, 6:]], 1).astype(np.float32)
    ticks = len(rows)
    return Episode(
        observations={STATE: hand, ENVIRONMENT_STATE: thing.astype(np.float32)},
        actions=np.concatenate([hand[1:], hand[-1:]]),
        rewards=np.zeros(ticks, np.float32),
        time_s=np.arange(ticks) / RATE_HZ,
        terminated=False,
        truncated=True,
        task=SPEC.task,
        source="person",
    )


def _rows(episode: Episode) -> Iterator[list[float]]:
    """The rows of an episode, with the fewest digits that read back as the same numbers."""
    hand = np.asarray(episode.observations[STATE])
    thing = np.asarray(episode.observations[ENVIRONMENT_STATE])
    for (*place, finger), there in zip(hand, thing, strict=True):
        if finger not in (0, 1):
            raise ValueError(f"finger is {finger}, a sheet has 0 or 1")
        values = (*_y_up(np.array(place)), *_y_up(there))
        yield [float(str(value)) for value in values] + [int(finger)]


def _z_up(places: NDArray[Any]) -> NDArray[Any]:
    """Positions (..., 3) of a frame in which y points up, in one in which z does."""
    return np.stack([places[..., 0], -places[..., 2], places[..., 1]], -1)


def _y_up(places: NDArray[Any]) -> NDArray[Any]:
    """The way back."""
    return np.stack([places[..., 0], places[..., 2], -places[..., 1]], -1)


def _openpyxl() -> Any:
    try:
        import openpyxl
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "spreadsheets need openpyxl: pip install 'understudy[formats]'"
        ) from error
    return openpyxl
