"""Demonstrations from a loop of one's own, a robot's for one: a tick, and another, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.spec import ACTION

SHORTEST = 10


@final
class Collector:
    """Writes what a loop hands over to a dataset, tick by tick; pictures are encoded while they come.

    Kept are episodes that succeeded and have at least `shortest` ticks. `source` says who showed
    them. An episode that was not ended is dropped, at the end of `with` too.
    """

    def __init__(
        self, dataset: Dataset, *, shortest: int = SHORTEST, source: str = "person"
    ) -> None:
        if shortest < 1:
            raise ValueError(f"shortest must be at least 1, got {shortest}")
        self._dataset, self._shortest, self._source = dataset, shortest, source
        self._begin()

    def _begin(self) -> None:
        self._take = self._dataset.recorder().begin()
        self._seen: dict[str, list[NDArray[Any]]] = {key: [] for key in self._dataset.spec.vectors}
        self._actions: list[NDArray[Any]] = []
        self._rewards: list[float] = []
        self._time_s: list[float] = []

    def __len__(self) -> int:
        """Ticks of the episode that runs."""
        return len(self._actions)

    def add(
        self,
        observations: Mapping[str, ArrayLike],
        action: ArrayLike,
        *,
        reward: float = 0.0,
        time_s: float | None = None,
    ) -> None:
        """Take one tick: {key: (*shape)} that was seen, and the action (A,) that was commanded then.

        `time_s` is that of a monotonic clock; without it ticks are one period of the Spec's rate
        apart. Raises ValueError, and takes nothing, for what the dataset's Spec does not allow or a
        time that does not increase; OSError where a picture cannot be stored: the episode is lost.
        """
        spec = self._dataset.spec
        missing = [key for key in spec.observations if key not in observations]
        if missing:
            raise ValueError(f"the tick lacks {missing}; it has {list(observations)}")
        seen = {
            key: signal.check(key, observations[key]) for key, signal in spec.observations.items()
        }
        command = np.array(spec.action.check(ACTION, action))
        now_s = len(self) / spec.rate_hz if time_s is None else float(time_s)
        if not np.isfinite(now_s) or (self._time_s and now_s <= self._time_s[-1]):
            raise ValueError(f"time_s must increase from tick to tick, got {now_s}")
        try:
            for key in spec.cameras:
                self._take.frame(key, seen[key])
        except OSError:
            self.discard()
            raise
        for key, rows in self._seen.items():
            rows.append(np.array(seen[key]))
        self._actions.append(command)
        self._rewards.append(float(reward))
        self._time_s.append(now_s)

    def end(self, *, success: bool) -> Episode | None:
        """End the episode: it is durable when it is returned, or dropped, and None.

        Raises OSError where it cannot be stored; nothing of it is left then.
        """
        if not success or len(self) < self._shortest:
            self.discard()
            return None
        spec = self._dataset.spec
        episode = Episode(
            observations={key: np.stack(rows) for key, rows in self._seen.items()},
            actions=np.stack(self._actions),
            rewards=np.array(self._rewards, np.float32),
            time_s=np.array(self._time_s, np.float64),
            terminated=True,
            truncated=False,
            success=True,
            task=spec.task,
            source=self._source,
        )
        take = self._take
        self._begin()
        return take.save(episode)

    def discard(self) -> None:
        """Drop the episode that runs; harmless where there is none."""
        self._take.discard()
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._take.discard()
