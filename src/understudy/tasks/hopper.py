"""Hopper-v5 (Erez, Tassa & Todorov 2011): a leg of three joints hops forward in MuJoCo without falling."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, final

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray
from safetensors.numpy import load_file

from understudy.spec import STATE, Signal, Spec
from understudy.tasks.base import TaskConfig
from understudy.tasks.gym import GymWorld

JOINTS = ("thigh", "leg", "foot")
PLACES = ("height", "torso_angle", *(f"{joint}_angle" for joint in JOINTS))
SPEEDS = ("forward_speed", "upward_speed", "torso_speed", *(f"{joint}_speed" for joint in JOINTS))
EXPERT = Path(__file__).with_name("hopper.safetensors")  # benchmarks/hopper_expert.py makes it


@final
class _HopperWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        super().__init__(env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Begin an episode from `seed`, standing."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._seen = observation[STATE]
        return observation, info

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Apply torques, which end at -1 and 1."""
        limited = np.clip(action, -1.0, 1.0)
        observation, reward, terminated, truncated, info = self.env.step(limited)
        self._seen = observation[STATE]
        return observation, float(reward), terminated, truncated, info

    def expert_action(self) -> NDArray[np.float32]:
        """What a network that learnt by trying, with the task's reward, does here."""
        return _expert(self._seen)


def _expert(state: NDArray[np.float32]) -> NDArray[np.float32]:
    """Torques (3,) for a state (11,)."""
    weights = _weights()
    values = (state - weights["offset"]) / weights["scale"]
    for layer in ("first", "second"):
        values = weights[f"{layer}.weight"] @ values + weights[f"{layer}.bias"]
        values = values / (1 + np.exp(-values))  # SiLU
    return np.clip(weights["last.weight"] @ values + weights["last.bias"], -1, 1).astype(np.float32)


@cache
def _weights() -> dict[str, NDArray[np.float32]]:
    return load_file(EXPERT)


@final
@dataclass(frozen=True, kw_only=True)
class Hopper(TaskConfig):
    """Hop as fast and as long as you can: 1 for each tick on the leg, its speed, less the effort."""

    has_expert: ClassVar[bool] = True

    @property
    def spec(self) -> Spec:
        """Angles, height and their speeds, in; three torques, as shares of the greatest, out."""
        return Spec(
            observations={STATE: Signal((11,), names=(*PLACES, *SPEEDS))},
            action=Signal((3,), names=JOINTS, low=(-1.0,) * 3, high=(1.0,) * 3),
            rate_hz=125.0,
            task="Hop forward without falling.",
        )

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; success is not to fall for all 1000 ticks."""
        env = gymnasium.make("Hopper-v5", render_mode=render_mode)
        world = GymWorld(env, self.spec, success=lambda terminated, truncated: not terminated)
        return _HopperWorld(world)
