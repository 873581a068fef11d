"""Camera frames of more episodes than there is disk for: a block is decoded while one is used."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from understudy.data.cache import cache_root
from understudy.data.frames import FrameCache
from understudy.data.shards import WORKERS, Recordings, Size

LOCK = ".lock"


@final
class StreamedFrames:
    """Frames by index, of which at most `budget` bytes are on the disk at a time.

    Episodes that are asked for are decoded, others give way; `expect` has them decoded beforehand, by
    threads. `block` is the number of ticks that an `Order` should take for one block and the next to
    fit. Whatever the order of reading, the frames are the same. They lie in a folder of their own
    that goes with the object, after a crash when the next one is made. Raises ValueError for a
    budget below the longest episode.
    """

    def __init__(
        self,
        dataset: Recordings,
        keys: Sequence[str],
        budget: int,
        size: Size | None = None,
        episodes: Sequence[int] | NDArray[np.int64] | None = None,
    ) -> None:
        folder, lock = _own_folder()
        self._pool = ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1))
        self._close = weakref.finalize(self, _closed, self._pool, folder, lock)
        self._cache = FrameCache(dataset, keys, size, episodes, folder)
        self._bytes, self._budget = self._cache.bytes_of, budget
        longest = max(self._bytes, key=lambda i: self._bytes[i])
        if budget < self._bytes[longest]:
            raise ValueError(
                f"{budget / 1e6:,.1f} MB for decoded frames (--frames-gb, less what held-out episodes "
                f"take) are too little: the longest episode has {self._bytes[longest] / 1e6:,.1f} MB"
            )
        ticks = int(dataset.lengths[longest])
        self.block = max(1, budget * ticks // self._bytes[longest] // 2 - ticks)
        self._decoded: OrderedDict[int, Future[None]] = OrderedDict()  # longest ago used first
        self._expected: dict[int, None] = {}  # in the order of reading

    def gather(
        self, key: str, episode: NDArray[np.int64], tick: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return frames (B, Y, X, 3) of camera `key` at pairs of episode (B,) and tick (B,).

        Waits for those that are not decoded yet; errors are those of `FrameCache`.
        """
        parts: list[tuple[NDArray[np.bool_], NDArray[np.uint8]]] = []
        for group in self._groups(np.unique(episode).tolist()):
            self._begin(group, keep=group)
            for i in group:
                self._decoded[i].result()
            rows = np.isin(episode, group)
            parts.append((rows, self._cache.gather(key, episode[rows], tick[rows])))
        if len(parts) == 1:
            return parts[0][1]
        frames = self._cache.gather(key, episode[:0], tick[:0])
        frames = np.empty((len(episode), *frames.shape[1:]), np.uint8)
        for rows, found in parts:
            frames[rows] = found
        return frames

    def expect(self, episodes: NDArray[np.int64], /) -> None:
        """Decode the episodes that are read next, those that are soonest first, as far as they fit."""
        self._expected = dict.fromkeys(episodes.tolist())
        [soonest, *_] = self._groups([*self._expected])
        self._begin(soonest, keep=soonest)

    def close(self) -> None:
        """Stop decoding and remove what was decoded."""
        self._close()

    def _groups(self, episodes: Sequence[int]) -> list[list[int]]:
        """Cut a list of episodes where the budget is full."""
        groups, held = [[]], 0
        for i in episodes:
            if i not in self._bytes:
                raise KeyError(f"no frames of episode {i} are streamed")
            held += self._bytes[i]
            if held > self._budget:
                groups.append([])
                held = self._bytes[i]
            groups[-1].append(i)
        return groups

    def _begin(self, episodes: Sequence[int], keep: Collection[int]) -> None:
        """Have episodes decoded; they count as used now, and those to keep are not dropped for them."""
        for i in episodes:
            if i not in self._decoded:
                self._make_room(self._bytes[i], keep)
                self._decoded[i] = self._pool.submit(self._cache.decode, {i})
            self._decoded.move_to_end(i)

    def _make_room(self, need: int, keep: Collection[int]) -> None:
        """Drop what was used longest ago, what is expected after all else."""
        held = sum(self._bytes[i] for i in self._decoded)
        others = [i for i in self._decoded if i not in keep]
        for i in sorted(others, key=lambda i: i in self._expected):
            if held + need <= self._budget:
                return
            self._decoded.pop(i).exception()  # waits until nobody writes it any more
            self._cache.remove(i)
            held -= self._bytes[i]


def _own_folder() -> tuple[Path, int]:
    """Make a folder in the cache that is locked as long as this process lives; those left over go."""
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in root.glob("stream-*"):
        try:
            lock = os.open(path / LOCK, os.O_RDWR)
        except FileNotFoundError:  # its owner was faster
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)
    made = Path(tempfile.mkdtemp(prefix=".stream-", dir=root))
    lock = os.open(made / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return made.rename(root / made.name[1:]), lock


def _closed(pool: ThreadPoolExecutor, folder: Path, lock: int) -> None:
    pool.shutdown(cancel_futures=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)
