"""Decoded camera frames as files: one shard for each camera of each episode, whole or not there."""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final
from urllib.parse import quote

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from understudy.data.video import RecordedFrames, read_frames
from understudy.names import did_you_mean
from understudy.spec import Spec

Size = tuple[int, int]
STALE_S = 24 * 3600.0  # after which a shard that was never finished is cleared away
WORKERS = 4  # shards decoded at a time; FFmpeg's own threads gain little on small pictures


class Recordings(Protocol):
    """What the cache needs of a dataset; `understudy.data.store.Dataset` is one."""

    @property
    def spec(self) -> Spec: ...
    @property
    def ids(self) -> Sequence[str]: ...
    @property
    def lengths(self) -> NDArray[np.int64]: ...
    def frames_source(self, key: str, i: int, /) -> RecordedFrames: ...


@final
@dataclass(frozen=True)
class Shard:
    """The decoded frames of one camera in one episode."""

    path: Path
    key: str
    episode: int
    shape: tuple[int, int, int, int]  # (T, Y, X, 3)

    @property
    def frame_bytes(self) -> int:
        return math.prod(self.shape[1:])

    @property
    def bytes(self) -> int:
        return math.prod(self.shape)

    def header(self) -> bytes:
        """What the file begins with."""
        buffer = io.BytesIO()
        description = {"descr": "|u1", "fortran_order": False, "shape": self.shape}
        npy.write_array_header_1_0(buffer, description)
        return buffer.getvalue()

    def is_whole(self) -> bool:
        """Whether the file is there, with this shape and all of its bytes."""
        header = self.header()
        try:
            with open(self.path, "rb") as file:
                begins = file.read(len(header)) == header
                return begins and file.seek(0, os.SEEK_END) == len(header) + self.bytes
        except OSError:
            return False


def plan(
    dataset: Recordings,
    keys: Sequence[str],
    size: Size | None,
    episodes: Sequence[int] | NDArray[np.int64] | None,
    root: Path,
) -> list[Shard]:
    """Every shard that these cameras and episodes have, cached or not."""
    ids, lengths = dataset.ids, dataset.lengths
    chosen = range(len(ids)) if episodes is None else [int(i) for i in episodes]
    outside = [i for i in chosen if not 0 <= i < len(ids)]
    if outside:
        raise IndexError(f"episode {outside[0]}: the dataset has episodes 0..{len(ids) - 1}")
    shards = []
    for key in keys:
        if key not in dataset.spec.cameras:
            cameras = dataset.spec.cameras
            raise KeyError(f"no camera {key!r}.{did_you_mean(key, cameras)} There is: {cameras}")
        height, width = size or dataset.spec.observations[key].shape[:2]
        if min(height, width) < 1:
            raise ValueError(f"{key}: size {size} (Y, X), expected at least one pixel")
        folder = root / f"{quote(key, safe='')}-{height}x{width}"
        shards += [
            Shard(folder / f"{_name(ids[i])}.npy", key, i, (int(lengths[i]), height, width, 3))
            for i in chosen
        ]
    return shards


def _name(id: str) -> str:
    """A file name for an id, which comes from a file and can be anything."""
    if re.fullmatch(r"[0-9A-Za-z_-]{1,100}", id):
        return id
    return hashlib.blake2b(id.encode(), digest_size=16).hexdigest()


def require_room(root: Path, missing: list[Shard]) -> None:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    need, free = sum(shard.bytes for shard in missing), shutil.disk_usage(root).free
    if need > free:
        raise OSError(
            errno.ENOSPC,
            f"decoded frames need {need / 1e9:.2f} GB in {root}, which has {free / 1e9:.2f} GB free; "
            "set UNDERSTUDY_CACHE to a folder on a larger disk, let "
            "them be decoded anew in each epoch (train --frames-gb), or remove what is in the cache",
        )


def decode_all(
    dataset: Recordings,
    missing: list[Shard],
    size: Size | None,
    progress: Callable[[int, int], None] | None,
    lasts: bool,
) -> None:
    """Write shards, several at a time; those that last are on the disk when they have their name."""
    for folder in {shard.path.parent for shard in missing}:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear_stale(folder)
    done, total = 0, sum(shard.shape[0] for shard in missing)
    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
        running = {
            pool.submit(_decode, s, dataset.frames_source(s.key, s.episode), size, lasts): s
            for s in missing
        }
        try:
            for future in as_completed(running):
                future.result()
                done += running[future].shape[0]
                if progress is not None:
                    progress(done, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _decode(shard: Shard, source: RecordedFrames, size: Size | None, lasts: bool) -> None:
    """Write one shard under another name and rename it when it is whole."""
    if source.count != shard.shape[0]:
        raise ValueError(
            f"{source.path}: {source.count} frames of {shard.key} for the {shard.shape[0]} ticks of "
            f"episode {shard.episode}"
        )
    handle, name = tempfile.mkstemp(".partial", shard.path.stem, shard.path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(shard.header())
            for image in read_frames(source.path, source.first, source.count, size):
                if image.shape != shard.shape[1:]:
                    raise ValueError(
                        f"{source.path}: frames of {image.shape}, expected {shard.shape[1:]}"
                    )
                file.write(np.ascontiguousarray(image).data)  # a decoder pads rows
            if lasts:
                file.flush()
                os.fsync(file.fileno())
        os.replace(name, shard.path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _clear_stale(folder: Path) -> None:
    """Remove what builders left behind that were killed long ago."""
    for path in folder.glob("*.partial"):
        try:
            if time.time() - path.stat().st_mtime > STALE_S:
                path.unlink()
        except OSError:  # another builder was faster
            continue
