"""Episodes that nobody stored, as windows are drawn from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.data.features import open_dtype
from understudy.episode import Episode
from understudy.spec import ACTION, Spec


@final
class InMemory:
    """The columns that a dataset of these episodes would have, and their frames.

    `spec` says which observations; arrays keep the dtypes of the episodes.
    """

    fingerprint = "in memory"

    def __init__(self, spec: Spec, episodes: Sequence[Episode]) -> None:
        self.spec, self._episodes = spec, episodes
        self.tasks = tuple(episode.task for episode in episodes)
        self.lengths = np.array([len(episode) for episode in episodes], np.int64)

    def column(self, key: str) -> NDArray[Any]:
        """One column of all episodes, (ticks, *shape); a label that was not given is NaN."""
        if key == ACTION:
            return np.concatenate([episode.actions for episode in self._episodes])
        if key == "label":
            return np.concatenate([self._labels(episode) for episode in self._episodes])
        return np.concatenate([np.asarray(e.observations[key]) for e in self._episodes])

    def gather(
        self, key: str, episode: NDArray[np.int64], tick: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Frames (n, Y, X, 3) of these ticks."""
        pairs = zip(episode, tick, strict=True)
        return np.stack([np.asarray(self._episodes[e].observations[key][t]) for e, t in pairs])

    def expect(self, episodes: NDArray[np.int64], /) -> None:
        """All are there."""

    def _labels(self, episode: Episode) -> NDArray[Any]:
        dtype = open_dtype(self.spec.action.dtype)
        if episode.labels is None:
            return np.full(episode.actions.shape, np.nan, dtype)
        return np.asarray(episode.labels, dtype)
