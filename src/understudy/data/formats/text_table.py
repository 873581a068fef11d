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
    MOST_ROWS,
    POSITION,
    Pair,
    losses_of,
    plain,
    read_bytes,
    read_pairs,
    write_dataset,
)
from understudy.data.store import Dataset

SUFFIXES = (".txt", ".csv", ".dat")
MOST_COLUMNS = 1000


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


def read_table(file: Path) -> NDArray[np.float64]:
    """The numbers (n, D) of a file; raises ValueError with the line that is wrong."""
    rows: list[list[float]] = []
    text = read_bytes(file).decode("utf-8-sig", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        words = _words(line)
        if not words:
            continue
        row = [_number(word) for word in words]
        if number == 1 and all(value is None for value in row):
            continue  # names
        if None in row:
            raise ValueError(f"{file}, line {number}: {line[:60]!r}, expected numbers")
        if not np.isfinite(np.array(row, np.float64)).all():
            raise ValueError(f"{file}, line {number}: {line[:60]!r}, expected finite numbers")
        if rows and len(row) != len(rows[0]):
            raise ValueError(f"{file}, line {number}: {len(row)} numbers, expected {len(rows[0])}")
        if len(row) > MOST_COLUMNS or len(rows) >= MOST_ROWS:
            raise ValueError(f"{file}: more than {MOST_COLUMNS:,} columns or {MOST_ROWS:,} rows")
        rows.append(row)  # type: ignore[arg-type]  (None is refused above)
    if not rows:
        raise ValueError(f"{file} has no row of numbers")
    return np.array(rows)


def _words(line: str) -> list[str]:
    """The fields of a line: between commas where there are any, else between spaces; a remark aside."""
    kept = line.partition("#")[0].strip()
    return [word.strip() for word in kept.split(",")] if "," in kept else kept.split()


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _read_single(file: Path) -> Pair:
    table = read_table(file)
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
        seen, commanded = read_table(states), read_table(actions)
        if len(seen) != len(commanded):
            raise ValueError(
                f"{states.name} has {len(seen)} rows, {actions.name} {len(commanded)}; one for each"
            )
        pairs.append((seen, commanded))
    return pairs
