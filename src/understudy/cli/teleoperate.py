"""`understudy collect --device keyboard`, `sliders` or `gamepad`: a person shows a task in a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from understudy.cli.options import plural
from understudy.collect.gamepad import Gamepad
from understudy.collect.source import Script, Shown, Source, Stopped
from understudy.collect.teleoperator import Teleoperator, sliders_of
from understudy.data.store import Dataset
from understudy.rollout import rollouts
from understudy.tasks.base import Controls, TaskConfig
from understudy.tasks.paced import Paced

Device = Literal["keyboard", "sliders", "gamepad"]


def teleoperate(
    task: TaskConfig,
    device: Device,
    opened: Callable[[], tuple[Dataset, Sequence[int]]],
    episodes: int,
    keep: Literal["all", "successes"],
    script: Path | None,
) -> None:
    """Record until as many episodes are kept as asked for, or the window is closed.

    Each is saved before the next can begin; after the last one, a person may still undo it. The
    dataset is `opened` when all else is there. Raises ValueError for a task that the device cannot lead,
    RuntimeError where there is no screen or gamepad.
    """
    controls = controls_of(task, device)
    source: Source = Script.read(script) if script else _window(task, device)
    if device == "gamepad":
        source = Gamepad(source, controls.pad)
    try:
        shown = Shown(task.build("rgb_array"), source)
        dataset, seeds = opened()
    except BaseException:
        source.close()
        raise
    saved: list[int] = []

    def undo() -> str:
        if not saved:
            return "nothing to undo in this session"
        dataset.annotate(saved.pop(), exclude=True)
        return f"undone: the last episode is excluded; {plural(len(saved), 'episode')} left"

    paced = Paced(shown)
    world = shown if script else paced
    try:
        actor = Teleoperator(controls, task.spec, source, undo, device == "sliders")
        for episode in rollouts([world], actor, seeds):
            if keep == "all" or episode.success is not False:
                dataset.append(episode)
                saved.append(len(dataset) - 1)
                print(f"saved: seed {episode.seed}, {plural(len(episode), 'tick')}")
            else:
                print(f"not kept, as it did not succeed: seed {episode.seed} (--keep all keeps it)")
            if len(saved) >= episodes:
                actor.linger(f"{plural(len(saved), 'episode')} saved")
            if len(saved) >= episodes:
                break
    except Stopped:
        print("stopped")
    finally:
        world.close()
        source.close()
        if paced.late:
            print(
                f"{plural(paced.late, 'tick')} came late by half a tick or more: this was slower than life"
            )


def controls_of(task: TaskConfig, device: Device) -> Controls:
    """What hands do to a task; sliders lead any whose commands have limits, from their middle.

    Raises ValueError for a task that the device cannot lead.
    """
    controls = task.controls
    if controls is None and device == "sliders":
        controls = Controls(begin=(0.0,) * task.spec.action.size)
        places = sliders_of(controls, task.spec).values()
        controls = Controls(begin=tuple(slider.value for slider in places))
    if device == "sliders" and controls is not None:
        sliders_of(controls, task.spec)
    elif controls is None or not (controls.push or controls.hold or controls.put):
        raise ValueError(f"{type(task).__name__} has no keys to be led with")
    elif device == "gamepad" and not controls.pad:
        raise ValueError(f"{type(task).__name__} has no keys that a gamepad could press")
    return controls


def _window(task: TaskConfig, device: Device) -> Source:
    from understudy.collect.window import Window

    return Window(f"Understudy: {task.spec.task}", device == "sliders", device == "gamepad")
