"""Where work runs: in this process, in a pool of worker processes, or on a Ray cluster.

Most of it is rollouts. What travels is plain data: the task's and the actor's configuration and the
seeds. An episode of a given seed is the same wherever it runs, so a unit that fails is simply played
again: its world may raise, hang or answer nonsense, its worker may be killed. What fails every time is
named, the rest goes on.
"""

from understudy.fleet.actors import (
    ActorConfig,
    ExpertActor,
    LearningActor,
    PartnerConfig,
    PolicyActor,
    RandomActor,
)
from understudy.fleet.fleet import Fleet
from understudy.fleet.here import Here
from understudy.fleet.job import Shares, played, whole
from understudy.fleet.pool import Pool

__all__ = [
    "ActorConfig",
    "ExpertActor",
    "Fleet",
    "Here",
    "LearningActor",
    "PartnerConfig",
    "PolicyActor",
    "Pool",
    "RandomActor",
    "Shares",
    "played",
    "whole",
]
