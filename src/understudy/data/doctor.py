"""Looks at every byte of a dataset and says what is wrong; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from understudy.data import annotations, foreign, totals
from understudy.data.durable import digest_file, open_json
from understudy.data.episodes import EPISODES
from understudy.data.features import columns
from understudy.data.info import INFO
from understudy.data.layout import TASKS, Layout, Row
from understudy.data.low_dim import Kinds, read_rows
from understudy.data.places import OWN, STATS, all_statistics, used_tasks
from understudy.data.tables import is_intact
from understudy.data.video import RecordedFrames
from understudy.spec import Spec


def verify(folder: Path | str) -> list[str]:
    """One sentence for each fault; [] if there is none. It reads the whole dataset.

    In what Understudy wrote, any flipped byte is found. In datasets of others, which carry no
    checksums, every number is read and the last frame of each episode is decoded. Raises
    FileNotFoundError if there is no dataset.
    """
    folder = Path(folder)
    if not (folder / OWN).is_file():
        return _foreign_faults(folder)
    damaged = list(_unsealed(folder))
    if damaged:
        return damaged
    facts = open_json(folder / OWN)
    try:
        layout = Layout(folder, own=True)
    except ValueError as error:
        return [str(error)]
    spec = Spec.from_dict(facts["spec"])
    found = list(layout.problems)
    found += _part_faults(layout, spec)
    found += _total_faults(layout, spec, facts["video"])
    found += _strangers(layout)
    return found or _read_faults(layout.rows, columns(spec))


def _unsealed(folder: Path) -> Iterator[str]:
    """The damaged among the files that carry a checksum of themselves."""
    for path in [folder / OWN, folder / annotations.FILE]:
        if path.is_file():
            try:
                open_json(path)
            except ValueError as error:
                yield str(error)
    for path in [folder / TASKS, *sorted((folder / EPISODES).glob("*/*.parquet"))]:
        if path.is_file() and not is_intact(path.read_bytes()):
            yield f"{path} is damaged: its content does not fit its checksum"


def _part_faults(layout: Layout, spec: Spec) -> Iterator[str]:
    """Data and video files that are missing, or other than their episode's row says."""
    for row in layout.rows:
        parts = {"data": row.data} | {key: clip.path for key, clip in row.clips.items()}
        for key in spec.cameras:
            if key not in parts:
                yield f"episode {row.number}: the video of {key} is missing"
        for key, path in parts.items():
            if not path.is_file():
                yield f"episode {row.number}: {path} is missing"
                continue
            size, expected = path.stat().st_size, row.facts[f"bytes/{key}"]
            if size != expected:
                yield f"{path} is damaged: it has {size} bytes, {expected} were written"
            elif digest_file(path) != row.facts[f"digest/{key}"]:
                yield f"{path} is damaged: its content does not fit its checksum"


def _total_faults(layout: Layout, spec: Spec, video: dict[str, Any]) -> Iterator[str]:
    """Totals that are not what the episodes add up to."""
    tasks, lengths = used_tasks(layout), [row.length for row in layout.rows]
    if list(layout.tasks) != tasks:
        yield f"{TASKS} lists {list(layout.tasks)}, the episodes have {tasks}"
    if layout.content != totals.info(spec, video, lengths, len(tasks)):
        yield f"{INFO} is damaged or out of date: it is not what the episodes add up to"
    stats = layout.tree.path(STATS)
    if not lengths:
        return
    expected = totals.stats(all_statistics(layout, spec), spec)
    if not stats.is_file() or stats.read_bytes() != expected:
        yield f"{STATS} is damaged or out of date: it is not what the episodes add up to"


def _strangers(layout: Layout) -> Iterator[str]:
    """Files among the episodes that belong to none."""
    known = {row.data for row in layout.rows}
    known |= {clip.path for row in layout.rows for clip in row.clips.values()}
    folder = layout.tree.folder
    for path in [*(folder / "data").rglob("*"), *(folder / "videos").rglob("*")]:
        if not path.is_dir() and path not in known:
            yield f"{path} belongs to no episode"


def _read_faults(rows: list[Row], kinds: Kinds) -> list[str]:
    """Data files whose numbers cannot be read."""
    found = []
    for row in rows:
        try:
            list(read_rows([row], kinds))
        except (ValueError, OSError) as error:
            found.append(str(error))
    return list(dict.fromkeys(found))


def _foreign_faults(folder: Path) -> list[str]:
    try:
        layout = Layout(folder)
        spec, kinds, found = foreign.understood(layout)
    except ValueError as error:
        return [str(error)]
    found = [*layout.problems, *found]
    try:
        for _ in read_rows(layout.rows, kinds):
            pass
    except (ValueError, OSError) as error:
        found.append(str(error))
    for row in layout.rows:
        for key, clip in row.clips.items():
            if key in spec.cameras:
                found += _frame_faults(spec, row, key, clip.path, clip.first)
    return found


def _frame_faults(spec: Spec, row: Row, key: str, path: Path, first: int) -> list[str]:
    height, width, _ = spec.observations[key].shape
    try:
        RecordedFrames(path, first, row.length, (height, width))[-1]
    except (ValueError, OSError) as error:
        return [f"episode {row.number}: {error}"]
    return []
