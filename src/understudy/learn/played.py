"""Whole episodes as rows side by side: what a policy that is still learning saw, did and earned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from understudy.data.in_memory import InMemory
from understudy.data.windows import Batch, Windows
from understudy.episode import Episode
from understudy.spec import Spec


@final
@dataclass(frozen=True, eq=False)
class Played:
    """Episodes of one round, or of a dataset; each has a row for each tick and one for its end.

    The row of the end holds what was seen after the last action, and an action that nobody took.
    """

    batch: Batch  # R rows: windows of the last K observations, actions (R, 1, A)
    rewards: Tensor  # (R,) of the world; 0 at an end
    lengths: NDArray[np.int64]  # (E,) ticks
    terminated: NDArray[np.bool_]  # (E,) ended by the world, not by a limit of time or a verdict
    returns: NDArray[np.float64]  # (E,)
    successes: tuple[bool | None, ...]

    @property
    def ticks(self) -> int:
        """How many steps the worlds took."""
        return int(self.lengths.sum())

    @cached_property
    def ends(self) -> Tensor:
        """Row of each episode's end, (E,)."""
        return torch.from_numpy(np.cumsum(self.lengths + 1) - 1)

    @cached_property
    def rows(self) -> Tensor:
        """Numbers of the rows at which something was done, (ticks,); one further on is what followed."""
        is_tick = torch.ones(len(self.rewards), dtype=torch.bool)
        is_tick[self.ends] = False
        return is_tick.nonzero()[:, 0]


def played(episodes: Sequence[Episode], spec: Spec, history: int) -> Played:
    """Lay episodes side by side, ends included; `spec` says which observations.

    An episode without a final observation gives up its last tick: what was seen then is its end.
    Raises ValueError for cameras: nobody has decoded them.
    """
    if spec.cameras:
        raise ValueError(
            f"what is played is compared by its numbers, not by pictures: leave out {spec.cameras}"
        )
    whole = [_with_end(episode, spec) for episode in episodes]
    windows = Windows(InMemory(spec, whole), history=history, horizon=1)
    return Played(
        batch=windows.gather(np.arange(len(windows))),
        rewards=torch.from_numpy(np.concatenate([episode.rewards for episode in whole])),
        lengths=np.array([len(episode) - 1 for episode in whole], np.int64),
        terminated=np.array([episode.terminated for episode in episodes]),
        returns=np.array([float(np.sum(episode.rewards)) for episode in episodes]),
        successes=tuple(episode.success for episode in episodes),
    )


def _with_end(episode: Episode, spec: Spec) -> Episode:
    """The episode with its end as one more tick, at which nothing was done or earned."""
    ticks, final = len(episode), episode.final_observation
    seen = {key: np.asarray(episode.observations[key]) for key in spec.observations}
    times = episode.time_s
    if final is None:
        ticks -= 1
    else:
        seen = {key: np.concatenate([rows, final[key][None]]) for key, rows in seen.items()}
        times = np.append(times, np.nan)  # which nobody asks for
    targets = np.asarray(episode.targets)
    return replace(
        episode,
        observations=seen,
        actions=np.concatenate([targets[:ticks], np.zeros_like(targets[:1])]),
        rewards=np.append(np.asarray(episode.rewards[:ticks], np.float32), np.float32(0)),
        time_s=times,
        final_observation=None,
        labels=None,
        executed=None,
        intervention=None,
        act_s=None,
    )
