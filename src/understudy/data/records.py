"""One episode as rows of tables: its ticks in a data file, itself in the table of episodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from understudy.data.features import columns, open_dtype
from understudy.data.layout import Row
from understudy.data.tables import cells, sealed
from understudy.data.totals import Moments, measured, to_record
from understudy.episode import Episode, Frames
from understudy.spec import ACTION, Spec

FACTS = {  # what LeRobot's table of episodes has no column for
    "id": pa.string(),
    "seed": pa.int64(),
    "source": pa.string(),
    "success": pa.bool_(),
    "terminated": pa.bool_(),
    "truncated": pa.bool_(),
    "given": pa.list_(pa.string()),
    "bytes/data": pa.int64(),
    "digest/data": pa.string(),
}
OPTIONAL = ("executed", "labels", "intervention", "act_s", "final_observation")


def checked(episode: Episode, spec: Spec) -> Episode:
    """`Episode.check`, for what is stored: of the final observation, all but the cameras."""
    final = episode.final_observation
    whole = replace(episode, final_observation=None).check(spec)
    if final is not None:
        missing = [key for key in spec.vectors if key not in final]
        if missing:
            raise ValueError(f"the final observation lacks {missing}; it has {list(final)}")
        kept = {
            key: spec.observations[key].check(f"final {key}", final[key]) for key in spec.vectors
        }
        whole = replace(whole, final_observation=kept)
    if whole.act_s is not None:
        act_s = np.asarray(whole.act_s, np.float32)
        if act_s.shape != (len(whole),):
            raise ValueError(f"act_s: shape {act_s.shape}, expected {(len(whole),)}")
        whole = replace(whole, act_s=act_s)
    if whole.seed is not None and not -(2**63) <= whole.seed < 2**63:
        raise ValueError(f"seed: {whole.seed} does not fit 64 bits")
    return whole


def data_file(episode: Episode, spec: Spec, number: int, first: int, task: int) -> bytes:
    """The data file of episode `number`, whose first tick is tick `first` of all."""
    ticks, values = len(episode), np.arange(len(episode), dtype=np.int64)
    last = values == ticks - 1
    filled: dict[str, NDArray[Any]] = {
        **{key: np.asarray(episode.observations[key]) for key in spec.vectors},
        ACTION: episode.actions,
        "executed": _or_nan(episode.executed, spec, ticks),
        "label": _or_nan(episode.labels, spec, ticks),
        "intervention": np.zeros(ticks) if episode.intervention is None else episode.intervention,
        "time_s": episode.time_s,
        "act_s": np.full(ticks, np.nan) if episode.act_s is None else episode.act_s,
        "next.reward": episode.rewards,
        "next.done": last,
        "next.truncated": last & episode.truncated,
        "next.success": last & bool(episode.success),
        "timestamp": values / spec.rate_hz,
        "frame_index": values,
        "episode_index": np.full(ticks, number),
        "index": first + values,
        "task_index": np.full(ticks, task),
    }
    kinds = columns(spec)
    table = {
        name: cells(filled[name].astype(dtype, copy=False), shape)
        for name, (shape, dtype) in kinds.items()
    }
    return sealed(pa.table(table))


def _or_nan(values: NDArray[Any] | None, spec: Spec, ticks: int) -> NDArray[Any]:
    dtype = open_dtype(spec.action.dtype)
    if values is None:
        return np.full((ticks, *spec.action.shape), np.nan, dtype)
    kept = values.astype(dtype)
    if values.dtype.kind in "iu" and not np.array_equal(kept.astype(values.dtype), values):
        raise ValueError(f"integers beyond 2^53 cannot be kept beside NaN: {values.max()}")
    return kept


def episode_record(
    spec: Spec,
    episode: Episode,
    places: Mapping[str, tuple[int, int]],
    parts: Mapping[str, tuple[int, str]],
    number: int,
    first: int,
) -> dict[str, Any]:
    """The row of episode `number` in the table of episodes, but for its statistics.

    `places` is {prefix: (chunk, file)} of its data, videos and this row; `parts` is {"data" or
    camera: (bytes, checksum)}; `first` is its first tick among all.
    """
    ticks, final = len(episode), episode.final_observation or {}
    record: dict[str, Any] = {
        "episode_index": number,
        "tasks": [episode.task],
        "length": ticks,
        "dataset_from_index": first,
        "dataset_to_index": first + ticks,
        **{name: getattr(episode, name) for name in FACTS if hasattr(episode, name)},
        "given": [name for name in OPTIONAL if getattr(episode, name) is not None],
        **{f"final/{key}": np.asarray(v).reshape(-1).tolist() for key, v in final.items()},
    }
    for prefix, (chunk, file) in places.items():
        record |= {prefix + "chunk_index": chunk, prefix + "file_index": file}
    for key in spec.cameras:
        times = {"from_timestamp": 0.0, "to_timestamp": ticks / spec.rate_hz}
        record |= {f"videos/{key}/{name}": value for name, value in times.items()}
    for key, (size, checksum) in parts.items():
        record |= {f"bytes/{key}": size, f"digest/{key}": checksum}
    return record


def episode_file(spec: Spec, record: Mapping[str, Any], statistics: Mapping[str, Moments]) -> bytes:
    """The file with the one row of an episode in the table of episodes."""
    row = {**record, **to_record(statistics)}
    schema = episode_schema(spec)
    return sealed(
        pa.Table.from_arrays([pa.array([row.get(f.name)], f.type) for f in schema], schema=schema)
    )


def episode_schema(spec: Spec) -> pa.Schema:
    """The columns of the table of episodes; the same in every file, as readers expect."""
    place = {"chunk_index": pa.int64(), "file_index": pa.int64()}
    span = {"from_timestamp": pa.float64(), "to_timestamp": pa.float64()}
    fields: dict[str, pa.DataType] = {"episode_index": pa.int64()}
    fields |= {f"data/{name}": kind for name, kind in place.items()}
    fields |= {"dataset_from_index": pa.int64(), "dataset_to_index": pa.int64()}
    for key in spec.cameras:
        fields |= {f"videos/{key}/{name}": kind for name, kind in (place | span).items()}
    fields |= {"tasks": pa.list_(pa.string()), "length": pa.int64()}
    for key, shape in measured(spec).items():
        numbers: pa.DataType = pa.list_(pa.float64())
        if shape == (3, 1, 1):
            numbers = pa.list_(pa.list_(numbers))
        fields |= {f"stats/{key}/{name}": numbers for name in ("min", "max", "mean", "std")}
        fields[f"stats/{key}/count"] = pa.list_(pa.int64())
    fields |= {f"meta/episodes/{name}": kind for name, kind in place.items()}
    fields |= FACTS
    for key in spec.cameras:
        fields |= {f"bytes/{key}": pa.int64(), f"digest/{key}": pa.string()}
    for key in spec.vectors:
        inner = pa.from_numpy_dtype(np.dtype(spec.observations[key].dtype))
        fields[f"final/{key}"] = pa.list_(inner)
    return pa.schema(fields)


def tasks_file(tasks: Sequence[str]) -> bytes:
    """`tasks.parquet`; other readers find a task by pandas' index, which must be declared."""
    entry = {"metadata": None, "pandas_type": "unicode", "numpy_type": "object"}
    number = {**entry, "name": "task_index", "field_name": "task_index"}
    number |= {"pandas_type": "int64", "numpy_type": "int64"}
    pandas = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [number, {**entry, "name": "task", "field_name": "task"}],
        "creator": {"library": "pyarrow", "version": "17.0.0"},
        "pandas_version": "2.2.0",
    }
    table = pa.table(
        {
            "task_index": pa.array(range(len(tasks)), pa.int64()),
            "task": pa.array(tasks, pa.string()),
        }
    )
    return sealed(table.replace_schema_metadata({"pandas": json.dumps(pandas)}))


