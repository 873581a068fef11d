"""Whether what is seen says what comes next: demonstrations that rest before they go on, or run back on themselves.

A policy without memory answers equal observations equally. Where a path runs back on itself it takes one
way for the other; where it rests before it goes on it may rest for ever. That is looked for; a single
crossing of a path with itself is too little to be told from the noise of many demonstrations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

AHEAD = 10  # ticks over which it is judged whether a path rests, and where it goes
# Of a usual tick's way: who moves less in AHEAD ticks rests; places that are nearer are one.
STILL, NEAR = 1.0, 2.0
NEIGHBOURS, MOST_ROWS = 64, 20_000  # looked at
# Shares from which on it is said: raise-and-lower of kuka-sliders has 58 % that part, seen by its joints alone; a
# figure-8 2 %, mountain-car's expert 3 %, those of cart-pole, pendulum, panda-grasp and two-arm-transfer none.
MUCH_REST, MUCH_PARTING = 0.01, 0.1


@final
@dataclass(frozen=True)
class Crossings:
    """Shares of the rows that were looked at."""

    resting: float  # at rest, with more movement to come
    parting: float  # where another moment was, from which the way went to the other side

    @property
    def remarks(self) -> tuple[str, ...]:
        """A sentence for each that is there."""
        found = []
        if self.resting >= MUCH_REST:
            found.append(
                f"demonstrations rest at {100 * self.resting:.0f} % of the ticks and then go on: whoever "
                "sees no more than that moment rests for ever"
            )
        if self.parting >= MUCH_PARTING:
            found.append(
                f"at {100 * self.parting:.0f} % of the ticks the same was seen at another moment, and it "
                "went the other way: what is seen does not say what comes next"
            )
        return tuple(found)


def crossings(seen: NDArray[np.float32], last: NDArray[np.int64]) -> Crossings:
    """Look at rows (n, F) of what a policy compares, whose episodes end with rows `last` (n,)."""
    row = np.arange(len(seen))
    ahead = np.minimum(row + AHEAD, last)
    steps = np.linalg.norm(seen[np.minimum(row + 1, last)] - seen, axis=1)  # (n,)
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    travelled = np.concatenate([[0.0], np.cumsum(steps)])
    lengths = travelled[ahead] - travelled[row]
    is_whole = row + AHEAD <= last
    moves = is_whole & (lengths >= STILL * usual) & (usual > 0)
    if not moves.any():
        return Crossings(0.0, 0.0)
    so_far = np.cumsum(moves)
    resting = float((is_whole & ~moves & (so_far[last] > so_far)).mean())
    ways = seen[ahead] - seen  # (n, F)
    leads = moves & (np.linalg.norm(ways, axis=1) > 0.5 * lengths)  # somewhere, not to and fro
    return Crossings(resting, _parting(seen, last, ways, np.flatnonzero(leads), NEAR * usual))


def _parting(
    seen: NDArray[np.float32],
    last: NDArray[np.int64],
    ways: NDArray[np.float32],
    moving: NDArray[np.int64],
    near: float,
) -> float:
    """Share of the rows `moving` (m,) that lie within `near` of one of another time, whose way goes to the other side."""
    if not len(moving):
        return 0.0
    looked = moving[:: max(1, len(moving) // MOST_ROWS)]  # (q,)
    count = min(NEIGHBOURS, len(moving))
    _, found = KDTree(seen[moving]).query(seen[looked], k=count, distance_upper_bound=near)
    found = found.reshape(len(looked), count)
    other = moving[np.minimum(found, len(moving) - 1)]  # (q, count)
    is_later = np.abs(other - looked[:, None]) > 2 * AHEAD
    is_elsewhere = is_later | (last[other] != last[looked, None])
    opposed = (ways[other] * ways[looked, None]).sum(-1) < 0
    return float(((found < len(moving)) & is_elsewhere & opposed).any(1).mean())
