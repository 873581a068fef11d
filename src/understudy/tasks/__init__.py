"""Worlds to practise in, by name; installed packages add theirs by the entry point `understudy.tasks`."""

from __future__ import annotations

import json
from typing import Any

from understudy.config import from_plain
from understudy.names import known, lookup
from understudy.tasks.base import TaskConfig

TASKS: dict[str, str] = {
    "mountain-car": "understudy.tasks.mountain_car:MountainCar",
    "car-racing": "understudy.tasks.car_racing:CarRacing",
    "cart-pole": "understudy.tasks.cart_pole:CartPole",
    "hopper": "understudy.tasks.hopper:Hopper",
    "kuka-sliders": "understudy.tasks.kuka_sliders:KukaSliders",
    "panda-grasp": "understudy.tasks.panda_grasp:PandaGrasp",
    "panda-trace": "understudy.tasks.panda_trace:PandaTrace",
    "pendulum": "understudy.tasks.pendulum:Pendulum",
    "pusht": "understudy.tasks.pusht:PushT",
    "two-arm-transfer": "understudy.tasks.two_arm_transfer:TwoArmTransfer",
}
GROUP = "understudy.tasks"


def task_names() -> tuple[str, ...]:
    """Names of all tasks that are installed."""
    return tuple(sorted(known(TASKS, GROUP)))


def find_task(name: str) -> type[TaskConfig]:
    """Return the configuration class of a task; raises ValueError with the nearest valid name."""
    return lookup("task", name, TASKS, GROUP)


def make_task(text: str) -> TaskConfig:
    """Return a task from its name, or from its name and options: `pusht:observe=pixels`.

    `gym:ENV_ID` is any Gymnasium environment. Raises ValueError with the valid choices.
    """
    if text.startswith("gym:"):
        from understudy.tasks.gym import GymTask

        return GymTask(env_id=text.removeprefix("gym:"))
    name, _, options = text.partition(":")
    cls = find_task(name)
    given: dict[str, Any] = {}
    for option in _split(options):
        field, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"task {text!r}: {option!r} is no option, expected name=value")
        try:
            given[field] = json.loads(value)
        except json.JSONDecodeError:
            given[field] = value
    return from_plain(cls, given, f"task {text!r}")


def _split(options: str) -> list[str]:
    """Options at the commas that are within no brackets."""
    parts, depth = [""], 0
    for letter in options:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part]
