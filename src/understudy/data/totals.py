"""What `info.json` and `stats.json` say of all episodes together: pure functions of the episodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.data.features import columns, to_features
from understudy.data.info import CHUNK, DATA_PATH, VIDEO_PATH
from understudy.episode import Episode
from understudy.spec import ACTION, Spec

Moments = dict[str, NDArray[np.float64]]  # min, max, mean, std (*shape) and count (1,)
NAMES = ("min", "max", "mean", "std", "count")  # in the order of the files
REWARD = "next.reward"
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
PICTURE_TICKS = 3  # every third frame enters the statistics of a camera,
PICTURE_SIDE = 150  # thinned until its longer side has about this many pixels


def info(spec: Spec, video: Mapping[str, Any], lengths: Sequence[int], tasks: int) -> bytes:
    """The content of `info.json`."""
    rate = int(spec.rate_hz) if float(spec.rate_hz).is_integer() else spec.rate_hz
    facts = {
        "codebase_version": "v3.0",
        "robot_type": None,
        "total_episodes": len(lengths),
        "total_frames": sum(lengths),
        "total_tasks": tasks,
        "chunks_size": CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": rate,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH if spec.cameras else None,
        "features": to_features(spec, video),
    }
    return json.dumps(facts, indent=4, allow_nan=False).encode()


def measured(spec: Spec) -> dict[str, tuple[int, ...]]:
    """{column or camera: shape} of everything that statistics are kept of."""
    kinds = columns(spec)
    found = {key: kinds[key][0] for key in (*spec.vectors, ACTION, REWARD)}
    return found | dict.fromkeys(spec.cameras, (3, 1, 1))


def moments(values: NDArray[Any]) -> Moments:
    """Minimum, maximum, mean and standard deviation over ticks, values (T, *shape), T >= 1."""
    numbers = values.astype(np.float64)
    return {
        "min": numbers.min(axis=0),
        "max": numbers.max(axis=0),
        "mean": numbers.mean(axis=0),
        "std": numbers.std(axis=0),
        "count": np.array([len(numbers)], np.float64),
    }


def exact(values: NDArray[Any]) -> Moments:
    """min, max, mean, std and the exact QUANTILES over ticks, values (T, *shape), T >= 1."""
    numbers = values.astype(np.float64)
    found = moments(numbers)
    del found["count"]
    levels = np.quantile(numbers, list(QUANTILES.values()), axis=0)
    return found | dict(zip(QUANTILES, levels, strict=True))


def of_episode(spec: Spec, episode: Episode, pictures: Mapping[str, Moments]) -> dict[str, Moments]:
    """The statistics of one episode; those of cameras were taken while the frames came."""
    found = {key: moments(np.asarray(episode.observations[key])) for key in spec.vectors}
    found[ACTION] = moments(episode.actions)
    found[REWARD] = moments(episode.rewards)
    return found | dict(pictures)


def together(first: Mapping[str, Moments], second: Mapping[str, Moments]) -> dict[str, Moments]:
    """The statistics of two disjoint sets of ticks as one (Chan, Golub, LeVeque 1983)."""
    if not first:
        return dict(second)
    return {key: _together(first[key], second[key]) for key in second}


def _together(a: Moments, b: Moments) -> Moments:
    count = a["count"] + b["count"]
    share = b["count"] / count
    shift = b["mean"] - a["mean"]
    variance = a["std"] ** 2 * (1 - share) + b["std"] ** 2 * share + shift**2 * share * (1 - share)
    return {
        "min": np.minimum(a["min"], b["min"]),
        "max": np.maximum(a["max"], b["max"]),
        "mean": a["mean"] + shift * share,
        "std": np.sqrt(variance),
        "count": count,
    }


def stats(statistics: Mapping[str, Moments], spec: Spec) -> bytes:
    """The content of `stats.json`."""
    shapes = measured(spec)
    facts = {
        key: {
            name: found[name].astype(np.int64).tolist()
            if name == "count"
            else found[name].reshape(shapes[key] or (1,)).tolist()
            for name in NAMES
        }
        for key, found in statistics.items()
    }
    return json.dumps(facts, indent=4, allow_nan=False).encode()


def from_stats(content: bytes, spec: Spec) -> dict[str, Moments]:
    """Read what `stats` wrote; {} if anything is missing or strange in it."""
    try:
        facts = json.loads(content)
        return {
            key: {
                name: np.array(facts[key][name], np.float64).reshape(shape)
                if name != "count"
                else np.array(facts[key][name], np.float64).reshape(1)
                for name in NAMES
            }
            for key, shape in measured(spec).items()
        }
    except (ValueError, KeyError, TypeError):
        return {}


def to_record(statistics: Mapping[str, Moments]) -> dict[str, Any]:
    """The `stats/...` columns of an episode."""
    return {
        f"stats/{key}/{name}": values.astype(np.int64).tolist()
        if name == "count"
        else (values if values.shape == (3, 1, 1) else values.reshape(-1)).tolist()
        for key, found in statistics.items()
        for name, values in found.items()
    }


def from_record(record: Mapping[str, Any], spec: Spec) -> dict[str, Moments]:
    """Read the `stats/...` columns of an episode back."""
    return {
        key: {
            name: np.array(record[f"stats/{key}/{name}"], np.float64).reshape(
                (1,) if name == "count" else shape
            )
            for name in NAMES
        }
        for key, shape in measured(spec).items()
    }


@final
class PictureMoments:
    """Statistics of a camera per colour, in 0..1, gathered while its frames come."""

    def __init__(self) -> None:
        self._seen = self._frames = self._pixels = 0
        self._least = np.full(3, 255, np.int64)
        self._most = np.zeros(3, np.int64)
        self._sum = np.zeros(3, np.int64)
        self._squares = np.zeros(3, np.int64)

    def add(self, image: NDArray[np.uint8]) -> None:
        """Look at the next frame (Y, X, 3)."""
        self._seen += 1
        if (self._seen - 1) % PICTURE_TICKS:
            return
        step = max(1, max(image.shape[:2]) // PICTURE_SIDE)
        pixels = np.ascontiguousarray(image[::step, ::step].reshape(-1, 3).T).astype(np.int32)
        self._frames += 1
        self._pixels += pixels.shape[1]
        self._least = np.minimum(self._least, pixels.min(axis=1))
        self._most = np.maximum(self._most, pixels.max(axis=1))
        self._sum += pixels.sum(axis=1, dtype=np.int64)
        self._squares += (pixels**2).sum(axis=1, dtype=np.int64)

    def result(self) -> Moments:
        """The statistics, each (3, 1, 1); at least one frame must have come."""
        mean = self._sum / self._pixels
        variance = np.maximum(self._squares / self._pixels - mean**2, 0)
        found = {"min": self._least, "max": self._most, "mean": mean, "std": np.sqrt(variance)}
        scaled = {name: (values / 255).reshape(3, 1, 1) for name, values in found.items()}
        return {**scaled, "count": np.array([self._frames], np.float64)}
