"""One bar for many workers: how much of all pieces of work is done, counting what is under way."""

from __future__ import annotations

from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from understudy.fleet import Shares


@final
class Bar:
    """Moves with what workers tell; `count` pieces in all, which come in several turns."""

    def __init__(self, console: Console, count: int) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[done]:,}/{task.total:,.0f}"),
            BarColumn(),
            TextColumn("{task.fields[under_way]} under way"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            redirect_stdout=False,  # which work in this process sends to a file
        )
        self._line = self._progress.add_task("", total=count, done=0, under_way=0)
        self._before, self._shares = 0, dict[int, float]()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def watch(self, shares: Shares) -> None:
        """Some of this turn's pieces are so far, {place: share 0..1}."""
        self._shares |= shares
        done = sum(share >= 1 for share in self._shares.values())
        self._progress.update(
            self._line,
            completed=self._before + sum(self._shares.values()),
            done=self._before + done,
            under_way=len(self._shares) - done,
        )

    def turn(self) -> None:
        """This turn's pieces are done; places are counted from 0 again."""
        self._before, self._shares = self._before + len(self._shares), {}

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, markup=False)
