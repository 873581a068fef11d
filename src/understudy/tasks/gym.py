"""Any Gymnasium environment with vector or image observations, as a world."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from understudy.spec import ENVIRONMENT_STATE, IMAGES, STATE, Signal, Spec
from understudy.tasks.base import TaskConfig

# Without a screen pygame needs its dummy driver, and MuJoCo a context without a window.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
if sys.platform == "linux":
    os.environ.setdefault("MUJOCO_GL", "egl")

_KEYS = {
    "state": STATE,
    "agent_pos": STATE,
    "observation": STATE,
    "environment_state": ENVIRONMENT_STATE,
    "pixels": "observation.image",
}


@final
class GymWorld(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Gives an environment's observations and actions our keys, dtypes and shapes.

    A vector becomes `observation.state`, an image (Y, X, 3) uint8 a camera; the entries of a Dict
    keep their names behind `observation.`. A Discrete action becomes (1,) int64. `success`, if
    given, judges each step and takes the place of the environment's own `is_success`.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        spec: Spec | None = None,
        success: Callable[[bool, bool], bool] | None = None,
    ) -> None:
        RecordConstructorArgs.__init__(self, spec=spec, success=success)
        super().__init__(env)
        self.signals = spec or spec_of(env)
        self._success = success
        self._key_of = _keys_of(env.observation_space)
        self._discrete = isinstance(env.action_space, spaces.Discrete)
        self.observation_space = observation_space(self.signals)
        self.action_space = space_of(self.signals.action)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Begin an episode from `seed`."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._named(observation), info

    def step(
        self, action: Any
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Apply one command (A,)."""
        given = int(action[0]) if self._discrete else action
        observation, reward, terminated, truncated, info = self.env.step(given)
        if self._success is not None:
            info = {**info, "is_success": self._success(bool(terminated), bool(truncated))}
        return self._named(observation), float(reward), bool(terminated), bool(truncated), info

    def _named(self, observation: Any) -> dict[str, NDArray[Any]]:
        parts = observation if isinstance(observation, Mapping) else {"": observation}
        return {
            key: np.asarray(parts[name], self.signals.observations[key].dtype)
            for name, key in self._key_of.items()
        }


def spec_of(env: gymnasium.Env[Any, Any]) -> Spec:
    """Derive the Spec of any environment; raises ValueError where it has no place in one."""
    space, keys = env.observation_space, _keys_of(env.observation_space)
    parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
    identifier = env.spec.id if env.spec is not None else type(env.unwrapped).__name__
    return Spec(
        observations={keys[name]: _signal(str(name), parts[name]) for name in keys},
        action=_action_signal(env.action_space),
        rate_hz=float(env.metadata.get("render_fps") or 30),
        task=identifier,
    )


def _keys_of(space: spaces.Space[Any]) -> dict[str, str]:
    """Our key of each entry of an observation space; "" is the space itself."""
    if isinstance(space, spaces.Dict):
        names = [str(name) for name in space.spaces]
        keys = {name: _KEYS.get(name, f"observation.{name}") for name in names}
        for name in names:
            if _is_image(space.spaces[name]) and name != "pixels":
                keys[name] = f"{IMAGES}{name}"
        if len(set(keys.values())) < len(keys):
            keys = {name: f"observation.{name}" for name in names}
        return keys
    return {"": f"{IMAGES}camera" if _is_image(space) else STATE}


def _is_image(space: spaces.Space[Any]) -> bool:
    shape = space.shape or ()
    return space.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3


def _signal(name: str, space: spaces.Space[Any]) -> Signal:
    where = f"observation {name!r}" if name else "the observation"
    if not isinstance(space, spaces.Box):
        raise ValueError(f"{where} is {space}; vectors and images (Y, X, 3) uint8 are understood")
    if _is_image(space):
        return Signal(shape=space.shape, dtype="uint8")
    if len(space.shape) != 1:
        raise ValueError(
            f"{where} has shape {space.shape} {space.dtype}; "
            "vectors and images (Y, X, 3) uint8 are understood"
        )
    return Signal(shape=space.shape)


def _action_signal(space: spaces.Space[Any]) -> Signal:
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return Signal(shape=(1,), dtype="int64", choices=int(space.n))
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return Signal(
            shape=space.shape,
            low=tuple(float(v) for v in space.low),
            high=tuple(float(v) for v in space.high),
        )
    raise ValueError(f"the action is {space}; Box vectors and Discrete from 0 are understood")


def observation_space(spec: Spec) -> spaces.Dict:
    """The Gymnasium space of a Spec's observations."""
    return spaces.Dict({key: space_of(signal) for key, signal in spec.observations.items()})


def space_of(signal: Signal) -> spaces.Space[Any]:
    """The Gymnasium space of one signal."""
    if signal.choices is not None:
        return spaces.MultiDiscrete(np.full(signal.shape, signal.choices, np.int64))
    if signal.dtype == "uint8":
        return spaces.Box(0, 255, signal.shape, np.uint8)
    dtype = np.dtype(signal.dtype).type
    low = np.array(signal.low or [-np.inf] * signal.size, dtype).reshape(signal.shape)
    high = np.array(signal.high or [np.inf] * signal.size, dtype).reshape(signal.shape)
    return spaces.Box(low, high, dtype=dtype)


@final
@dataclass(frozen=True, kw_only=True)
class GymTask(TaskConfig):
    """A registered Gymnasium environment, by its id."""

    env_id: str

    @cached_property
    def _spec(self) -> Spec:
        world = self.build()
        spec = world.get_wrapper_attr("signals")
        world.close()
        return spec

    @property
    def spec(self) -> Spec:
        """What the environment's own spaces say."""
        return self._spec

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Make the environment; raises ValueError where its name or its spaces are not usable."""
        try:
            env = gymnasium.make(self.env_id, render_mode=render_mode)
        except (gymnasium.error.DependencyNotInstalled, ModuleNotFoundError) as error:
            raise ValueError(
                f"gym:{self.env_id} needs a package that is missing: {error} "
                "(pip install 'understudy[classic]' has what Gymnasium's own environments need)"
            ) from error
        except gymnasium.error.Error as error:
            raise ValueError(f"gym:{self.env_id} is not to be had: {error}") from error
        return GymWorld(env)
