"""`understudy collect --device keyboard`, `sliders`, `bullet-sliders` or `gamepad`: a person shows a task in a window.

`--device draw`: a person draws curves there, and the task's expert follows them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import gymnasium
import numpy as np

from understudy.actor import Expert, Mixture
from understudy.cli.options import plural
from understudy.collect.gamepad import Gamepad
from understudy.collect.pen import Pen
from understudy.collect.person import Person
from understudy.collect.source import Script, Shown, Source, Stopped, require_screen
from understudy.collect.teleoperator import Teleoperator, has_limits, sliders_of
from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.rollout import rollouts
from understudy.tasks.base import Controls, TaskConfig
from understudy.tasks.paced import Paced

if TYPE_CHECKING:  # torch, which comes with it, is not for those who only show
    from understudy.fleet import PolicyActor

Device = Literal["keyboard", "sliders", "bullet-sliders", "gamepad"]
SLIDERS: tuple[Device, ...] = ("sliders", "bullet-sliders")
Opened = Callable[[], tuple[Dataset, Sequence[int]]]


def teleoperate(
    task: TaskConfig,
    device: Device,
    opened: Opened,
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
    source = _source(task, device, controls, script)
    with _watched(task, source, is_live=script is None) as world:
        dataset, seeds = opened()
        saved = _Saved(dataset, episodes, keep)
        actor = Teleoperator(controls, task.spec, source, saved.undo, device in SLIDERS)
        try:
            for episode in rollouts([world], actor, seeds):
                if saved.are_enough_with(episode, actor.person):
                    break
        except Stopped:
            print("stopped")


def correct(
    task: TaskConfig,
    device: Device,
    learner: PolicyActor,
    seeds: Sequence[int],
    script: Path | None,
) -> Iterator[Episode]:
    """Yield an episode per seed that a policy plays while a person watches, and takes over where they want to.

    Raises ValueError for a task that the device cannot lead, RuntimeError where there is no screen or gamepad, and
    KeyboardInterrupt when the window is closed or the stop key pressed: the rest can be played another time.
    """
    from understudy.learn.gates import PersonGate

    controls = controls_of(task, device)
    policy = learner.build(task.spec)
    source = _source(task, device, controls, script)
    with _watched(task, source, is_live=script is None) as world:
        person = Teleoperator(controls, task.spec, source, None, device in SLIDERS, True)
        gate = PersonGate().build(task.spec)
        try:
            yield from rollouts([world], Mixture(person, policy, gate), seeds)
        except Stopped:
            raise KeyboardInterrupt from None


def draw(
    task: TaskConfig,
    opened: Opened,
    episodes: int,
    keep: Literal["all", "successes"],
    script: Path | None,
) -> None:
    """Record the task's expert on curves that a person draws, until there are enough or the window is closed.

    Raises ValueError for a task that follows no curves, RuntimeError where there is no screen.
    """
    if task.canvas is None:
        raise ValueError(f"{type(task).__name__} follows no curves that could be drawn")
    source: Source = Script.read(script) if script else _window(task, "draw")
    try:
        dataset, seeds = opened()
        saved = _Saved(dataset, episodes, keep)
        pen = Pen(task.canvas, source, saved.undo)
        with tempfile.TemporaryDirectory() as folder:
            curve = Path(folder) / "curve.txt"
            for seed in seeds:
                np.savetxt(curve, pen.draw(), fmt="%.5f")
                world = task.following(curve).build()
                (episode,) = rollouts([world], Expert(), [seed])
                world.close()
                if saved.are_enough_with(episode, pen.person):
                    break
    except Stopped:
        print("stopped")
    finally:
        source.close()


@contextmanager
def _watched(task: TaskConfig, source: Source, is_live: bool) -> Iterator[gymnasium.Env[Any, Any]]:
    """A world that is shown to a person, at the pace of life where that `is_live`; closes world and source.

    Says how many ticks came late.
    """
    with closing(source):
        paced = Paced(Shown(task.build("rgb_array"), source))
        world = paced if is_live else paced.env
        try:
            yield world
        finally:
            world.close()
            if paced.late:
                print(
                    f"{plural(paced.late, 'tick')} came late by half a tick or more: this was slower than life"
                )


@final
class _Saved:
    """The episodes of this session that are kept, the last of which can be undone."""

    def __init__(self, dataset: Dataset, wanted: int, which: Literal["all", "successes"]) -> None:
        self._dataset, self._wanted, self._which = dataset, wanted, which
        self._places: list[int] = []

    def are_enough_with(self, episode: Episode, person: Person) -> bool:
        """Save one more; whether there are as many as wanted, which they still are when the person leaves."""
        self._keep(episode)
        if len(self._places) >= self._wanted:
            person.linger(f"{plural(len(self._places), 'episode')} saved")
        return len(self._places) >= self._wanted

    def _keep(self, episode: Episode) -> None:
        """Save it, unless it failed and only successes are wanted."""
        if self._which == "successes" and episode.success is False:
            print(f"not kept, as it did not succeed: seed {episode.seed} (--keep all keeps it)")
            return
        self._dataset.append(episode)
        self._places.append(len(self._dataset) - 1)
        print(f"saved: seed {episode.seed}, {plural(len(episode), 'tick')}")

    def undo(self) -> str:
        """Exclude the last one; returns what a person is told."""
        if not self._places:
            return "nothing to undo in this session"
        self._dataset.annotate(self._places.pop(), exclude=True)
        return f"undone: the last episode is excluded; {plural(len(self._places), 'episode')} left"


def controls_of(task: TaskConfig, device: Device) -> Controls:
    """What hands do to a task; sliders lead any whose commands have limits.

    They begin where the task says, else in their middle. Raises ValueError for a task that the device cannot lead.
    """
    controls = task.controls
    if device in SLIDERS:
        sliders = sliders_of(task.spec, controls.clock if controls else None)
        return controls or Controls(begin=tuple(slider.value for slider in sliders.values()))
    if controls is None or not controls.keys:
        raise ValueError(f"{type(task).__name__} has no keys to be led with; {_leaders(task)}")
    if device == "gamepad" and not controls.pad:
        raise ValueError(
            f"{type(task).__name__} has no keys that a gamepad could press; --device keyboard leads it"
        )
    return controls


def require_hands(task: TaskConfig, device: Device, script: Path | None) -> None:
    """Raise what `correct` would raise, as far as it can be known beforehand: of task, script and screen."""
    controls_of(task, device)
    if script:
        Script.read(script)
    else:
        require_screen()


def _leaders(task: TaskConfig) -> str:
    """Which devices lead a task without keys."""
    devices = [*(["draw"] if task.canvas else []), *(SLIDERS if has_limits(task.spec) else [])]
    if not devices:
        return (
            "no device leads it, as sliders need numbers between limits; give the task `Controls`"
        )
    return f"--device {', '.join(devices[:-1])} or {devices[-1]} leads it"


def _source(task: TaskConfig, device: Device, controls: Controls, script: Path | None) -> Source:
    source: Source = Script.read(script) if script else _window(task, device)
    return Gamepad(source, controls.pad) if device == "gamepad" else source


def _window(task: TaskConfig, device: Device | Literal["draw"]) -> Source:
    if device == "bullet-sliders":
        from understudy.collect.bullet_window import BulletWindow

        return BulletWindow()
    from understudy.collect.window import Window

    return Window(f"Understudy: {task.spec.task}", device)