def own_episode(
    spec: Spec,
    row: Row,
    read: Mapping[str, NDArray[Any]],
    cameras: Mapping[str, Frames],
) -> Episode:
    """The episode that was stored, from the columns of its ticks and its row."""
    facts = row.facts
    given = set(facts["given"])
    final = None
    if "final_observation" in given:
        final = {
            key: np.array(facts[f"final/{key}"], s.dtype).reshape(s.shape)
            for key, s in ((key, spec.observations[key]) for key in spec.vectors)
        }
    return Episode(
        observations={
            key: cameras[key] if key in cameras else read[key] for key in spec.observations
        },
        actions=read[ACTION],
        rewards=read["next.reward"],
        time_s=read["time_s"],
        terminated=facts["terminated"],
        truncated=facts["truncated"],
        success=facts["success"],
        final_observation=final,
        labels=_restored(read["label"], spec) if "labels" in given else None,
        executed=_restored(read["executed"], spec) if "executed" in given else None,
        intervention=read["intervention"] if "intervention" in given else None,
        act_s=read["act_s"] if "act_s" in given else None,
        task=row.tasks[0] if row.tasks else "",
        source=facts["source"],
        seed=facts["seed"],
        id=facts["id"],
    )


def _restored(values: NDArray[Any], spec: Spec) -> NDArray[Any]:
    """Integers where all are given; with gaps they stay float32, as `Episode.check` has them."""
    if values.dtype == spec.action.dtype:
        return values
    if np.isfinite(values).all():
        return values.astype(spec.action.dtype)
    return values.astype(np.float32)
