"""Whole episodes as rows side by side: what a policy that is still learning saw, did and earned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from understudy.data.windows import Batch, Windows
from understudy.episode import Episode
from understudy.spec import ACTION, Spec


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


@final
@dataclass(frozen=True)
class _Columns:
    """Episodes in memory, as `Windows` wants them."""

    spec: Spec
    lengths: NDArray[np.int64]
    tasks: tuple[str, ...]
    columns: dict[str, NDArray[Any]]
    fingerprint: str = ""

    def column(self, key: str) -> NDArray[Any]:
        return self.columns[key]


def windows_of_played(episodes: Sequence[Episode], spec: Spec, history: int) -> Windows:
    """Return windows over every row, ends included; `spec` says which observations.

    An episode without a final observation gives up its last tick: what was seen then is its end.
    Raises ValueError for cameras: nobody has decoded them.
    """
    if spec.cameras:
        raise ValueError(
            f"what is played is compared by its numbers, not by pictures: leave out {spec.cameras}"
        )
    whole = [_with_end(episode, spec) for episode in episodes]
    columns = {key: np.concatenate([one[key] for one in whole]) for key in whole[0]}
    lengths = np.array([len(one[ACTION]) for one in whole], np.int64)
    tasks = tuple(episode.task for episode in episodes)
    none = np.full(columns[ACTION].shape, np.nan, np.float32)
    rows = _Columns(spec, lengths, tasks, columns | {"label": none})
    return Windows(rows, history=history, horizon=1)


def played(episodes: Sequence[Episode], spec: Spec, history: int) -> Played:
    """Lay episodes side by side, see `windows_of_played`."""
    windows = windows_of_played(episodes, spec, history)
    rewards, lengths = [], []
    for episode in episodes:
        ticks = len(episode) - (episode.final_observation is None)
        rewards += [np.asarray(episode.rewards[:ticks], np.float32), np.zeros(1, np.float32)]
        lengths.append(ticks)
    return Played(
        batch=windows.gather(np.arange(len(windows))),
        rewards=torch.from_numpy(np.concatenate(rewards)),
        lengths=np.array(lengths, np.int64),
        terminated=np.array([episode.terminated for episode in episodes]),
        returns=np.array([float(np.sum(episode.rewards)) for episode in episodes]),
        successes=tuple(episode.success for episode in episodes),
    )


def _with_end(episode: Episode, spec: Spec) -> dict[str, NDArray[Any]]:
    """The columns of an episode with one more row."""
    targets, final = np.asarray(episode.targets), episode.final_observation
    if final is None:
        seen = {key: np.asarray(episode.observations[key]) for key in spec.observations}
        return {**seen, ACTION: np.concatenate([targets[:-1], np.zeros_like(targets[:1])])}
    seen = {
        key: np.concatenate([np.asarray(episode.observations[key]), final[key][None]])
        for key in spec.observations
    }
    return {**seen, ACTION: np.concatenate([targets, np.zeros_like(targets[:1])])}
