"""Imports Diffusion Policy's replay buffers: a zarr v2 folder with data/* and meta/episode_ends.

The layout is that of Chi et al. 2023 (arXiv 2303.04137). zarr sees the folder only after
`zarr_arrays` has judged it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.data.formats import Imported, pusht
from understudy.data.formats.zarr_arrays import ENDS, Stored, arrays, judged
from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.spec import ACTION, ENVIRONMENT_STATE, IMAGES, STATE, Signal, Spec

Convert = Callable[[NDArray[Any]], NDArray[Any]]  # (n, *stored shape) -> (n, *shape)


@final
@dataclass(frozen=True)
class Plan:
    """What becomes of the arrays: `taken` is {our key, or "action": (name below data/, how)}."""

    spec: Spec
    taken: Mapping[str, tuple[str, Convert]]


def import_folder(
    source: Path,
    destination: Path,
    cameras: bool = False,
    plan: Plan | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Imported:
    """Make a dataset in `destination` of the zarr v2 folder `source`; pictures if `cameras`.

    Without `plan` the PushT demonstrations are recognised by their arrays; `plan_for` makes one for
    other folders, and `cameras` counts only without one. `progress(done, total)` counts episodes. Raises ModuleNotFoundError naming the
    extra, FileNotFoundError, ValueError for anything unsafe, damaged or unknown; a dataset that was
    begun is removed then.
    """
    stored = arrays(source)
    ends = _episode_ends(source, stored)
    plan = plan or _recognised(source, stored, cameras)
    unknown = sorted({name for name, _ in plan.taken.values()} - set(stored))
    if unknown:
        raise ValueError(f"{source} has no array data/{unknown[0]}; it has {sorted(stored)}")
    with Dataset.create(destination, plan.spec) as dataset:
        try:
            for done, episode in enumerate(_episodes(stored, ends, plan), 1):
                dataset.append(episode)
                if progress is not None:
                    progress(done, len(ends))
        except BaseException:
            dataset.close()
            shutil.rmtree(destination)
            raise
    return Imported(Path(destination), len(ends), _not_carried(stored, plan))


def plan_for(source: Path, rate_hz: float, task: str, cameras: bool = False) -> Plan:
    """A plan for any such folder: each array keeps its name, shape and dtype.

    data/state becomes observation.state, data/action the action, data/X of shape (n, Y, X, 3) the
    camera observation.images.X, and any other data/X observation.X. Units stay empty: the format
    states none.
    """
    stored = arrays(source)
    if "action" not in stored:
        raise ValueError(f"{source} has no array data/action; it has {sorted(stored)}")
    observations: dict[str, Signal] = {}
    taken: dict[str, tuple[str, Convert]] = {"action": ("action", _as_it_is)}
    for name, array in stored.items():
        if name == "action" or (array.is_picture and not cameras):
            continue
        key = (IMAGES if array.is_picture else "observation.") + name
        dtype = "uint8" if array.is_picture else array.dtype.newbyteorder("=").name
        observations[key] = Signal(array.shape[1:], dtype)
        taken[key] = (name, _whole_pixels if array.is_picture else _as_it_is)
    action = stored["action"]
    commanded = Signal(action.shape[1:], action.dtype.newbyteorder("=").name)
    return Plan(Spec(observations, commanded, rate_hz, task), taken)


def _recognised(source: Path, stored: Mapping[str, Stored], cameras: bool) -> Plan:
    """The plan for PushT, if that is what the arrays look like."""
    shapes = {name: array.shape[1:] for name, array in stored.items()}
    expected = {"action": (2,), "state": (5,), "keypoint": (9, 2)}
    if any(shapes.get(name) != shape for name, shape in expected.items()):
        raise ValueError(
            f"{source} holds {shapes}, which is no dataset that is known by its arrays (PushT has "
            f"{expected}); state its rate and task: understudy.data.formats.zarr.plan_for"
        )
    taken: dict[str, tuple[str, Convert]] = {
        "action": ("action", _as_it_is),
        STATE: ("state", lambda rows: rows[:, :2]),
        ENVIRONMENT_STATE: ("state", lambda rows: pusht.block_state(*rows[:, 2:5].T)),
    }
    if cameras:
        taken[pusht.IMAGE] = ("img", _whole_pixels)
    return Plan(pusht.signals(cameras), taken)


def _episodes(
    stored: Mapping[str, Stored], ends: NDArray[np.int64], plan: Plan
) -> Iterator[Episode]:
    rows = {  # vectors are small: read once; pictures are read episode by episode
        name: _opened(array)
        if array.is_picture
        else _read(_opened(array), array, 0, array.shape[0])
        for name, array in stored.items()
        if name in {name for name, _ in plan.taken.values()}
    }
    start = 0
    for end in ends.tolist():
        part = {
            key: convert(_read(rows[name], stored[name], start, end))
            for key, (name, convert) in plan.taken.items()
        }
        ticks = end - start
        yield Episode(
            observations={key: values for key, values in part.items() if key != ACTION},
            actions=part[ACTION],
            rewards=np.zeros(ticks, np.float32),
            time_s=np.arange(ticks) / plan.spec.rate_hz,
            terminated=False,
            truncated=True,
            task=plan.spec.task,
            source="person",
        )
        start = end


def _not_carried(stored: Mapping[str, Stored], plan: Plan) -> tuple[str, ...]:
    used = {name for name, _ in plan.taken.values()}
    lost = [
        f"data/{name} {stored[name].shape}: pictures were not asked for"
        if stored[name].is_picture
        else f"data/{name} {stored[name].shape}: it has no place among the signals"
        for name in sorted(set(stored) - used)
    ]
    lost += [
        f"data/{name}: {stored[name].absent} chunks are not stored and count as its fill value"
        for name in sorted(used)
        if stored[name].absent
    ]
    return (
        *lost,
        "rewards: the source stores none, so they are zero",
        "how episodes ended: the source does not say, so they count as cut off, success unknown",
        "time: the source stores none, so ticks are evenly spaced at the stated rate",
    )


def _as_it_is(rows: NDArray[Any]) -> NDArray[Any]:
    return rows


def _whole_pixels(rows: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers 0..255 of any dtype as uint8; anything else would be a guess."""
    pixels = (
        rows.astype(np.uint8) if rows.dtype == np.uint8 else np.clip(rows, 0, 255).astype(np.uint8)
    )
    if not np.array_equal(pixels, rows):
        raise ValueError(
            f"pictures hold {rows.dtype} values {rows.min()}..{rows.max()}, expected whole numbers "
            "0..255"
        )
    return pixels


