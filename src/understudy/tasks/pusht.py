"""PushT (Chi et al. 2023, arXiv 2303.04137): push a T-shaped block onto its outline; gym-pusht's physics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from understudy.data.formats.pusht import (
    BLOCK_NAMES,
    IMAGE,
    MIRRORED_TEXT,
    TASK_TEXT,
    block_state,
)
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec
from understudy.tasks import gym  # also readies pygame for a machine without a screen
from understudy.tasks.base import LEFT_AND_RIGHT, UP_AND_DOWN, Controls, TaskConfig

SIZE_PX = 512.0
SPEED_PX_S = 150.0  # of the keys


@final
class _PushTWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Replaces gym-pusht's observation by the signals of the recorded demonstrations."""

    def __init__(self, env: gymnasium.Env[Any, Any], spec: Spec) -> None:
        RecordConstructorArgs.__init__(self, spec=spec)
        super().__init__(env)
        self.signals = spec
        self.observation_space = gym.observation_space(spec)
        self.action_space = gym.space_of(spec.action)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Place agent and block at random, from `seed`."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation), info

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Move the agent towards the commanded pixel (2,) for a tenth of a second."""
        within = np.clip(action, 0.0, SIZE_PX)
        observation, reward, terminated, truncated, info = self.env.step(within)
        info = {**info, "executed_action": np.asarray(within, np.float32)}
        return self._seen(observation), float(reward), bool(terminated), bool(truncated), info

    def _seen(self, observation: Any) -> dict[str, NDArray[Any]]:
        world: Any = self.env.unwrapped
        seen: dict[str, NDArray[Any]] = {
            STATE: np.array(world.agent.position, np.float32),
        }
        if ENVIRONMENT_STATE in self.signals.observations:
            x, y = world.block.position
            seen[ENVIRONMENT_STATE] = block_state(x, y, world.block.angle)
        if IMAGE in self.signals.observations:
            seen[IMAGE] = observation["pixels"]
        return seen


@final
@dataclass(frozen=True, kw_only=True)
class PushT(TaskConfig):
    """Cover 95 % of the outline within 300 steps; the reward is the coverage over 0.95, at most 1."""

    score: ClassVar[Literal["return", "max_reward"]] = "max_reward"
    controls: ClassVar[Controls | None] = Controls(
        begin=((STATE, 0), (STATE, 1)),
        push={
            **{"left": (0, -SPEED_PX_S), "right": (0, SPEED_PX_S)},
            **{"up": (1, -SPEED_PX_S), "down": (1, SPEED_PX_S)},
        },
        pad={**LEFT_AND_RIGHT, **UP_AND_DOWN},
        says=("arrows: move the agent's target",),
    )

    observe: Literal["state", "pixels"] = "state"
    """state: the block's position and angle; pixels: a 96 x 96 picture instead."""
    goal: Literal["original", "mirrored"] = "original"
    """Where the outline lies: as published, or its mirror image, another task of the same shapes."""

    @property
    def spec(self) -> Spec:
        """The agent's position, and the block's pose or a picture, in; the agent's target out."""
        position = Signal((2,), unit="pixel", names=("agent_x", "agent_y"))
        seen = (
            {ENVIRONMENT_STATE: Signal((4,), names=BLOCK_NAMES)}
            if self.observe == "state"
            else {IMAGE: Signal((96, 96, 3), "uint8")}
        )
        return Spec(
            observations={STATE: position, **seen},
            action=Signal(
                (2,), unit="pixel", names=("x", "y"), low=(0.0, 0.0), high=(SIZE_PX, SIZE_PX)
            ),
            rate_hz=10.0,
            task=TASK_TEXT if self.goal == "original" else MIRRORED_TEXT,
        )

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; raises ValueError where gym-pusht is not installed."""
        try:
            import gym_pusht  # noqa: F401  (makes its environments known to gymnasium)

            from understudy.tasks.pusht_coverage import Coverage
        except ModuleNotFoundError as error:
            raise ValueError(
                f"pusht needs {error.name}: pip install 'understudy[pusht]'"
            ) from error
        env = gymnasium.make(
            "gym_pusht/PushT-v0",
            obs_type="state" if self.observe == "state" else "pixels_agent_pos",
            render_mode=render_mode or ("rgb_array" if self.observe == "pixels" else None),
            disable_env_checker=True,
        )
        if self.goal == "mirrored":
            _mirror_goal(env.unwrapped)
        inner: Any = env.unwrapped
        inner._get_coverage = Coverage(inner)
        return _PushTWorld(env, self.spec)


def _mirror_goal(world: Any) -> None:
    """Let each reset lay the outline as its mirror image; gym-pusht has no option for it."""
    setup = world._setup

    def mirrored() -> None:
        setup()
        x, y, angle = world.goal_pose
        world.goal_pose = np.array([SIZE_PX - x, y, -angle])

    world._setup = mirrored
