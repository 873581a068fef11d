"""Everything that is not a picture, as one contiguous array per column over all episodes."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from understudy.data.cache import cache_root
from understudy.data.durable import digest
from understudy.data.layout import Row
from understudy.data.tables import array, parse_intact, read_table

Kinds = Mapping[str, tuple[tuple[int, ...], str]]  # {column: (shape of one tick, dtype)}


def read_rows(rows: Sequence[Row], kinds: Kinds) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the columns of consecutive episodes, {name: (ticks, *shape)}, one data file at a time.

    Ticks are found by the number of their episode, never by position. Raises ValueError, naming
    the file, if they are not exactly what the table of episodes says.
    """
    for path, group in groupby(rows, key=lambda row: row.data):
        yield _read_file(path, list(group), kinds)


def _read_file(path: Path, rows: list[Row], kinds: Kinds) -> dict[str, NDArray[Any]]:
    wanted = {*kinds, "episode_index", "frame_index"}
    expected = rows[0].facts.get("digest/data")
    if expected is None:
        table = read_table(path, wanted.__contains__)
    else:
        content = path.read_bytes()
        if digest(content) != expected:
            raise ValueError(f"{path} is damaged: its content does not fit its checksum")
        table = parse_intact(content, path, wanted.__contains__)
    try:
        found = {name: array(table, name, *kind) for name, kind in kinds.items()}
        order = _ticks(table, rows)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    if order is None:
        return found
    return {name: values[order] for name, values in found.items()}


def _ticks(table: Any, rows: list[Row]) -> NDArray[np.int64] | None:
    """Where the ticks of these episodes stand in a table; None: all of it, in order."""
    lengths = [row.length for row in rows]
    if "episode_index" not in table.column_names:
        if len(rows) != 1 or table.num_rows != lengths[0]:
            raise ValueError(f"{table.num_rows} ticks without episode_index, expected {lengths}")
        return None
    numbers = array(table, "episode_index", (), "int64")
    if sum(lengths) > len(numbers):  # before anything is made as large as they claim
        raise _wrong_count(numbers, rows)
    expected = np.repeat([row.number for row in rows], lengths)
    order = None
    if not np.array_equal(numbers, expected):
        order = np.concatenate([np.flatnonzero(numbers == row.number) for row in rows])
        if not np.array_equal(numbers[order], expected):
            raise _wrong_count(numbers, rows)
    if "frame_index" in table.column_names:
        frames = array(table, "frame_index", (), "int64")
        frames = frames if order is None else frames[order]
        if not np.array_equal(frames, np.concatenate([np.arange(n) for n in lengths])):
            raise ValueError("frame_index does not count 0, 1, 2 ... in each episode")
    return order


def _wrong_count(numbers: NDArray[np.int64], rows: list[Row]) -> ValueError:
    """What to raise when a data file does not hold as many ticks of an episode as it should."""
    there = dict(
        zip(*(found.tolist() for found in np.unique(numbers, return_counts=True)), strict=True)
    )
    wrong = next(row for row in rows if there.get(row.number, 0) != row.length)
    return ValueError(
        f"episode {wrong.number} has {there.get(wrong.number, 0)} ticks here, "
        f"its table says {wrong.length}"
    )


@final
class Columns:
    """The columns of a growing list of episodes, memory-mapped from the cache and read-only.

    Where the cache cannot be written they are kept in memory, with the same numbers. Episodes that
    are added are appended to what is there; nothing is read twice.
    """

    def __init__(self, kinds: Kinds) -> None:
        self.kinds = dict(kinds)
        self._arrays: dict[str, NDArray[Any]] = {}
        self._folder: Path | None = None
        self.episodes = -1  # how many the arrays hold; none were asked for yet

    def update(self, rows: Sequence[Row], name: str) -> None:
        """Hold exactly `rows`, of which the first `self.episodes` are held; `name` identifies them."""
        folder = cache_root() / "columns" / name
        ticks = sum(row.length for row in rows)
        if not self._open(folder, ticks):
            self._build(rows, folder, ticks)
        self.episodes = len(rows)

    def array(self, name: str) -> NDArray[Any]:
        """One column (all ticks, *shape)."""
        return self._arrays[name]

    def _open(self, folder: Path, ticks: int) -> bool:
        """Map the columns that are cached already, if they are what they should be."""
        found = {}
        for at, (name, (shape, dtype)) in enumerate(self.kinds.items()):
            try:
                values = np.load(folder / f"{at}.npy", mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError):
                return False
            if values.shape != (ticks, *shape) or values.dtype != dtype:
                return False
            found[name] = values
        self._arrays, self._folder = found, folder
        return True

    def _build(self, rows: Sequence[Row], folder: Path, ticks: int) -> None:
        superseded = self._folder
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(dir=folder.parent) as waiting:
                self._write(rows, Path(waiting), ticks)
                with contextlib.suppress(OSError):  # another process was faster
                    os.rename(Path(waiting), folder)
                cached = self._open(folder, ticks)
        except OSError:  # no room, or not allowed
            cached = False
        if not cached:
            self._arrays, self._folder = self._gather(rows, ticks), None
        if superseded is not None and superseded != self._folder:
            shutil.rmtree(superseded, ignore_errors=True)

    def _write(self, rows: Sequence[Row], folder: Path, ticks: int) -> None:
        with contextlib.ExitStack() as stack:
            files: dict[str, BinaryIO] = {}
            for at, (name, (shape, dtype)) in enumerate(self.kinds.items()):
                files[name] = stack.enter_context(open(folder / f"{at}.npy", "wb"))
                header = {"descr": np.dtype(dtype).str, "fortran_order": False}
                npy.write_array_header_1_0(files[name], {**header, "shape": (ticks, *shape)})
            for part in self._parts(rows):
                for name, values in part.items():
                    files[name].write(np.ascontiguousarray(values).data)

    def _gather(self, rows: Sequence[Row], ticks: int) -> dict[str, NDArray[Any]]:
        parts = list(self._parts(rows))
        gathered = {}
        for name, (shape, dtype) in self.kinds.items():
            values = np.empty((ticks, *shape), dtype)
            np.concatenate([part[name] for part in parts], out=values) if parts else None
            values.flags.writeable = False
            gathered[name] = values
        return gathered

    def _parts(self, rows: Sequence[Row]) -> Iterator[dict[str, NDArray[Any]]]:
        known = max(self.episodes, 0)
        if known:
            yield self._arrays
        yield from read_rows(rows[known:], self.kinds)
