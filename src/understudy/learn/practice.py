"""Rounds of whole episodes, played by drawing from a policy, on a fleet."""

from __future__ import annotations

from typing import final

import torch

from understudy.episode import Episode
from understudy.fleet import Fleet, LearningActor
from understudy.learn.played import Played, played
from understudy.policies.base import Policy
from understudy.policies.stochastic import require_stochastic
from understudy.tasks.base import TaskConfig

# Starts to practise from: none that demonstrations, selection or reports have.
FIRST_SEED, SEEDS = 20_000, 80_000
APART = 7_919  # between the first starts of two trainings


@final
class Practice:
    """Plays rounds of about `ticks` steps. `position` is all that a next round depends on but the policy.

    Which episodes a round has depends on nothing that the fleet decides. Raises ValueError where
    policy and task do not fit together, or no action can be drawn.
    """

    def __init__(
        self, policy: Policy, task: TaskConfig, fleet: Fleet, ticks: int, seed: int
    ) -> None:
        require_stochastic(policy)
        policy.spec.require(task.spec)
        self._policy, self._task, self._fleet = policy, task, fleet
        self._ticks, self._seed = ticks, seed
        # episodes so far; episodes and ticks of the last round, to guess how many fill the next
        self.position = torch.tensor([0, 4, ticks], dtype=torch.int64)

    @property
    def episodes(self) -> int:
        """How many were played so far."""
        return int(self.position[0])

    def round(self) -> Played:
        """Play until three quarters of the ticks are there; what is begun is played to its end.

        Raises RuntimeError for an episode that is lost.
        """
        actor = LearningActor.of(self._policy, self._seed)
        found: list[Episode] = []
        ticks = 0
        before, their_ticks = int(self.position[1]), int(self.position[2])
        while ticks < 0.75 * self._ticks:
            wanted = max(1, round((self._ticks - ticks) * before / their_ticks))
            first = self.episodes + len(found)
            offsets = range(first + self._seed * APART, first + self._seed * APART + wanted)
            seeds = [FIRST_SEED + offset % SEEDS for offset in offsets]
            found += self._fleet.rollouts(self._task, actor, seeds)
            ticks = sum(len(episode) for episode in found)
            before, their_ticks = len(found), ticks
        self.position.copy_(torch.tensor([self.episodes + len(found), before, their_ticks]))
        return played(found, self._policy.spec, self._policy.config.history)
