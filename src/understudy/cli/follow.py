"""What a terminal shows and keeps of a policy that learns: bar, metrics, checkpoints, a way out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text
from torch import Tensor

from understudy.learn.resume import state_files
from understudy.learn.supervised import TrainingState
from understudy.policies.base import Policy
from understudy.run import Run, find_checkpoint


class Report(Protocol):
    """What every learner says from time to time."""

    @property
    def step(self) -> int: ...
    @property
    def state(self) -> TrainingState: ...


R = TypeVar("R", bound=Report)


def follow(
    run: Run,
    policy: Policy,
    reports: Iterator[R],
    *,
    steps: int,
    row: Callable[[R], Mapping[str, Any] | None],
    said: Callable[[R], str],
    weights: Callable[[R], Mapping[str, Tensor]],
    again: str,
    watch: Callable[[float], None] = lambda share: None,
) -> int:
    """Log, save and draw what a learner reports on its way to `steps`, 0 where there is nothing to learn.

    `row` is a report as a line of metrics.jsonl, None if it is not for the record, `said` what the bar says of
    it, `weights` are those to save. A learner whose steps come in wholes, as whole episodes do, may end with more
    than `steps`. Returns the exit code: 130 if interrupted on the way, when `again` is the
    command that goes on. `watch` hears which share of the steps is done.
    """
    plan = run.config
    every = max(1, steps // max(1, plan["checkpoints"]))
    saved, last = -1, None

    def save(report: R) -> None:
        files = state_files(report.state)
        keep = plan.get("keep", 3)
        run.save(report.step, plan["policy"], policy, weights(report), files, keep=keep)

    with _bar() as bar, interruptible() as interrupted:
        line = bar.add_task("", total=steps, said="", visible=steps > 0)
        for last in reports:
            bar.update(line, completed=last.step, said=said(last))
            watch(last.step / max(1, steps))
            noted = row(last)
            if noted is not None:
                run.log(noted)
            if last.step // every > max(saved, 0) // every or interrupted:
                save(last)
                saved = last.step
            if interrupted:
                break
    if last is not None and saved != last.step:
        save(last)
    if interrupted and last is not None and last.step < steps:
        print(f"interrupted at step {last.step:,}; saved. Go on: {again}")
        return 130
    print(f"done: {find_checkpoint(run.folder)}")
    return 0


def accompany(reports: Iterator[Report]) -> int:
    """Train along with the process that keeps the run."""
    with interruptible() as interrupted:
        try:
            for _ in reports:
                pass
        except RuntimeError:
            if interrupted:  # the first process has saved and gone
                return 130
            raise
    return 0


class _Said(ProgressColumn):
    """What the line says of a report: cut short where there is no room, on the same line."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["said"], no_wrap=True, overflow="ellipsis")


def _bar() -> Progress:
    """On a narrow terminal what is said and the bar give way, counts and times do not."""
    return Progress(
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        BarColumn(bar_width=12),
        _Said(table_column=Column()),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
        TextColumn("left"),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )


@contextmanager
def interruptible() -> Iterator[list[int]]:
    """Within, a first Ctrl+C (or SIGTERM) fills the list that is given; a second one interrupts.

    Beside the main thread, where Ray's workers do what they are asked, nothing can be listened to.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def note(number: int, _: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
