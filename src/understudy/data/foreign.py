"""Datasets that others wrote: what of them is a Spec, and their episodes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.data.features import from_features, is_numeric
from understudy.data.layout import Layout, Row
from understudy.data.low_dim import Kinds
from understudy.data.tables import column_names, first_number
from understudy.episode import Episode, Frames
from understudy.spec import ACTION, Spec


def understood(layout: Layout) -> tuple[Spec, Kinds, list[str]]:
    """The Spec of the dataset, its columns with numbers, and what of it cannot be used.

    Raises ValueError if it has no action or no observation.
    """
    features, problems = dict(layout.features), []
    there = column_names(layout.rows[0].data) if layout.rows else list(features)
    for key, feature in layout.features.items():
        fault = _unusable(layout, key, feature["dtype"], there)
        if fault:
            problems.append(fault)
            if "left out" in fault:
                del features[key]
    problems += _times(layout, there)
    tasks = {row.tasks[0] for row in layout.rows if row.tasks}
    task = tasks.pop() if len(tasks) == 1 else ""
    spec, found = from_features(features, layout.rate_hz, task)
    return spec, _kinds(features, spec), problems + found


def _unusable(layout: Layout, key: str, dtype: str, there: Sequence[str]) -> str:
    """What is wrong with one declared feature, or ""."""
    if dtype != "video":
        return "" if key in there else f"{key} is declared, but in no data file; it is left out"
    missing = [row.number for row in layout.rows if key not in row.clips]
    if layout.rows and len(missing) == len(layout.rows):
        return f"{key} is declared, but has no video files; it is left out"
    if missing:
        return f"{key} has no frames in {len(missing)} episodes, the first is {missing[0]}"
    return ""


def _times(layout: Layout, there: Sequence[str]) -> list[str]:
    problems = []
    if "frame_index" not in there:
        problems.append("frame_index is missing; ticks are counted in the order of the rows")
    if "timestamp" in there and layout.rows:
        first = first_number(layout.rows[0].data, "timestamp")
        if abs(first) > 1e-6:
            problems.append(f"time stamps begin at {first:g} s, not at 0")
    return problems


def _kinds(features: Mapping[str, Mapping[str, Any]], spec: Spec) -> Kinds:
    kinds: dict[str, tuple[tuple[int, ...], str]] = {}
    for key, feature in features.items():
        if is_numeric(feature["dtype"]):
            signal = spec.action if key == ACTION else spec.observations.get(key)
            shape = tuple(feature["shape"])
            plain = () if shape == (1,) else shape
            kinds[key] = (signal.shape if signal else plain, feature["dtype"])
    return kinds


def episode(
    spec: Spec, row: Row, read: Mapping[str, NDArray[Any]], cameras: Mapping[str, Frames], id: str
) -> Episode:
    """One episode from its columns. What was not kept is None; rewards are zeros then."""
    observations = {key: cameras[key] if key in cameras else read[key] for key in spec.observations}
    truncated = "next.truncated" in read and bool(read["next.truncated"][-1])
    done = "next.done" in read and bool(read["next.done"][-1])
    reward = read["next.reward"]
    return Episode(
        observations=observations,
        actions=read[ACTION],
        rewards=reward.reshape(len(reward)).astype(np.float32),
        time_s=read["time_s"],
        terminated=done and not truncated,
        truncated=truncated or not done,
        success=bool(read["next.success"].any()) if "next.success" in read else None,
        task=row.tasks[0] if row.tasks else "",
        id=id,
    )


def content_id(row: Row, read: Mapping[str, NDArray[Any]], folder: Path) -> str:
    """The id of an episode: over its numbers, where its frames are, and its task."""
    running = hashlib.blake2b(digest_size=16)
    for key in sorted(read):
        if key not in ("index", "episode_index", "task_index"):
            values = np.ascontiguousarray(read[key])
            running.update(f"{key} {values.dtype} {values.shape}\n".encode())
            running.update(values.data)
    for key, clip in sorted(row.clips.items()):
        name = clip.path.relative_to(folder).as_posix()
        running.update(f"{key} {name} {clip.first} {row.length}\n".encode())
    running.update(repr(row.tasks).encode())
    return running.hexdigest()
