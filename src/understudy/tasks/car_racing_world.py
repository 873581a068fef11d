"""The world of `car-racing`: Gymnasium's CarRacing-v3, drawn only when someone looks, and its expert."""

from __future__ import annotations

from typing import Any, final

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from understudy.data.formats.car_racing import IMAGE
from understudy.spec import STATE, Spec
from understudy.tasks import gym
from understudy.tasks.box2d import car_racing
from understudy.tasks.car_racing_expert import Road, drive
from understudy.tasks.car_racing_picture import Picture


@final
class CarRacingWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Holds each command for `hold` steps and shows a picture, the dashboard's numbers, or both."""

    def __init__(self, env: gymnasium.Env[Any, Any], spec: Spec, hold: int) -> None:
        RecordConstructorArgs.__init__(self, spec=spec, hold=hold)
        super().__init__(env)
        self.signals = spec
        self.observation_space = gym.observation_space(spec)
        self.action_space = gym.space_of(spec.action)
        self._low, self._high = (
            np.array(limits, np.float32) for limits in (spec.action.low, spec.action.high)
        )
        self._hold = hold
        race: Any = env.unwrapped
        self._race: car_racing.CarRacing = race
        self._picture = Picture(self._race)
        _draw_only_for_people(self._race)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Lay a track from `seed`, and wait at its start until the camera has come near: 49 steps that cost nothing."""
        _, info = self.env.reset(seed=seed, options=options)
        while self._race.t < 1:
            self._race.step(None)  # pyright: ignore[reportArgumentType]  (None is how its own reset steps)
        self._picture.begin()
        self._road = Road(self._race.track)
        return self._seen(), info

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Steer, give gas and brake (3,) for `hold` steps of a fiftieth of a second."""
        within = np.clip(action, self._low, self._high)
        total, terminated, truncated, info = 0.0, False, False, {}
        for _ in range(self._hold):
            _, reward, terminated, truncated, info = self.env.step(within)
            total += float(reward)
            if terminated or truncated:
                break
        told = {"is_success": bool(info.get("lap_finished")), "executed_action": within}
        return self._seen(), total, bool(terminated), bool(truncated), told

    def expert_action(self) -> NDArray[np.float32]:
        """What a driver does who knows the road ahead."""
        return drive(self._race.car, self._road)

    def _seen(self) -> dict[str, NDArray[Any]]:
        seen: dict[str, NDArray[Any]] = {}
        if STATE in self.signals.observations:
            seen[STATE] = _dashboard(self._race.car)
        if IMAGE in self.signals.observations:
            seen[IMAGE] = self._picture.paint()
        return seen


def make_world(spec: Spec, hold: int, limit_s: float, render_mode: str | None) -> CarRacingWorld:
    """Build the world; episodes end after `limit_s` at the latest."""
    env = gymnasium.make(
        "CarRacing-v3",
        render_mode=render_mode,
        max_episode_steps=round(limit_s * car_racing.FPS),
        disable_env_checker=True,
    )
    return CarRacingWorld(env, spec, hold)


def _dashboard(car: Any) -> NDArray[np.float32]:
    """Speed, the four wheels' speeds, the steering angle and the yaw rate, as the picture's bars show them."""
    speed = np.hypot(*car.hull.linearVelocity)
    wheels = (wheel.omega for wheel in car.wheels)
    steering, yaw_rate = -car.wheels[0].joint.angle, -car.hull.angularVelocity
    return np.array([speed, *wheels, steering, yaw_rate], np.float32)


def _draw_only_for_people(race: car_racing.CarRacing) -> None:
    """Let each step pass without the picture that Gymnasium draws at it; `render` draws as before."""
    draw = race._render
    race._render = lambda mode: None if mode == "state_pixels" else draw(mode)
