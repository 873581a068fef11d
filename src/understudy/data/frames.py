"""Camera frames decoded once, in order, at the resolution of training, and kept for quick access.

Each episode and camera is one shard, an uncompressed uint8 .npy file under the episode's id, so an
appended episode is decoded alone and datasets that share episodes share shards. Samples are read
with `seek` and `readinto`: about as quick as a memory map (benchmarks/frames.py), without a file
descriptor for each of thousands of shards, and without a crash when a shard disappears.
"""

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
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Protocol, final
from urllib.parse import quote

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from understudy.data.cache import cache_root
from understudy.data.video import RecordedFrames, read_frames
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
class _Shard:
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


@final
class FrameCache:
    """Frames of chosen cameras and episodes, ready to be gathered by index; see `build`."""

    def __init__(self, shards: Iterable[_Shard]) -> None:
        self._shards = {(shard.key, shard.episode): shard for shard in shards}

    @classmethod
    def build(
        cls,
        dataset: Recordings,
        keys: Sequence[str],
        size: Size | None = None,
        episodes: Sequence[int] | NDArray[np.int64] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> FrameCache:
        """Decode what is not cached yet of cameras `keys` in `episodes` (None: all of them).

        `size` (Y, X) resizes; None keeps the recorded size. `progress(done, total)` counts frames
        that are decoded now. Several processes may build at once. Raises KeyError for an unknown
        camera, ValueError for a video that cannot be read, and OSError, before it begins, when the
        disk has too little room.
        """
        shards = _plan(dataset, keys, size, episodes)
        missing = [shard for shard in shards if not shard.is_whole()]
        if missing:
            _require_room(missing)
            _decode_all(dataset, missing, size, progress)
        return cls(shards)

    @staticmethod
    def bytes_needed(
        dataset: Recordings,
        keys: Sequence[str],
        size: Size | None = None,
        episodes: Sequence[int] | NDArray[np.int64] | None = None,
    ) -> int:
        """What `build` would add to the disk."""
        shards = _plan(dataset, keys, size, episodes)
        return sum(shard.bytes for shard in shards if not shard.is_whole())

    def gather(
        self, key: str, episode: NDArray[np.int64], tick: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return frames (B, Y, X, 3) of camera `key` at pairs of episode (B,) and tick (B,).

        Raises KeyError for a camera or episode that was not built, IndexError for a tick outside
        its episode, OSError if a shard has disappeared since.
        """
        if episode.shape != tick.shape or episode.ndim != 1:
            raise ValueError(f"episode {episode.shape} and tick {tick.shape}: expected both (B,)")
        order = np.lexsort((tick, episode))  # neighbours on the disk are read one after the other
        borders = np.flatnonzero(np.diff(episode[order])) + 1
        first = self._shard(key, int(episode[0])) if len(episode) else self._any(key)
        frames = np.empty((len(episode), *first.shape[1:]), np.uint8)
        for rows in np.split(order, borders):
            if len(rows):
                self._read(self._shard(key, int(episode[rows[0]])), tick, rows, frames)
        return frames

    def _read(
        self,
        shard: _Shard,
        tick: NDArray[np.int64],
        rows: NDArray[np.int64],
        frames: NDArray[np.uint8],
    ) -> None:
        """Fill `rows` of `frames`, whose ticks increase, from one shard."""
        if tick[rows[0]] < 0 or tick[rows[-1]] >= shard.shape[0]:
            outside = tick[rows[0]] if tick[rows[0]] < 0 else tick[rows[-1]]
            raise IndexError(
                f"{shard.key}: tick {outside} of episode {shard.episode}, which has {shard.shape[0]}"
            )
        begin = len(shard.header())
        try:
            with open(shard.path, "rb", buffering=0) as file:
                for row, at in zip(rows.tolist(), tick[rows].tolist(), strict=True):
                    file.seek(begin + at * shard.frame_bytes)
                    if file.readinto(frames[row].data) != shard.frame_bytes:
                        raise OSError(errno.EIO, "it is shorter than it was")
        except OSError as error:
            raise OSError(
                error.errno,
                f"cached frames of {shard.key}, episode {shard.episode}, in {shard.path} are gone "
                f"({error.strerror}); was the cache cleared? Begin again and they are decoded anew",
            ) from error

    def _shard(self, key: str, episode: int) -> _Shard:
        if (key, episode) not in self._shards:
            self._any(key)
            raise KeyError(f"{key}: no frames of episode {episode} were asked for at `build`")
        return self._shards[key, episode]

    def _any(self, key: str) -> _Shard:
        for shard in self._shards.values():
            if shard.key == key:
                return shard
        built = sorted({key for key, _ in self._shards})
        raise KeyError(f"no frames of camera {key!r} were asked for at `build`, only of {built}")


def _plan(
    dataset: Recordings,
    keys: Sequence[str],
    size: Size | None,
    episodes: Sequence[int] | NDArray[np.int64] | None,
) -> list[_Shard]:
    """Every shard that these cameras and episodes have, cached or not."""
    root, ids, lengths = cache_root() / "frames", dataset.ids, dataset.lengths
    chosen = range(len(ids)) if episodes is None else [int(i) for i in episodes]
    outside = [i for i in chosen if not 0 <= i < len(ids)]
    if outside:
        raise IndexError(f"episode {outside[0]}: the dataset has episodes 0..{len(ids) - 1}")
    shards = []
    for key in keys:
        if key not in dataset.spec.cameras:
            near = get_close_matches(key, dataset.spec.cameras, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise KeyError(f"no camera {key!r}{hint} There is: {dataset.spec.cameras}")
        height, width = size or dataset.spec.observations[key].shape[:2]
        if min(height, width) < 1:
            raise ValueError(f"{key}: size {size} (Y, X), expected at least one pixel")
        folder = root / f"{quote(key, safe='')}-{height}x{width}"
        shards += [
            _Shard(folder / f"{_name(ids[i])}.npy", key, i, (int(lengths[i]), height, width, 3))
            for i in chosen
        ]
    return shards


def _name(id: str) -> str:
    """A file name for an id, which comes from a file and can be anything."""
    if re.fullmatch(r"[0-9A-Za-z_-]{1,100}", id):
        return id
    return hashlib.blake2b(id.encode(), digest_size=16).hexdigest()


def _require_room(missing: list[_Shard]) -> None:
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    need, free = sum(shard.bytes for shard in missing), shutil.disk_usage(root).free
    if need > free:
        raise OSError(
            errno.ENOSPC,
            f"decoded frames need {need / 1e9:.2f} GB in {root}, which has {free / 1e9:.2f} GB free; "
            "set UNDERSTUDY_CACHE to a folder on a larger disk, train "
            "on fewer episodes, or remove what is in the cache (it can be computed again)",
        )


def _decode_all(
    dataset: Recordings,
    missing: list[_Shard],
    size: Size | None,
    progress: Callable[[int, int], None] | None,
) -> None:
    for folder in {shard.path.parent for shard in missing}:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear_stale(folder)
    done, total = 0, sum(shard.shape[0] for shard in missing)
    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:
        running = {
            pool.submit(_decode, s, dataset.frames_source(s.key, s.episode), size): s
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


def _decode(shard: _Shard, source: RecordedFrames, size: Size | None) -> None:
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
