"""`meta/info.json`: the version, the features, the rate and where files lie; checked before use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from understudy.data.durable import LARGEST_JSON, read_limited
from understudy.data.paths import Tree

INFO = "meta/info.json"
VERSIONS = {"v3.0": "3.0", "v2.1": "2.1", "v2.0": "2.0"}
TEMPLATES = {  # version 3, version 2: where data and videos lie
    "3.0": (
        "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    ),
    "2": (
        "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    ),
}
DATA_PATH, VIDEO_PATH = TEMPLATES["3.0"]
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
CHUNK = 1000  # files per folder


def read_info(tree: Tree) -> tuple[dict[str, Any], bytes]:
    """What `info.json` says, and its content.

    Raises FileNotFoundError if there is none, ValueError if it makes no sense.
    """
    path = tree.path(INFO)
    if not path.is_file():
        raise FileNotFoundError(
            f"{tree.folder} is no dataset: {INFO} is missing. Expected a LeRobot dataset "
            "(versions 2.0, 2.1, 3.0); other formats are imported with `understudy data import`"
        )
    content = read_limited(path, LARGEST_JSON)
    info = parsed(path, content)
    version = str(info.get("codebase_version"))
    if version not in VERSIONS:
        raise ValueError(f"{path}: version {version!r}, expected one of {list(VERSIONS)}")
    rate, features = info.get("fps"), info.get("features")
    if not isinstance(rate, int | float) or not 0 < rate < 1e6:
        raise ValueError(f"{path}: fps is {rate!r}, expected a positive number")
    if not isinstance(features, dict) or not all(_is_feature(f) for f in features.values()):
        raise ValueError(f"{path}: features must map names to a dtype and a shape")
    if not isinstance(info.get("splits") or {}, dict):
        raise ValueError(f"{path}: splits is {info['splits']!r}, expected names and ranges")
    return info, content


def parsed(path: Path, content: bytes) -> dict[str, Any]:
    """The object in a piece of JSON; raises ValueError, naming the file, if it is none."""
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{path}: expected an object, got {type(facts).__name__}")
    return facts


def _is_feature(feature: Any) -> bool:
    return (
        isinstance(feature, dict)
        and isinstance(feature.get("dtype"), str)
        and isinstance(feature.get("shape"), list)
        and all(isinstance(n, int) and 0 < n < 2**31 for n in feature["shape"])
        and len(feature["shape"]) <= 5
        and all(isinstance(feature.get(name) or {}, dict) for name in ("info", "video_info"))
    )
