"""A Spec as LeRobot's features, and back; the columns that a dataset of ours has besides."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from understudy.spec import ACTION, Signal, Spec, is_image

OBSERVATION = "observation."
INDEX = {  # LeRobot's own columns, in its order
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
PER_TICK = {  # ours, one number a tick
    "intervention": "bool",
    "time_s": "float64",
    "act_s": "float32",
    "next.reward": "float32",
    "next.done": "bool",
    "next.truncated": "bool",
    "next.success": "bool",
}
LIKE_ACTION = ("executed", "label")


def columns(spec: Spec) -> dict[str, tuple[tuple[int, ...], str]]:
    """{name: (shape of one tick, dtype)} of every column in a data file of ours, in order.

    `executed` and `label` are NaN where not given, so those of integer actions are float64.
    """
    found = {
        key: (spec.observations[key].shape, spec.observations[key].dtype) for key in spec.vectors
    }
    found[ACTION] = (spec.action.shape, spec.action.dtype)
    for name in LIKE_ACTION:
        found[name] = (spec.action.shape, open_dtype(spec.action.dtype))
    return found | {name: ((), dtype) for name, dtype in (PER_TICK | INDEX).items()}


def open_dtype(dtype: str) -> str:
    """A dtype that holds all values of `dtype` and NaN."""
    return dtype if np.dtype(dtype).kind == "f" else "float64"


def check_storable(spec: Spec) -> None:
    """Raise ValueError, listing everything, if `spec` cannot be stored as a LeRobot dataset."""
    faults = [] if spec.rate_hz else ["the rate is 0, which stands for one that is not known"]
    for key, signal in {**spec.observations, ACTION: spec.action}.items():
        if key != ACTION and not key.startswith(OBSERVATION):
            faults.append(f"{key}: the name of an observation begins with {OBSERVATION!r}")
        if "/" in key or not key.isprintable():
            faults.append(f"{key!r}: a name must be printable and without '/'")
        if is_image(key) and not _is_picture(signal):
            faults.append(f"{key}: a camera is uint8 (Y, X, 3), got {signal.dtype} {signal.shape}")
        if not is_image(key) and np.dtype(signal.dtype).kind not in "biuf":
            faults.append(f"{key}: dtype {signal.dtype} is not numeric")
        if len(signal.shape) > 5 or 0 in signal.shape:
            faults.append(f"{key}: shape {signal.shape}, expected at most 5 sizes, none of them 0")
    if faults:
        raise ValueError("these signals cannot be stored:\n  " + "\n  ".join(faults))


def _is_picture(signal: Signal) -> bool:
    return signal.dtype == "uint8" and len(signal.shape) == 3 and signal.shape[2] == 3


def to_features(spec: Spec, video: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What `info.json` says of each column; `video` is {camera: details} of the encoder."""
    features: dict[str, dict[str, Any]] = {}
    for key, signal in spec.observations.items():
        if is_image(key):
            features[key] = {
                "dtype": "video",
                "shape": list(signal.shape),
                "names": ["height", "width", "channels"],
                "info": dict(video[key]),
            }
    for name, (shape, dtype) in columns(spec).items():
        signal = spec.action if name == ACTION else spec.observations.get(name)
        features[name] = {
            "dtype": dtype,
            "shape": list(shape) or [1],
            "names": list(signal.names) if signal and signal.names else None,
        }
    return features


def from_features(
    features: Mapping[str, Mapping[str, Any]], rate_hz: float, task: str
) -> tuple[Spec, list[str]]:
    """The Spec of a foreign dataset, and sentences on the features that do not enter it.

    Raises ValueError if there is no action or no observation.
    """
    problems: list[str] = []
    observations: dict[str, Signal] = {}
    for key, feature in features.items():
        if key.startswith(OBSERVATION):
            signal, fault = _signal(key, feature)
            if signal is not None:
                observations[key] = signal
            if fault:
                problems.append(fault)
    action, fault = _signal(ACTION, features[ACTION]) if ACTION in features else (None, "")
    problems += [fault] if fault else []
    if action is None or not observations:
        raise ValueError(
            f"expected {ACTION!r} and at least one {OBSERVATION + '*'!r} feature with numbers, got "
            f"{list(features)}" + "".join(f"\n  {problem}" for problem in problems)
        )
    return Spec(observations, action, rate_hz, task), problems


def _signal(key: str, feature: Mapping[str, Any]) -> tuple[Signal | None, str]:
    """The Signal of one feature, or None; and what is wrong with it, or ""."""
    dtype, shape = feature["dtype"], tuple(feature["shape"])
    if dtype == "video":
        return _camera(key, feature, shape)
    if dtype == "image":
        return None, f"{key} is stored as single pictures in the data files, which are not read"
    if is_image(key):
        return None, f"{key} is named like a camera but holds {dtype}, so it is not read"
    if not is_numeric(dtype):
        return None, f"{key} holds {dtype}, so it is not read"
    names = tuple(_flat(feature.get("names")))
    if names and len(names) != math.prod(shape):
        fault = f"{key} has {len(names)} names for {math.prod(shape)} numbers, so they are dropped"
        return Signal(shape, dtype), fault
    return Signal(shape, dtype, names=names), ""


def _camera(
    key: str, feature: Mapping[str, Any], shape: tuple[int, ...]
) -> tuple[Signal | None, str]:
    details = feature.get("info") or feature.get("video_info") or {}
    if not is_image(key):
        return None, f"{key} is a video but not named observation.images.*, so it is not read"
    if len(shape) != 3:
        return None, f"{key} is a video of shape {shape}, expected (Y, X, 3), so it is not read"
    if details.get("video.is_depth_map") or details.get("is_depth_map"):
        return None, f"{key} is a depth map, which is not read"
    names = [str(name).rstrip("s") for name in _flat(feature.get("names"))]
    channel = names.index("channel") if names.count("channel") == 1 else _channel(shape)
    height, width = (size for at, size in enumerate(shape) if at != channel)
    fault = "" if shape[channel] == 3 else f"{key} has {shape[channel]} channels; it is read as 3"
    return Signal((height, width, 3), "uint8"), fault


def _channel(shape: tuple[int, ...]) -> int:
    """Without names: the last axis, unless only the first can be colours."""
    return 0 if shape[0] in (1, 3) and shape[2] not in (1, 3) else 2


def is_numeric(dtype: str) -> bool:
    """Whether a feature holds numbers or truth values."""
    try:
        return np.dtype(dtype).kind in "biuf"
    except TypeError:
        return False


def _flat(names: Any) -> Iterator[str]:
    """The names inside nested lists and dicts; a dict from name to position gives its keys."""
    if isinstance(names, dict):
        for name, value in names.items():
            yield from _flat(value) if isinstance(value, dict | list) else (str(name),)
    elif isinstance(names, list):
        for value in names:
            yield from _flat(value)
    elif names is not None:
        yield str(names)
