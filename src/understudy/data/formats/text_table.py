"""Plain text tables of states and actions: numbers by spaces, tabs or commas, a row a line.

Two files, `states*.txt` and `actions*.txt` (or .csv) with as many rows, the rest of the name the same,
are an episode; so is one file of ten columns, a position and seven joint angles. `#` begins a remark,
and the first line may have names instead of numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from understudy.data.formats import Imported
from understudy.data.formats.pairs import (
    ANGLES,
    POSITION,
    Pair,
    losses_of,
    plain,
    read_bytes,
    read_pairs,
    write_dataset,
)
from understudy.data.store import Dataset
from understudy.data.text_rows import parse_rows

SUFFIXES = (".txt", ".csv", ".dat")


def import_folder(source: Path, destination: Path, cameras: bool = False) -> Imported:
    """Make a dataset in `destination` of one file, or of a folder's files of states and actions.

    Raises ValueError with file and line for what is no table, and for tables that do not fit together.
    """
    if cameras:
        raise ValueError(f"{source}: tables hold no pictures, so --cameras brings none")
    pairs = _read_folder(source) if source.is_dir() else [_read_single(source)]
    widths = {tuple(part.shape[1] for part in pair) for pair in pairs}
    if len(widths) > 1:
        raise ValueError(f"{source}: columns (states, actions) differ: {sorted(widths)}")
    return write_dataset(destination, pairs, ())


def export_folder(dataset: Dataset, destination: Path) -> tuple[str, ...]:
    """Write `states0000.txt` and `actions0000.txt` and so on; returns what could not be carried over."""
    episodes = list(read_pairs(dataset, "text-table"))
    destination.mkdir(parents=True)
    for number, *parts in episodes:
        for name, rows in zip(("states", "actions"), parts, strict=True):
            lines = [" ".join(map(repr, plain(row))) for row in np.asarray(rows)]
            (destination / f"{name}{number:04d}.txt").write_text("\n".join(lines) + "\n")
    return losses_of(dataset)


def _read_single(file: Path) -> Pair:
    table = _read_table(file)
    if table.shape[1] != POSITION + ANGLES:
        raise ValueError(
            f"{file} has {table.shape[1]} columns, expected {POSITION + ANGLES}: a position and seven "
            "angles; other states and actions come as two files, states.txt and actions.txt"
        )
    return table[:, :POSITION], table[:, POSITION:]


def _read_folder(folder: Path) -> list[Pair]:
    files = sorted(file for suffix in SUFFIXES for file in folder.glob(f"states*{suffix}"))
    if not files:
        raise ValueError(f"{folder} holds no states*.txt")
    pairs = []
    for states in files:
        actions = folder / states.name.replace("states", "actions", 1)
        seen, commanded = _read_table(states), _read_table(actions)
        if len(seen) != len(commanded):
            raise ValueError(
                f"{states.name} has {len(seen)} rows, {actions.name} {len(commanded)}; one for each"
            )
        pairs.append((seen, commanded))
    return pairs


def _read_table(file: Path) -> NDArray[np.float64]:
    return parse_rows(read_bytes(file).decode("utf-8-sig", "replace"), file)
