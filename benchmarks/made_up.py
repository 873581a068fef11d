"""Demonstrations of made-up numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from understudy.episode import Episode
from understudy.spec import STATE, Spec


def episode(
    spec: Spec,
    states: NDArray[np.floating[Any]],
    actions: NDArray[np.floating[Any]],
    seed: int,
    frames: Mapping[str, NDArray[np.uint8]] | None = None,
) -> Episode:
    """An episode of these states (T, S), actions (T, A) and frames {camera: (T, Y, X, 3)}."""
    ticks = len(states)
    return Episode(
        observations={STATE: states.astype(np.float32), **(frames or {})},
        actions=actions.astype(np.float32),
        rewards=np.zeros(ticks, np.float32),
        time_s=np.arange(ticks) / spec.rate_hz,
        terminated=True,
        truncated=False,
        success=True,
        task=spec.task,
        source="made up",
        seed=seed,
    )


class Columns:
    """Episodes of one length in memory; `understudy.data.windows.Columns`."""

    def __init__(self, spec: Spec, episodes: int, ticks: int) -> None:
        self.spec, self.fingerprint, self.tasks = spec, "", [""] * episodes
        self.lengths = np.full(episodes, ticks)
        self._signals = {**spec.observations, "action": spec.action}

    def column(self, key: str) -> NDArray[np.float32]:
        """Normal numbers for every signal; nobody labelled them."""
        size = 0 if key == "label" else self._signals[key].size
        generator = np.random.default_rng(size)
        return generator.normal(size=(int(self.lengths.sum()), size)).astype(np.float32)
