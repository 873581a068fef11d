"""Generalised advantages (Schulman et al. 2016, arXiv 1506.02438): how much better a tick was than expected."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from understudy.learn.played import Played
from understudy.learn.reward import Judged


def advantages(
    rewards: NDArray[np.float64],
    values: NDArray[np.float64],
    last: float,
    discount: float,
    trace: float,
) -> NDArray[np.float64]:
    """Generalised advantages (T,) of one episode (Schulman et al. 2016, arXiv 1506.02438).

    `values` (T,) are the critic's, `last` is what lies beyond the last tick: its value of the final
    observation where time ran out, what termination is worth where the world ended it.
    """
    ahead = np.append(values[1:], last)
    surprises = rewards + discount * ahead - values
    return discounted(surprises, discount * trace)


def gains_of(
    played: Played,
    judged: Judged,
    values: NDArray[np.float64],
    discount: float,
    trace: float,
) -> NDArray[np.float64]:
    """Generalised advantages (ticks,) of a round, from the critic's values at every row (R,)."""
    rewards = np.split(judged.rewards.double().numpy(), np.cumsum(played.lengths)[:-1])
    after = judged.after.double().numpy()
    found, first = [], 0
    for episode, given in enumerate(rewards):
        stop = first + len(given)
        last = after[episode] if played.terminated[episode] else values[stop]
        found.append(advantages(given, values[first:stop], float(last), discount, trace))
        first = stop + 1
    return np.concatenate(found)


def discounted(values: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """Return at each tick (T,) the sum of all from there on, each tick later worth `keep` as much."""
    sums = accumulate(reversed(values.tolist()), lambda later, value: value + keep * later)
    return np.array([*sums])[::-1]
