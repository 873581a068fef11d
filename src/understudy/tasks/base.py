"""What a task is: plain data that builds a world to practise in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import gymnasium

from understudy.spec import Spec


@dataclass(frozen=True, kw_only=True)
class TaskConfig(ABC):
    """The configuration of one task. It travels to worker processes, so it holds plain data only.

    Worlds have a Dict observation space with the keys of `spec`, carry it as `signals`, put
    `is_success` into the info of each step (where success is defined) and, if `has_expert`, answer
    `expert_action()` with the action (A,) of the expert in the present state.
    """

    has_expert: ClassVar[bool] = False
    score: ClassVar[Literal["return", "max_reward"]] = "return"  # what reports call the score

    @property
    @abstractmethod
    def spec(self) -> Spec:
        """What is seen and commanded in this task's worlds."""

    @abstractmethod
    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build a world; with render_mode "rgb_array" its `render()` gives (Y, X, 3) uint8."""
