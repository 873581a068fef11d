"""Which windows a step draws: a pure function of (seed, step, rank, world size)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray


@final
@dataclass(frozen=True)
class _Epoch:
    """One pass over all windows."""

    windows: NDArray[np.int64]  # (n,) window numbers in the order in which they are drawn
    starts: NDArray[np.int64]  # (B,) where each block begins in it
    episodes: tuple[NDArray[np.int64], ...]  # of each block


@final
class Order:
    """Draws windows, which are numbered 0..n-1, episode after episode.

    Every epoch is a new permutation of all windows, cut into global batches of world_size *
    batch_size that are dealt to the ranks in turn; a batch may straddle two epochs. With `block`
    ticks the episodes are shuffled instead, and windows within blocks of episodes, each of so many
    ticks and up to an episode more: all that a block draws from is small and known beforehand.
    """

    def __init__(
        self,
        counts: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        block: int = 0,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"rank {rank} outside 0..{world_size - 1}")
        self.batch_size, self.seed, self.rank, self.world_size = batch_size, seed, rank, world_size
        self._counts, self._block = counts, block
        self._length = int(counts.sum())
        self._epochs: dict[int, _Epoch] = {}

    def draw(self, step: int, count: int = 1) -> NDArray[np.int64]:
        """Window numbers of `count` consecutive steps on this rank, in order."""
        steps = np.arange(step, step + count)[:, None]
        within = np.arange(self.batch_size)
        position = ((steps * self.world_size + self.rank) * self.batch_size + within).reshape(-1)
        epoch, offset = np.divmod(position, self._length)
        drawn = np.empty(len(position), np.int64)
        for number in np.unique(epoch):
            here = epoch == number
            drawn[here] = self._epoch(int(number)).windows[offset[here]]
        return drawn

    def around(self, step: int) -> NDArray[np.int64]:
        """Episodes of the block in which a step ends, and then those of the next."""
        last = ((step + 1) * self.world_size) * self.batch_size - 1
        number, offset = divmod(last, self._length)
        blocks = self._epoch(number)
        at = int(np.searchsorted(blocks.starts, offset, side="right")) - 1
        if at + 1 < len(blocks.starts):
            return np.concatenate(blocks.episodes[at : at + 2])
        return np.concatenate([blocks.episodes[at], self._epoch(number + 1).episodes[0]])

    def _epoch(self, number: int) -> _Epoch:
        if number not in self._epochs:
            if len(self._epochs) > 1:
                self._epochs.pop(min(self._epochs))
            self._epochs[number] = self._shuffled(number)
        return self._epochs[number]

    def _shuffled(self, number: int) -> _Epoch:
        generator = np.random.default_rng([self.seed, number])
        if not self._block:
            whole = (np.arange(len(self._counts)),)
            return _Epoch(generator.permutation(self._length), np.zeros(1, np.int64), whole)
        order = generator.permutation(len(self._counts))
        before = np.cumsum(self._counts[order]) - self._counts[order]  # ticks ahead of each
        _, block = np.unique(before // self._block, return_inverse=True)  # of each in `order`
        of_episode = np.empty(len(order), np.int64)
        of_episode[order] = block
        of_window = np.repeat(of_episode, self._counts)
        windows = np.lexsort((generator.permutation(self._length), of_window))
        starts = np.searchsorted(of_window[windows], np.arange(block[-1] + 1))
        episodes = tuple(order[block == i] for i in range(int(block[-1]) + 1))
        return _Epoch(windows, starts, episodes)
