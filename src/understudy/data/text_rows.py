"""Numbers in a text, a row a line, between spaces, tabs or commas; `#` begins a remark."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_ROWS, MOST_COLUMNS = 4_320_000, 1000  # a day at 50 Hz


def parse_rows(text: str, file: Path) -> NDArray[np.float64]:
    """The numbers (n, D) of a text; the first line may have names instead. `file` is for messages only.

    Raises ValueError with the line that is wrong.
    """
    rows: list[list[float]] = []
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