def _episode_ends(source: Path, stored: Mapping[str, Stored]) -> NDArray[np.int64]:
    """Exclusive ends of the episodes, (E,), which every array must reach."""
    array = judged(source / ENDS)
    if array.dtype.kind not in "iu" or len(array.shape) != 1 or not array.shape[0]:
        raise ValueError(f"{array.folder}: {array.dtype} {array.shape}, expected integers (E,)")
    ends = _read(_opened(array), array, 0, array.shape[0]).astype(np.int64)
    if ends[0] < 1 or np.any(np.diff(ends) < 1):
        raise ValueError(
            f"{array.folder}: the ends of the episodes do not increase: {ends[:5]} ..."
        )
    for name, other in stored.items():
        if other.shape[0] != ends[-1]:
            raise ValueError(
                f"{other.folder}: {other.shape[0]} rows, but the last episode ends at {ends[-1]}: "
                f"data/{name} was cut short or belongs to another recording"
            )
    return ends


# what zarr decodes


def _opened(array: Stored) -> Any:
    try:
        import zarr
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"reading zarr needs {error.name}: pip install 'understudy[formats]'", name=error.name
        ) from error
    opened = zarr.open_array(array.folder, mode="r", zarr_format=2)
    if opened.shape != array.shape or opened.dtype != array.dtype:
        raise ValueError(f"{array.folder} changed while it was read")
    return opened


def _read(rows: Any, array: Stored, start: int, end: int) -> NDArray[Any]:
    try:
        return np.asarray(rows[start:end])
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ValueError(
            f"{array.folder}: rows {start}..{end - 1} cannot be decoded: {error}"
        ) from error
