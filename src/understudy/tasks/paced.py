"""Real time, for people: a world that lets its tick pass before it answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, final

import gymnasium

from understudy.rollout import world_spec


@final
class Paced(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Steps at the rate of its Spec. What comes late by half a tick or more does not hurry those after it.

    `late` counts them. `now` and `sleep` are the clock.
    """

    def __init__(
        self,
        world: gymnasium.Env[Any, Any],
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(world)
        self._period_s = 1 / world_spec(world).rate_hz
        self._now, self._sleep = now, sleep
        self._due_s: float | None = None
        self.late = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin; the first step sets the clock."""
        self._due_s = None
        return self.env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and return when the tick is over."""
        began_s = self._now()
        due_s = (began_s if self._due_s is None else self._due_s) + self._period_s
        stepped = self.env.step(action)
        left_s = due_s - self._now()
        if left_s > 0:
            self._sleep(left_s)
        elif left_s < -self._period_s / 2:
            self.late += 1
            due_s = self._now()
        self._due_s = due_s
        return stepped
