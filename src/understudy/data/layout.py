"""Where the parts of a LeRobot dataset lie on disk: versions 3.0, 2.1 and 2.0, and what is untidy.

Only metadata is read here. Every path, template, size and count comes from a file that somebody
else may have written, so each is checked before it is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, final

from understudy.data.durable import LARGEST_JSON, read_limited
from understudy.data.episodes import table_of_episodes
from understudy.data.info import CHUNK, TEMPLATES, VERSIONS, parsed, read_info
from understudy.data.paths import Tree, fill
from understudy.data.tables import read_table

TASKS = "meta/tasks.parquet"
LARGEST_COUNT = 2**31  # of episodes, ticks, files


@final
@dataclass(frozen=True)
class Clip:
    """Where the frames of one episode begin in a video file."""

    path: Path
    first: int


@final
@dataclass(frozen=True)
class Row:
    """One episode as the dataset's own table of episodes has it."""

    number: int  # episode_index, by which its ticks are found in the data file
    length: int
    tasks: tuple[str, ...]
    data: Path
    clips: Mapping[str, Clip]  # cameras whose frames can be found
    facts: Mapping[str, Any]  # the columns that LeRobot does not know


@final
class Layout:
    """The metadata of one dataset, read once. `problems` lists what is untidy, in sentences.

    Raises FileNotFoundError if there is no dataset, ValueError if it cannot be read safely.
    """

    def __init__(self, folder: Path, own: bool = False) -> None:
        self.tree = Tree(folder)
        self.problems: list[str] = []
        self.info, self.content = read_info(self.tree)  # `content`: of info.json
        self.version = VERSIONS[str(self.info["codebase_version"])]
        self.features: dict[str, dict[str, Any]] = self.info["features"]
        self.rate_hz = float(self.info["fps"])
        self._own = own
        self._cameras = [key for key, f in self.features.items() if f["dtype"] == "video"]
        self._by_name: dict[str, dict[str, str]] = {}
        self._exists: dict[Path, bool] = {}
        self.tasks: tuple[str, ...]
        self.rows: list[Row]
        try:
            self._read_tables()
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{folder}: the tables of tasks and episodes make no sense: {error!r}"
            ) from error
        self._compare_totals()

    def _read_tables(self) -> None:
        if self.version == "3.0":
            self.tasks = tuple(_in_order(self._tasks_table()))
            self.rows = self._rows_3()
        else:
            self.tasks = tuple(_in_order(_lines(self.tree.path("meta/tasks.jsonl"))))
            self.rows = self._rows_2()

    def _template(self, which: int) -> str:
        """The path template of data (0) or videos (1)."""
        default = TEMPLATES["3.0" if self.version == "3.0" else "2"][which]
        return str(self.info.get(("data_path", "video_path")[which]) or default)

    # version 3.0

    def _tasks_table(self) -> list[dict[str, Any]]:
        path = self.tree.path(TASKS)
        if not path.is_file():
            return []
        rows = read_table(path).to_pylist()
        for row in rows:  # some writers leave pandas' name for an index without one
            row.setdefault("task", row.pop("__index_level_0__", None))
        return rows

    def _rows_3(self) -> list[Row]:
        records = table_of_episodes(self.tree, self._own)
        self._check_numbers(records)
        rows = [self._row_3(record) for record in records]
        if not self._own:  # in ours, whose numbers count on, the row stays and reading it raises
            self._say_lost([row.number for row in rows if not self._is_file(row.data)])
            rows = [row for row in rows if self._is_file(row.data)]
        return self._without_overlaps(rows)

    def _row_3(self, record: Mapping[str, Any]) -> Row:
        number, length = record["episode_index"], _count(record, "length")
        start, stop = record.get("dataset_from_index"), record.get("dataset_to_index")
        if start is not None and stop is not None and stop - start != length:
            self.problems.append(
                f"episode {number}: its table says {length} ticks and the range {start}:{stop}"
            )
        data = fill(self._template(0), _places(record, "data/"))
        clips = {}
        for key in self._cameras:
            clip = self._clip_3(record, key, length)
            if clip is not None:
                clips[key] = clip
        return Row(
            number=number,
            length=length,
            tasks=tuple(str(task) for task in record.get("tasks") or ()),
            data=self.tree.path(data),
            clips=clips,
            facts=record if self._own else {},
        )

    def _clip_3(self, record: Mapping[str, Any], key: str, length: int) -> Clip | None:
        prefix = f"videos/{key}/"
        if record.get(prefix + "file_index") is None:
            return None
        path = self.tree.path(
            fill(self._template(1), {"video_key": key, **_places(record, prefix)})
        )
        if not self._is_file(path):
            return None
        start = float(record.get(prefix + "from_timestamp") or 0.0)
        stop = float(record.get(prefix + "to_timestamp") or start + length / self.rate_hz)
        number = record["episode_index"]
        if not 0 <= start < 1e9 or not start <= stop < 2e9:
            raise ValueError(f"episode {number}: frames of {key} begin at {start} s in {path}")
        if (stop - start) * self.rate_hz < length - 0.5:
            self.problems.append(
                f"episode {number}: {key} has {(stop - start) * self.rate_hz:.0f} frames for "
                f"{length} ticks, so its frames are not read"
            )
            return None
        return Clip(path, round(start * self.rate_hz))

    def _without_overlaps(self, rows: list[Row]) -> list[Row]:
        """Drop the clips that claim frames of another episode: one of the two would be wrong."""
        wrong: set[tuple[int, str]] = set()
        claims: dict[tuple[str, Path], list[tuple[int, int, int]]] = {}
        for at, row in enumerate(rows):
            for key, clip in row.clips.items():
                claim = (clip.first, clip.first + row.length, at)
                claims.setdefault((key, clip.path), []).append(claim)
        for (key, path), ranges in claims.items():
            ranges.sort()
            for (_, stop, before), (start, _, after) in pairwise(ranges):
                if start < stop:
                    wrong |= {(before, key), (after, key)}
                    self.problems.append(
                        f"episodes {rows[before].number} and {rows[after].number} claim the same "
                        f"frames of {path.name} ({key}), so neither's are read"
                    )
        if not wrong:
            return rows
        return [
            replace(row, clips={key: c for key, c in row.clips.items() if (at, key) not in wrong})
            for at, row in enumerate(rows)
        ]

    # versions 2.1 and 2.0

    def _rows_2(self) -> list[Row]:
        records = list(_lines(self.tree.path("meta/episodes.jsonl")))
        self._check_numbers(records)
        rows, lost = [], []
        for record in records:
            number = record["episode_index"]
            data = self._find(0, number, None)
            if data is None:
                lost.append(number)
                continue
            clips = {key: self._find(1, number, key) for key in self._cameras}
            rows.append(
                Row(
                    number=number,
                    length=_count(record, "length"),
                    tasks=tuple(str(task) for task in record.get("tasks") or ()),
                    data=data,
                    clips={k: Clip(path, 0) for k, path in clips.items() if path is not None},
                    facts={},
                )
            )
        self._say_lost(lost)
        return rows

    def _find(self, which: int, number: int, key: str | None) -> Path | None:
        """The data (0) or video (1) file of an episode, where the template says or by its name."""
        chunk = number // max(1, int(self.info.get("chunks_size") or CHUNK))
        values: dict[str, int | str] = {"episode_chunk": chunk, "episode_index": number}
        if key is not None:
            values["video_key"] = key
        relative = fill(self._template(which), values)
        path = self.tree.path(relative)
        if self._is_file(path):
            return path
        found = self._names(which, key).get(relative.rsplit("/", 1)[-1])
        if found is None:
            return None
        note = f"the path template {self._template(which)} does not fit; files are found by their names"
        if note not in self.problems:
            self.problems.append(note)
        return self.tree.path(found)

    def _names(self, which: int, key: str | None) -> dict[str, str]:
        """{file name: relative path} of the files below `data`, or below `videos` for a camera."""
        folder = ("data", "videos")[which]
        index = f"{folder}/{key}"
        if index not in self._by_name:
            pattern = "*/*.parquet" if key is None else f"*/{key}/*.mp4"
            files = sorted(self.tree.path(folder).glob(pattern), reverse=True)
            self._by_name[index] = {
                file.name: file.relative_to(self.tree.folder).as_posix() for file in files
            }
        return self._by_name[index]

    # all versions

    def _say_lost(self, numbers: list[int]) -> None:
        if numbers:
            self.problems.append(f"episodes without a data file are left out: {_few(numbers)}")

    def _is_file(self, path: Path) -> bool:
        if path not in self._exists:
            self._exists[path] = path.is_file()
        return self._exists[path]

    def _check_numbers(self, records: list[dict[str, Any]]) -> None:
        """Bring the rows into the order of their numbers; say what is missing."""
        numbers = [_count(record, "episode_index") for record in records]
        records.sort(key=lambda record: record["episode_index"])
        if len(set(numbers)) != len(numbers):
            number, times = Counter(numbers).most_common(1)[0]
            raise ValueError(
                f"{self.tree.folder}: episode {number} is listed {times} times; it is unsure which "
                "ticks and frames are its own"
            )
        missing = max(numbers, default=-1) + 1 - len(numbers)
        if missing:
            present = set(numbers)
            first = next(n for n in range(len(numbers) + 1) if n not in present)
            self.problems.append(f"episode numbers have gaps: {missing} missing, from {first} on")

    def _compare_totals(self) -> None:
        """Say where info.json counts other than what is there."""
        lengths = [row.length for row in self.rows]
        counted = {"total_episodes": len(lengths), "total_frames": sum(lengths)}
        counted["total_tasks"] = len(self.tasks)
        if self.version != "3.0":
            counted["total_videos"] = sum(len(row.clips) for row in self.rows)
            counted["total_chunks"] = len({row.data.parent for row in self.rows})
        for name, count in counted.items():
            if name in self.info and self.info[name] != count:
                self.problems.append(f"info.json says {name} {self.info[name]}, there are {count}")
        split = (self.info.get("splits") or {}).get("train")
        if split not in (None, f"0:{len(lengths)}") and lengths:
            self.problems.append(f"info.json trains on {split}, there are {len(lengths)} episodes")
        many = [row.number for row in self.rows if len(row.tasks) > 1]
        if many:
            self.problems.append(
                f"episodes with several tasks, of which the first is used: {_few(many)}"
            )


def _places(record: Mapping[str, Any], prefix: str) -> dict[str, int]:
    return {name: _count(record, prefix + name) for name in ("chunk_index", "file_index")}


def _few(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(n) for n in numbers[:5])
    return shown if len(numbers) <= 5 else f"{shown} ... ({len(numbers)} in all)"


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in read_limited(path, LARGEST_JSON).splitlines():
            if line.strip():
                yield parsed(path, line)


def _in_order(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The tasks of a table, by their number; raises ValueError if a number is missing or twice."""
    numbered = sorted((_count(record, "task_index"), str(record["task"])) for record in records)
    if [number for number, _ in numbered] != list(range(len(numbered))):
        found = [number for number, _ in numbered]
        raise ValueError(f"the table of tasks numbers them {found}, expected 0, 1, 2 ...")
    return [task for _, task in numbered]


def _count(record: Mapping[str, Any], name: str) -> int:
    """A whole number of a table; raises ValueError if it is none, negative or out of all reason."""
    value = record[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LARGEST_COUNT:
        raise ValueError(f"{name} is {value!r}, expected a whole number from 0 to {LARGEST_COUNT}")
    return value
