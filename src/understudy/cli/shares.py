"""One bar for many workers: how much of all pieces of work is done, counting what is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, final

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from understudy.cli.console import Console

if TYPE_CHECKING:  # torch, which comes with it, is not for a --help
    from understudy.fleet import Shares

T = TypeVar("T")


@contextmanager
def one_bar(console: Console, count: int, done: int = 0, name: str = "") -> Iterator[Bar]:
    """Within, a bar is shown of `count` pieces, `done` of which were there before."""
    progress = Progress(
        *([TextColumn("{task.fields[name]}", markup=False)] if name else []),
        TextColumn("{task.fields[done]:,}/{task.total:,.0f}"),
        BarColumn(),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        redirect_stdout=False,  # which work in this process sends to a file
    )
    with progress:
        yield Bar(progress, count, done, name)


def watched(
    name: str, count: int, play: Callable[[Callable[[Shares], None]], Iterator[T]]
) -> Iterator[T]:
    """Yield what `play` does, which is told whom to tell how far all of it is, under a bar."""
    with one_bar(Console(), count, name=name) as bar:
        yield from play(bar.watch)


@final
class Bar:
    """Moves with what workers tell; its pieces come in several turns."""

    def __init__(self, progress: Progress, count: int, done: int, name: str) -> None:
        self._progress, self._before = progress, done
        self._line = progress.add_task(
            "", total=count, completed=done, done=done, name=name, said=""
        )
        self._shares = dict[int, float]()
        self._sum, self._done = 0.0, 0

    def watch(self, shares: Shares) -> None:
        """Some of this turn's pieces are so far, {number: share 0..1}."""
        for number, share in shares.items():
            before = self._shares.get(number, 0.0)
            self._shares[number] = share
            self._sum += share - before
            self._done += (share >= 1) - (before >= 1)
        done, completed = self._before + self._done, self._before + self._sum
        self._progress.update(self._line, completed=completed, done=done)
        under_way = len(self._shares) - self._done
        if under_way:
            self.tell(f"{under_way} under way")

    def turn(self) -> None:
        """This turn's pieces are done; they are numbered anew."""
        self._before += len(self._shares)
        self._shares, self._sum, self._done = {}, 0.0, 0
        self.tell("")

    def tell(self, text: str) -> None:
        """Say beside the bar how things are."""
        self._progress.update(self._line, said=text)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, markup=False)
