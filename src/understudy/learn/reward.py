"""What judges a round of episodes: the worlds' own rewards, or something that learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, final

import torch
from torch import Tensor

from understudy.learn.played import Played


@final
@dataclass(frozen=True)
class Judged:
    """What a round was worth."""

    rewards: Tensor  # (ticks,)
    after: Tensor  # (E,) value of all that follows an episode that was terminated
    facts: Mapping[str, float] = field(default_factory=dict)  # for the report


class Reward(Protocol):
    """What judges a round."""

    def judge(self, played: Played, likelihood: Callable[[Played], Tensor]) -> Judged:
        """Return the rewards; `likelihood` gives log likelihoods (ticks,) under the policy."""
        ...

    def tensors(self) -> Mapping[str, Tensor]:
        """All that it has learnt, live."""
        ...


@final
class OwnReward:
    """The worlds' own rewards; what is terminated earns nothing more."""

    def judge(self, played: Played, likelihood: Callable[[Played], Tensor]) -> Judged:
        """Return what the worlds gave."""
        return Judged(played.rewards[played.rows], torch.zeros(len(played.lengths)))

    def tensors(self) -> Mapping[str, Tensor]:
        """Nothing is learnt."""
        return {}
