"""Inverse kinematics as JSON: a list of records, each a tool's position and seven joint angles.

    [{"current_state": null, "desired_end_effector_position": [x, y, z], "joint_angles": [...]}, ...]

Recorded sets have `current_end_effector_position` and `current_joint_angles` instead. A file is an
episode. Nothing is repaired: `understudy data info FOLDER --arm panda` says what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
    spec_of,
    write_dataset,
)
from understudy.data.store import Dataset

POSITIONS = ("desired_end_effector_position", "current_end_effector_position")
JOINTS = ("joint_angles", "current_joint_angles")


def import_folder(source: Path, destination: Path, cameras: bool = False) -> Imported:
    """Make a dataset in `destination` of a file, or of all .json files of a folder in order of name.

    Raises ValueError with file and record for anything that is not such a list.
    """
    if cameras:
        raise ValueError(f"{source}: records hold no pictures, so --cameras brings none")
    files = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not files:
        raise ValueError(f"{source} holds no .json file")
    pairs, left = [], set()
    for file in files:
        pair, others = read_records(file)
        pairs.append(pair)
        left |= others
    losses = [f"{key} is left out" for key in sorted(left)]
    return write_dataset(destination, pairs, losses)


def export_folder(dataset: Dataset, destination: Path) -> tuple[str, ...]:
    """Write `trace0000.json` and so on into a new folder; returns what could not be carried over.

    Raises ValueError for a dataset of other signals than a position and seven angles.
    """
    expected = spec_of(POSITION, ANGLES)
    there = {key: signal.shape for key, signal in dataset.spec.observations.items()}
    if list(there.values()) != [(POSITION,)] or dataset.spec.action.shape != expected.action.shape:
        raise ValueError(
            f"records hold a position (3) and seven angles, this dataset has {there} and actions "
            f"{dataset.spec.action.shape}"
        )
    destination.mkdir(parents=True)
    for number, seen, commanded in read_pairs(dataset, "ik-json"):
        records = [
            {"current_state": None, POSITIONS[0]: plain(point), JOINTS[0]: plain(angles)}
            for point, angles in zip(np.asarray(seen), np.asarray(commanded), strict=True)
        ]
        (destination / f"trace{number:04d}.json").write_text(json.dumps(records) + "\n")
    return losses_of(dataset)


def read_records(file: Path) -> tuple[Pair, set[str]]:
    """Positions (n, 3) and angles (n, 7) of a file, and the keys with something in them that were not read."""
    try:
        records = json.loads(read_bytes(file))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON that can be read: {error}") from None
    if not isinstance(records, list) or not 1 <= len(records) <= MOST_ROWS:
        what = f"a list of {len(records):,}" if isinstance(records, list) else "no list"
        raise ValueError(f"{file} holds {what}, expected a list of 1 to {MOST_ROWS:,} records")
    points, joints, left = [], [], set[str]()
    keys = _keys(records[0], file)
    for number, record in enumerate(records):
        where = f"{file}, record {number}"
        if not isinstance(record, dict):
            raise ValueError(f"{where}: {str(record)[:60]!r}, expected an object")
        points.append(_numbers(record, keys[0], POSITION, where))
        joints.append(_numbers(record, keys[1], ANGLES, where))
        left |= {key for key, value in record.items() if key not in keys and value is not None}
    return (np.array(points), np.array(joints)), left


def _keys(record: Any, file: Path) -> tuple[str, str]:
    """What this file calls positions and angles, as its first record says."""
    there = record if isinstance(record, dict) else {}
    found = [next((key for key in names if key in there), None) for names in (POSITIONS, JOINTS)]
    if found[0] is None or found[1] is None:
        raise ValueError(
            f"{file}, record 0: keys {sorted(there)}, expected {' or '.join(POSITIONS)}, and "
            f"{' or '.join(JOINTS)}"
        )
    return found[0], found[1]


def _numbers(record: Mapping[str, Any], key: str, count: int, where: str) -> Sequence[float]:
    values = record.get(key)
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"{where}: {key} is {str(values)[:60]}, expected {count} numbers")
    for value in values:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not abs(value) < 1e6:
            raise ValueError(f"{where}: {key} has {str(value)[:60]}, expected finite numbers")
    return values
