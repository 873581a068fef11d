"""Which ticks of a dataset are learnt from: of what a mixture played, only what its expert said."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from understudy.actor import MIXTURE
from understudy.data.store import Dataset

LearnFrom = Literal["labels", "corrections"]


def mixed_in(dataset: Dataset) -> NDArray[np.bool_]:
    """Which episodes of a dataset a mixture played, (episodes,)."""
    return np.array([source.startswith(MIXTURE) for source in dataset.sources], np.bool_)


def taught(dataset: Dataset, which: LearnFrom) -> NDArray[np.bool_] | None:
    """Which ticks of a dataset to learn from, (ticks,); None: all.

    Of a mixture's episodes those at which the expert gave a label, or, with corrections, acted; of
    all others every tick.
    """
    mixed = mixed_in(dataset)
    if not mixed.any():
        return None
    given = np.isfinite(dataset.column("label")).all(axis=1)
    if which == "corrections":
        given &= dataset.column("intervention").reshape(-1).astype(np.bool_)
    chosen = given | ~np.repeat(mixed, dataset.lengths)
    return None if chosen.all() else chosen
