"""The numbers of all episodes of a dataset: by column, by episode, and what identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.data import foreign
from understudy.data.features import INDEX, LIKE_ACTION, PER_TICK, open_dtype
from understudy.data.layout import Row
from understudy.data.low_dim import Columns, Kinds, read_rows
from understudy.names import did_you_mean
from understudy.spec import ACTION, Spec

DEFAULTS = {"intervention": "bool", "time_s": "float64", "next.reward": "float32"}


@final
class Reader:
    """Columns over a list of episodes that only ever grows.

    What only others know of (annotations ...) is kept apart: a fault in it is theirs alone.
    """

    def __init__(self, folder: Path, spec: Spec, kinds: Kinds, own: bool, rows: list[Row]) -> None:
        self.rows = rows
        known = {*spec.observations, ACTION, *LIKE_ACTION, *PER_TICK, *INDEX}
        self._kinds = {key: kind for key, kind in kinds.items() if key in known}
        self._others = {key: kind for key, kind in kinds.items() if key not in known}
        self._folder, self._spec, self._own = folder, spec, own
        self._columns, self._other_columns = Columns(self._kinds), Columns(self._others)
        self._made: dict[str, NDArray[Any]] = {}
        self._foreign_ids: tuple[str, ...] | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ticks of each episode, (E,)."""
        return np.array([row.length for row in self.rows], np.int64)

    @property
    def keys(self) -> tuple[str, ...]:
        """What `column` knows."""
        return tuple(dict.fromkeys([*self._kinds, *self._others, *LIKE_ACTION, *DEFAULTS]))

    @property
    def ids(self) -> tuple[str, ...]:
        """What identifies each episode."""
        if self._own:
            return tuple(row.facts["id"] for row in self.rows)
        if self._foreign_ids is None:
            self._foreign_ids = tuple(
                foreign.content_id(row, self._slices(start, row.length, self._kinds), self._folder)
                for row, start in zip(self.rows, self._starts(), strict=True)
            )
        return self._foreign_ids

    def column(self, key: str) -> NDArray[Any]:
        """One column, (all ticks, *shape); made up of NaN, False or zeros where others kept none."""
        if key not in self.keys:
            raise KeyError(
                f"{self._folder} has no column {key!r}.{did_you_mean(key, self.keys)} It has {list(self.keys)}"
            )
        if key in self._kinds or key in self._others:
            columns = self._columns if key in self._kinds else self._other_columns
            if columns.episodes != len(self.rows):
                columns.update(self.rows, self._cache_name(columns.kinds))
            return columns.array(key)
        ticks = int(self.lengths.sum())
        if key not in self._made or len(self._made[key]) != ticks:
            self._made[key] = self._default(key, ticks)
        return self._made[key]

    def episode(self, at: int) -> dict[str, NDArray[Any]]:
        """All columns of the ticks of one episode."""
        row = self.rows[at]
        if self._own and at >= self._columns.episodes:
            return next(read_rows([row], self._kinds))  # a small file of its own
        return self._slices(self._starts()[at], row.length, [*self._kinds, *DEFAULTS])

    def _slices(self, start: int, length: int, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        return {name: self.column(name)[start : start + length] for name in names}

    def _starts(self) -> list[int]:
        """The first tick of each episode among all."""
        return (np.cumsum(self.lengths) - self.lengths).tolist()

    def _cache_name(self, kinds: Kinds) -> str:
        """What identifies the columns in the cache: ids, or for others the state of their files."""
        if self._own:
            text = "\n".join(self.ids)
        else:
            files = {row.data: row.data.stat() for row in self.rows}
            text = "\n".join(f"{p.resolve()} {s.st_size} {s.st_mtime_ns}" for p, s in files.items())
            text += "\n".join(f"{row.number} {row.length}" for row in self.rows)
        return hashlib.blake2b((text + repr(kinds)).encode(), digest_size=16).hexdigest()

    def _default(self, key: str, ticks: int) -> NDArray[Any]:
        """A column that others did not keep."""
        self.column(ACTION)  # raises if there are not as many ticks as is claimed
        action = self._spec.action
        if key in LIKE_ACTION:
            values = np.full((ticks, *action.shape), np.nan, open_dtype(action.dtype))
        elif key == "time_s":
            values = self._times().astype(np.float64)
        else:
            values = np.zeros(ticks, DEFAULTS[key])
        values.flags.writeable = False
        return values

    def _times(self) -> NDArray[Any]:
        if "timestamp" in self._kinds:
            return self.column("timestamp").reshape(-1)
        counted = [np.arange(row.length) for row in self.rows]
        return np.concatenate([np.zeros(0), *counted]) / self._spec.rate_hz
