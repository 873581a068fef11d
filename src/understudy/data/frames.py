"""Camera frames decoded once, in order, at the resolution of training, and kept for quick access.

Each episode and camera is one shard, an uncompressed uint8 .npy file under the episode's id, so an
appended episode is decoded alone and datasets that share episodes share shards. Samples are read
with `seek` and `readinto`: about as quick as a memory map (benchmarks/frames.py), without a file
descriptor for each of thousands of shards, and without a crash when a shard disappears.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from understudy.data.cache import cache_root
from understudy.data.shards import Recordings, Shard, Size, decode_all, plan, require_room


@final
class FrameCache:
    """Frames of chosen cameras and episodes, ready to be gathered by index; see `build`.

    Made directly, it has no frames yet: `decode` makes those of some episodes, `remove` drops them.
    With a `root` of its own they need not survive a crash.
    """

    def __init__(
        self,
        dataset: Recordings,
        keys: Sequence[str],
        size: Size | None = None,
        episodes: Sequence[int] | NDArray[np.int64] | None = None,
        root: Path | None = None,
    ) -> None:
        self._dataset, self._size, self._lasts = dataset, size, root is None
        self._root = root or cache_root() / "frames"
        shards = plan(dataset, keys, size, episodes, self._root)
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
        cache = cls(dataset, keys, size, episodes)
        cache.decode(progress=progress)
        return cache

    def decode(
        self,
        episodes: Container[int] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Make the frames of `episodes` (None: all), unless they are there; errors as in `build`."""
        shards = [s for s in self._shards.values() if episodes is None or s.episode in episodes]
        missing = [shard for shard in shards if not shard.is_whole()]
        if missing:
            require_room(self._root, missing)
            decode_all(self._dataset, missing, self._size, progress, self._lasts)

    def remove(self, episode: int) -> None:
        """Delete the frames of one episode from the disk."""
        for shard in self._shards.values():
            if shard.episode == episode:
                shard.path.unlink(missing_ok=True)

    def expect(self, episodes: NDArray[np.int64], /) -> None:
        """Episodes that are read next, those that are soonest first: they are here."""

    @staticmethod
    def bytes_needed(
        dataset: Recordings,
        keys: Sequence[str],
        size: Size | None = None,
        episodes: Sequence[int] | NDArray[np.int64] | None = None,
    ) -> int:
        """What `build` would add to the disk."""
        shards = FrameCache(dataset, keys, size, episodes)._shards.values()
        return sum(shard.bytes for shard in shards if not shard.is_whole())

    @property
    def bytes_of(self) -> dict[int, int]:
        """What each episode takes on the disk, by its number."""
        sizes: dict[int, int] = {}
        for shard in self._shards.values():
            sizes[shard.episode] = sizes.get(shard.episode, 0) + shard.bytes
        return sizes

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
        shard: Shard,
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

    def _shard(self, key: str, episode: int) -> Shard:
        if (key, episode) not in self._shards:
            self._any(key)
            raise KeyError(f"{key}: no frames of episode {episode} were asked for at `build`")
        return self._shards[key, episode]

    def _any(self, key: str) -> Shard:
        for shard in self._shards.values():
            if shard.key == key:
                return shard
        built = sorted({key for key, _ in self._shards})
        raise KeyError(f"no frames of camera {key!r} were asked for at `build`, only of {built}")
