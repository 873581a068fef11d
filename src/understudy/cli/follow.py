"""What a terminal shows and keeps of a training that runs: bar, metrics, checkpoints, a way out."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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

from understudy.learn import supervised
from understudy.learn.resume import state_files
from understudy.learn.supervised import LearnConfig, averaged_weights
from understudy.policies.base import Policy
from understudy.run import Run, find_checkpoint


def unwatched(share: float) -> None:
    """Nobody asks how far it is."""


def follow(
    run: Run,
    config: dict[str, Any],
    policy: Policy,
    learning: LearnConfig,
    reports: Iterator[supervised.Progress],
    watch: Callable[[float], None] = unwatched,
) -> int:
    """Log, save and draw what the learner reports; `watch` hears which share of the steps is done."""
    every = max(1, learning.steps // max(1, config["checkpoints"]))
    saved, last = -1, None
    keep = config.get("keep", 3)

    def save(report: supervised.Progress) -> None:
        weights = averaged_weights(policy, report.state)
        files = state_files(report.state)
        run.save(report.step, config["policy"], policy, weights, files, keep=keep)

    with _bar() as bar, interruptible() as interrupted:
        trains = any(p.requires_grad for p in policy.parameters())
        line = bar.add_task("", total=learning.steps, loss="", visible=trains)
        for last in reports:
            bar.update(line, completed=last.step, loss=_line(last))
            watch(last.step / learning.steps)
            if last.is_due:
                run.log(_row(last))
            if last.step // every > max(saved, 0) // every or interrupted:
                save(last)
                saved = last.step
            if interrupted:
                break
    if last is not None and saved != last.step:
        save(last)
    if interrupted and last is not None and last.step < learning.steps:
        again = config.get("resume", f"understudy train --resume {run.folder}")
        print(f"interrupted at step {last.step:,}; saved. Go on: {again}")
        return 130
    print(f"done: {find_checkpoint(run.folder)}")
    return 0


def accompany(reports: Iterator[supervised.Progress]) -> int:
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


def _row(report: supervised.Progress) -> dict[str, Any]:
    held_out = {f"held_out_{name}": value for name, value in (report.held_out or {}).items()}
    return {
        "step": report.step,
        **report.losses,
        **held_out,
        "learning_rate": report.learning_rate,
        "samples_per_s": round(report.samples_per_s),
        "waiting": round(report.waiting, 3),
        "skipped": report.state.skipped,
    }


def _line(report: supervised.Progress) -> str:
    losses = "  ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    waits = f", waits {report.waiting:.0%}" if report.waiting >= 0.005 else ""  # for data
    return f"{losses}  {report.samples_per_s:,.0f} samples/s{waits}"


class _Losses(ProgressColumn):
    """What the line says of the losses: cut short where there is no room, on the same line."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["loss"], no_wrap=True, overflow="ellipsis")


def _bar() -> Progress:
    """On a narrow terminal losses and bar give way, counts and times do not."""
    return Progress(
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        BarColumn(bar_width=12),
        _Losses(table_column=Column()),
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
