"""What a task is: plain data that builds a world to practise in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import gymnasium

from understudy.spec import Spec

# What a gamepad's left stick and cross press.
LEFT_AND_RIGHT = {"left x-": "left", "left x+": "right", "dpad left": "left", "dpad right": "right"}
UP_AND_DOWN = {"left y-": "up", "left y+": "down", "dpad up": "up", "dpad down": "down"}


@final
@dataclass(frozen=True, kw_only=True)
class Controls:
    """What hands do to a task's command: keys, named as pygame names them ("w", "left", "space"), gamepad, sliders.

    `begin` is the command at the start of an episode, element by element: a number, or where it is
    seen (key of the observation, index).
    """

    begin: tuple[float | tuple[str, int], ...]
    push: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """While held: the element that changes, and by how much in a second."""
    hold: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """While held: the element, and its value; released, it is as at the beginning."""
    put: Mapping[str, tuple[int, tuple[float, ...]]] = field(default_factory=dict)
    """When pressed: the element, and the values that it takes in turn."""
    choose: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """When pressed: what the keys above lead from then on, and the element where it begins, which is added to
    theirs. An episode begins with the first."""
    pad: Mapping[str, str] = field(default_factory=dict)
    """A gamepad's buttons ("a") and halves of sticks ("left x-"), and the key that each presses."""
    clock: int | None = None
    """The element that is the time since the start in seconds: no hand sets it."""
    says: tuple[str, ...] = ()
    """A line each, for people."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys; one with two meanings twice."""
        return (*self.push, *self.hold, *self.put, *self.choose)

    @property
    def starts(self) -> tuple[int, ...]:
        """Where each part that keys can be chosen to lead begins."""
        return tuple(start for _, start in self.choose.values()) or (0,)


@final
@dataclass(frozen=True, kw_only=True)
class Canvas:
    """The box, in metres, in which people draw a curve for a task's expert to follow."""

    low_m: tuple[float, float, float]
    high_m: tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class TaskConfig(ABC):
    """The configuration of one task. It travels to worker processes, so it holds plain data only.

    Worlds have a Dict observation space with the keys of `spec`, carry it as `signals`, put
    `is_success` into the info of each step (where success is defined) and, if `has_expert`, answer
    `expert_action()` with the action (A,) of the expert in the present state.
    """

    has_expert: ClassVar[bool] = False
    controls: ClassVar[Controls | None] = None  # for people
    canvas: ClassVar[Canvas | None] = None  # for people who draw
    score: ClassVar[Literal["return", "max_reward"]] = "return"  # what reports call the score

    @property
    @abstractmethod
    def spec(self) -> Spec:
        """What is seen and commanded in this task's worlds."""

    def following(self, curve: Path) -> TaskConfig:
        """The same task with a drawn curve: a text file of lines x y z. Raises ValueError where it has none."""
        raise ValueError(f"{type(self).__name__} follows no curve, {curve} or another")

    @abstractmethod
    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build a world; with render_mode "rgb_array" its `render()` gives (Y, X, 3) uint8."""


def judges(task: TaskConfig) -> bool:
    """Whether the worlds of a task say what succeeds. No configuration says it: one is built, and plays a tick."""
    with closing(task.build()) as world:
        world.reset(seed=0)
        world.action_space.seed(0)
        *_, info = world.step(world.action_space.sample())
    return info.get("is_success") is not None
