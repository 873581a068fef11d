"""Driving demonstrations as a pickled list of (picture, command), and what CarRacing's signals are called.

The list is that of keyboard demonstrations of CarRacing: each picture (96, 96, 3) was seen before the
command (steer, gas, brake) was given. The pickle is read without being run, see `pickled`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.data.formats import Imported
from understudy.data.formats.pickled import read_pickled
from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.spec import STATE, Signal, Spec

IMAGE = "observation.image"  # LeRobot's name for a lone camera
TASK_TEXT = "Drive around the track."
RATE_HZ = 50.0
PICTURE = (96, 96, 3)
STATE_NAMES = (
    "speed",
    "front_left",
    "front_right",
    "rear_left",
    "rear_right",
    "steering",
    "yaw_rate",
)
COMMAND_NAMES = ("steer", "gas", "brake")
# Left and right are alike in it, but for the dashboard's bars and its score.
MIRROR = ("steer = -steer",)
MIRROR_STATE = (
    *MIRROR,
    "steering = -steering",
    "yaw_rate = -yaw_rate",
    *("front_left = front_right", "front_right = front_left"),
    *("rear_left = rear_right", "rear_right = rear_left"),
)
MIRROR_PICTURES = "left-right"
MOST_BYTES = 2 * 2**30


def signals(picture: bool = True, state: bool = False, rate_hz: float = RATE_HZ) -> Spec:
    """A picture, or the dashboard's numbers, or both, in; steering (right is positive), gas and brake out."""
    return Spec(
        observations={
            **({STATE: Signal((len(STATE_NAMES),), names=STATE_NAMES)} if state else {}),
            **({IMAGE: Signal(PICTURE, "uint8")} if picture else {}),
        },
        action=Signal((3,), names=COMMAND_NAMES, low=(-1.0, 0.0, 0.0), high=(1.0, 1.0, 1.0)),
        rate_hz=rate_hz,
        task=TASK_TEXT,
    )


def import_folder(source: Path, destination: Path, cameras: bool = False) -> Imported:
    """Make a dataset of one episode in `destination` of the file `source`.

    Raises ValueError for a file that is too large, is no such list, or asks for more than arrays.
    """
    if not cameras:
        raise ValueError(f"{source}: all that is seen are pictures, bring them with --cameras")
    if source.stat().st_size > MOST_BYTES:
        raise ValueError(f"{source} has more than {MOST_BYTES / 2**30:.0f} GB")
    try:
        pictures, commands = _pairs(read_pickled(source.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    ticks = len(commands)
    episode = Episode(
        observations={IMAGE: pictures},
        actions=commands,
        rewards=np.zeros(ticks, np.float32),
        time_s=np.arange(ticks) / RATE_HZ,
        terminated=False,
        truncated=True,
        task=TASK_TEXT,
        source="person",
    )
    with Dataset.create(destination, signals()) as dataset:
        try:
            dataset.append(episode)
        except BaseException:
            dataset.close()
            shutil.rmtree(destination)
            raise
    return Imported(
        Path(destination),
        1,
        (
            "where a lap ends: the list does not say, so all laps are one episode",
            f"rewards and times: {RATE_HZ:g} pictures a second are taken for granted",
        ),
    )


def _pairs(found: Any) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Pictures (T, 96, 96, 3) and commands (T, 3) of a list of pairs."""
    if not isinstance(found, list) or not found:
        raise ValueError("it holds no list of (picture, command)")
    pictures, commands = [], []
    for number, pair in enumerate(found):
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise ValueError(f"item {number} is no pair of picture and command")
        picture, command = np.asarray(pair[0]), np.asarray(pair[1])
        if picture.shape != PICTURE or picture.dtype != np.uint8:
            raise ValueError(
                f"item {number}: a picture {picture.shape} {picture.dtype}, expected {PICTURE} uint8"
            )
        if (
            command.shape != (3,)
            or command.dtype.kind not in "biuf"
            or not np.isfinite(command).all()
        ):
            raise ValueError(f"item {number}: a command {command}, expected steer, gas and brake")
        pictures.append(picture)
        commands.append(command.astype(np.float32))
    return np.stack(pictures), np.stack(commands)
