"""The table of episodes of a v3.0 dataset; one file an episode reads slowly, so it is cached."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from understudy.data.cache import cache_root
from understudy.data.durable import LARGEST_JSON, digest, read_limited
from understudy.data.paths import Tree
from understudy.data.tables import is_intact, parse_intact, parse_table

EPISODES = "meta/episodes"
LARGEST_TABLE = 2**30  # bytes of one file
WORTH_CACHING = 16  # files that were not in the cache

Known = dict[str, list[Any]]  # {file: [size, time of change in ns, its rows]}


def table_of_episodes(tree: Tree, own: bool) -> list[dict[str, Any]]:
    """All rows but their statistics.

    Files of our `own` carry a checksum. Raises ValueError if one does not fit or is damaged.
    """
    kept = cache_root() / "episodes" / f"{digest(str(tree.folder.resolve()).encode())}.json"
    cached = _load(kept)
    known: Known = {}
    for name, size, changed in _files(tree):
        entry = cached.get(name)
        if entry is None or entry[:2] != [size, changed]:
            entry = [size, changed, _rows(tree.path(name), own)]
        known[name] = entry
    fresh = sum(known[name] is not cached.get(name) for name in known)
    if fresh >= WORTH_CACHING:
        _store(kept, known)
    return [row for _, _, rows in known.values() for row in rows]


def _files(tree: Tree) -> Iterator[tuple[str, int, int]]:
    """(relative path, size, time of change) of each file of the table."""
    folder = tree.path(EPISODES)
    if not folder.is_dir():
        return
    for chunk in sorted(entry.name for entry in os.scandir(folder) if entry.is_dir()):
        inside = tree.path(f"{EPISODES}/{chunk}")
        for entry in sorted(os.scandir(inside), key=lambda entry: (len(entry.name), entry.name)):
            if entry.name.endswith(".parquet"):
                found = entry.stat()
                yield f"{EPISODES}/{chunk}/{entry.name}", found.st_size, found.st_mtime_ns


def _rows(path: Path, own: bool) -> list[dict[str, Any]]:
    content = read_limited(path, LARGEST_TABLE)
    if not own:
        return parse_table(content, path, _is_kept).to_pylist()
    if not is_intact(content):
        raise ValueError(f"{path} is damaged: its content does not fit its checksum")
    return parse_intact(content, path, _is_kept).to_pylist()


def _is_kept(name: str) -> bool:
    return not name.startswith("stats/")


def _load(path: Path) -> Known:
    """What was cached; {} if nothing, or if it is not whole."""
    try:
        checksum, content = read_limited(path, LARGEST_JSON).split(b"\n", 1)
    except (OSError, ValueError):
        return {}
    return json.loads(content) if digest(content) == checksum.decode() else {}


def _store(path: Path, known: Known) -> None:
    content = json.dumps(known).encode()
    with contextlib.suppress(OSError):  # without the cache it only takes longer
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(digest(content).encode() + b"\n" + content)
        os.replace(file.name, path)
