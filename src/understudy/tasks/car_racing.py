"""CarRacing-v3 of Gymnasium: drive around a track that no one has seen before, from a picture from above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import gymnasium
import numpy as np

from understudy.data.formats.car_racing import RATE_HZ, signals
from understudy.spec import Spec
from understudy.tasks.base import LEFT_AND_RIGHT, UP_AND_DOWN, Controls, TaskConfig


@final
@dataclass(frozen=True, kw_only=True)
class CarRacing(TaskConfig):
    """Drive over every tile of a track: 1000 points shared out among them, a tenth of a point lost at each step."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = Controls(
        begin=(0.0, 0.0, 0.0),
        hold={"left": (0, -0.5), "right": (0, 0.5), "up": (1, 0.2), "down": (2, 0.1)},
        pad={**LEFT_AND_RIGHT, **UP_AND_DOWN},
        says=("left right: steer   up: gas   down: brake",),
    )

    observe: Literal["pixels", "state", "both"] = "pixels"
    """pixels: the picture of 96 x 96; state: the seven numbers of its dashboard, without the road; or both."""
    hold: int = 1
    """Steps of a fiftieth of a second for which each command holds; 2: 25 commands a second."""
    limit_s: float = 20.0
    """When an episode ends at the latest; 20 s are the 1000 steps of CarRacing-v3."""

    def __post_init__(self) -> None:
        if self.hold < 1:
            raise ValueError(f"hold is at least 1, got {self.hold}")
        if not 1 / RATE_HZ <= self.limit_s < np.inf:
            raise ValueError(f"limit_s is at least a step of {1 / RATE_HZ} s, got {self.limit_s}")

    @property
    def spec(self) -> Spec:
        """A picture, or numbers, in; steering (right is positive), gas and brake out."""
        return signals(self.observe != "state", self.observe != "pixels", RATE_HZ / self.hold)

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; raises ValueError where Box2D or pygame is not installed."""
        try:
            from understudy.tasks.car_racing_world import make_world
        except ModuleNotFoundError as error:
            raise ValueError(str(error)) from error
        return make_world(self.spec, self.hold, self.limit_s, render_mode)
