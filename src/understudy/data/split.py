"""Which episodes are held out: whole ones, the same share of each task, the same for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def split(
    ids: Sequence[str], tasks: Sequence[str], held_out: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(train, held out) positions, both sorted; `held_out` is a share 0..1 of the episodes.

    Episodes of a task are ranked by a hash of (seed, id) and the first are held out, so an episode
    that is added moves few others. Shares are rounded to the total, task by task, the largest
    remainder first; at least one episode stays on each side if there are two and 0 < share < 1.
    Episodes with the same id stay together. Raises ValueError for a share outside 0..1.
    """
    if not 0 <= held_out <= 1:
        raise ValueError(f"held_out is a share between 0 and 1, got {held_out}")
    task_of: dict[str, str] = {}
    for id, task in sorted(zip(ids, tasks, strict=True)):
        task_of.setdefault(id, task)
    ranked: dict[str, list[str]] = {}
    for id in sorted(task_of, key=lambda id: _rank(seed, id)):
        ranked.setdefault(task_of[id], []).append(id)
    quotas = _quotas({task: len(group) for task, group in ranked.items()}, held_out)
    held = {id for task, group in ranked.items() for id in group[: quotas[task]]}
    mask = np.array([id in held for id in ids], np.bool_)
    return np.flatnonzero(~mask), np.flatnonzero(mask)


def _rank(seed: int, id: str) -> bytes:
    return hashlib.blake2b(f"{seed} {id}".encode(), digest_size=16).digest()


def _quotas(sizes: dict[str, int], share: float) -> dict[str, int]:
    """How many of each task to hold out (largest remainders, ties by name)."""
    total = sum(sizes.values())
    wanted = round(share * total)
    if 0 < share < 1 and total > 1:
        wanted = min(max(wanted, 1), total - 1)
    quotas = {task: int(share * size) for task, size in sizes.items()}
    order = sorted(sizes, key=lambda task: (quotas[task] - share * sizes[task], task))
    for task in order * 2:
        if sum(quotas.values()) >= wanted:
            break
        quotas[task] += quotas[task] < sizes[task]
    return quotas
