"""Numbered files: which come next, and what a writer that died has left behind."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from understudy.data import totals
from understudy.data.durable import replace_file
from understudy.data.episodes import EPISODES
from understudy.data.info import CHUNK, DATA_PATH, EPISODES_PATH, INFO, VIDEO_PATH
from understudy.data.layout import TASKS, Layout
from understudy.data.paths import fill
from understudy.data.records import tasks_file
from understudy.data.tables import read_table
from understudy.spec import Spec

OWN = "meta/understudy.json"  # what only we write: the Spec, how video is stored
STATS = "meta/stats.json"
STAGING = ".staging"
LOCK = ".lock"


def place(prefix: str, chunk: int, file: int) -> str:
    """The relative path of a numbered file; `prefix` is data/, videos/<camera>/, meta/episodes/."""
    values: dict[str, int | str] = {"chunk_index": chunk, "file_index": file}
    if prefix == "data/":
        return fill(DATA_PATH, values)
    if prefix == "meta/episodes/":
        return fill(EPISODES_PATH, values)
    return fill(VIDEO_PATH, {**values, "video_key": prefix.split("/")[1]})


def next_places(layout: Layout, spec: Spec) -> dict[str, tuple[int, int]]:
    """{prefix: (chunk, file)} where the next episode's parts go."""
    prefixes = ["data/", *(f"videos/{key}/" for key in spec.cameras), "meta/episodes/"]
    found = {}
    for prefix in prefixes:
        names = (prefix + "chunk_index", prefix + "file_index")
        taken = [tuple(row.facts[name] for name in names) for row in layout.rows]
        found[prefix] = after(max(taken)) if taken else (0, 0)
    return found


def require_whole(layout: Layout, spec: Spec) -> None:
    """Raise ValueError if there are data files of episodes that the table of episodes lacks.

    One that was never saved whole is cleared away; more mean that a copy is not complete.
    """
    place_after_next = after(next_places(layout, spec)["data/"])
    path = layout.tree.folder / place("data/", *place_after_next)
    if path.exists():
        raise ValueError(
            f"{layout.tree.folder} is not complete: there is {path.name}, but {EPISODES} ends before "
            "it. Copy the dataset again, with all its files; nothing is changed until then"
        )


def after(place: tuple[int, int]) -> tuple[int, int]:
    chunk, file = place
    return (chunk, file + 1) if file < CHUNK - 1 else (chunk + 1, 0)


def used_tasks(layout: Layout) -> list[str]:
    """The tasks of all episodes in the order in which they were first used."""
    return list(dict.fromkeys(row.tasks[0] for row in layout.rows))


def kept_statistics(layout: Layout, spec: Spec) -> dict[str, totals.Moments]:
    """The running statistics: those in `stats.json` if they count every tick, else anew."""
    path = layout.tree.path(STATS)
    ticks = sum(row.length for row in layout.rows)
    if path.is_file():
        found = totals.from_stats(path.read_bytes(), spec)
        if found and found["action"]["count"][0] == ticks:
            return found
    return all_statistics(layout, spec)


def all_statistics(layout: Layout, spec: Spec) -> dict[str, totals.Moments]:
    """The statistics of all episodes, put together from those of each."""
    names = ("meta/episodes/chunk_index", "meta/episodes/file_index")
    places = dict.fromkeys((row.facts[names[0]], row.facts[names[1]]) for row in layout.rows)
    found: dict[str, totals.Moments] = {}
    for chunk, file in places:
        path = layout.tree.path(place("meta/episodes/", chunk, file))
        for record in read_table(path).to_pylist():
            found = totals.together(found, totals.from_record(record, spec))
    return found


def untidy(layout: Layout, spec: Spec, video: Mapping[str, Any]) -> list[str]:
    """Sentences on what a writer that died has left; [] if nothing. The past tense is `tidy`'s."""
    found = []
    if any(path.is_file() for path in (layout.tree.folder / STAGING).rglob("*")):
        found.append("an episode that was being recorded when its writer stopped was cleared away")
    for prefix, (chunk, file) in next_places(layout, spec).items():
        if (layout.tree.folder / place(prefix, chunk, file)).exists():
            found.append(
                f"{place(prefix, chunk, file)}, of an episode that was never saved whole, was removed"
            )
    tasks, lengths = used_tasks(layout), [row.length for row in layout.rows]
    if list(layout.tasks) != tasks:
        found.append("a task that no episode has was removed from the table of tasks")
    if layout.content != totals.info(spec, video, lengths, len(tasks)):
        found.append("the totals in info.json were brought up to date")
    stats = layout.tree.path(STATS)
    if lengths and not (
        stats.is_file()
        and totals.from_stats(stats.read_bytes(), spec).get("action", {}).get("count", [0])[0]
        == sum(lengths)
    ):
        found.append("the totals in stats.json were brought up to date")
    return found


def tidy(layout: Layout, spec: Spec, video: Mapping[str, Any]) -> None:
    """Clear away what `untidy` names; only the holder of the lock may.

    Raises ValueError, before anything is touched, if episodes seem to be missing from the table.
    """
    require_whole(layout, spec)
    folder, staging = layout.tree.folder, layout.tree.folder / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    for prefix, (chunk, file) in next_places(layout, spec).items():
        (folder / place(prefix, chunk, file)).unlink(missing_ok=True)
    tasks, lengths = used_tasks(layout), [row.length for row in layout.rows]
    if list(layout.tasks) != tasks:
        replace_file(folder / TASKS, tasks_file(tasks), staging)
    replace_file(folder / INFO, totals.info(spec, video, lengths, len(tasks)), staging)
    if lengths:
        statistics = totals.stats(all_statistics(layout, spec), spec)
        replace_file(folder / STATS, statistics, staging)
