"""A world that comes to grief at certain seeds: what fleets have to live with."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import gymnasium
import numpy as np

from understudy.spec import STATE, Signal, Spec
from understudy.tasks.base import TaskConfig
from understudy.tasks.gym import observation_space, space_of

Trouble = Literal["none", "raises", "hangs", "is killed", "sees nan", "rewards nan"]
TICKS = 5


@final
@dataclass(frozen=True, kw_only=True)
class Troubled(TaskConfig):
    """Counts to five; `troubles` are (seed, what comes, how many times), counted by files in a folder."""

    troubles: tuple[tuple[int, Trouble, int], ...] = ()
    counted_in: str = ""

    @property
    def spec(self) -> Spec:
        return Spec({STATE: Signal((1,))}, Signal((1,), low=(-1.0,), high=(1.0,)), 10.0, "count")

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        return TroubledWorld(self)

    def next_trouble(self, seed: int) -> Trouble:
        """What comes now."""
        for troubled, trouble, times in self.troubles:
            if troubled == seed:
                mark = Path(self.counted_in) / f"{seed}-{os.getpid()}-{time.monotonic_ns()}"
                mark.touch()
                return trouble if len(list(mark.parent.glob(f"{seed}-*"))) <= times else "none"
        return "none"


@final
class TroubledWorld(gymnasium.Env[Any, Any]):
    def __init__(self, config: Troubled) -> None:
        self.config, self.signals = config, config.spec
        self.observation_space = observation_space(config.spec)
        self.action_space = space_of(config.spec.action)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.seed, self.ticks = int(seed or 0), 0
        return self._seen(), {}

    def step(self, action: Any) -> Any:
        self.ticks += 1
        reward = float(action[0])
        if self.ticks == 3:
            reward = self._trouble(reward)
        return self._seen(), reward, False, self.ticks == TICKS, {"is_success": True}

    def _trouble(self, reward: float) -> float:
        match self.config.next_trouble(self.seed):
            case "raises":
                raise OSError("the motor is on fire")
            case "hangs":
                time.sleep(10**6)
            case "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "sees nan":
                self.ticks = -1000
            case "rewards nan":
                return float("nan")
        return reward

    def _seen(self) -> dict[str, Any]:
        value = np.nan if self.ticks < 0 else self.seed + self.ticks
        return {STATE: np.array([value], np.float32)}


@final
@dataclass(frozen=True)
class Errand:
    """Squares numbers, telling how far it is; -1 raises, -2 ends its process the first time."""

    counted_in: str

    def __call__(self, item: int, tell: Any) -> int:
        tell(0.5)
        if item == -1:
            raise OSError("out of paper")
        if item == -2:
            mark = Path(self.counted_in) / "was killed"
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return item * item


def whose(episode: Any) -> tuple[int, int, float]:
    """Seed, process that played it, and its return."""
    return episode.seed, os.getpid(), float(np.sum(episode.rewards))
