"""`understudy collect --device keyboard`: a person shows a task in a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from understudy.cli.options import plural
from understudy.collect.keys import Keys
from understudy.collect.source import Script, Shown, Source, Stopped
from understudy.data.store import Dataset
from understudy.rollout import rollouts
from understudy.tasks.base import TaskConfig
from understudy.tasks.paced import Paced


def teleoperate(
    task: TaskConfig,
    opened: Callable[[], tuple[Dataset, Sequence[int]]],
    episodes: int,
    keep: Literal["all", "successes"],
    script: Path | None,
) -> None:
    """Record until as many episodes are kept as asked for, or the window is closed.

    Each is saved before the next can begin; after the last one, a person may still undo it. The
    dataset is `opened` when all else is there. Raises ValueError for a task without keys, RuntimeError
    where there is no screen.
    """
    if task.keys is None:
        raise ValueError(f"{type(task).__name__} has no keys to be led with")
    source: Source = Script.read(script) if script else _window(task)
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

    world = shown if script else Paced(shown)
    try:
        actor = Keys(task.keys, task.spec, source, undo)
        for episode in rollouts([world], actor, seeds):
            if keep == "all" or episode.success:
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


def _window(task: TaskConfig) -> Source:
    from understudy.collect.window import Window

    return Window(f"Understudy: {task.spec.task}")
