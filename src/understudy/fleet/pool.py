"""Rollouts in spawned worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar, final

import torch

from understudy.episode import Episode, Lost
from understudy.fleet.actors import ActorConfig
from understudy.fleet.dispatch import (
    Alive,
    Dispatch,
    Done,
    Event,
    Failed,
    Gone,
    Played,
    Ready,
    Unfit,
)
from understudy.fleet.job import Job, Post, played, sendable, told, whole
from understudy.rollout import Recorder
from understudy.tasks.base import TaskConfig

T = TypeVar("T")
PATIENCE_S = 300.0  # a tick may take as long: a large diffusion policy needs minutes for a chunk


@final
class Pool:
    """`workers` processes, each with `worlds` worlds side by side and one thread.

    A worker of which nothing is heard for `patience_s` is killed: its worlds hang.
    """

    def __init__(self, workers: int, worlds: int = 16, patience_s: float = PATIENCE_S) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        if worlds < 1:
            raise ValueError(f"worlds must be at least 1, got {worlds}")
        self.workers, self.worlds, self.patience_s = workers, worlds, patience_s

    def play(
        self,
        task: TaskConfig,
        actor: ActorConfig,
        seeds: Sequence[int],
        of: Callable[[Episode], T],
        recorder: Recorder | None = None,
    ) -> Iterator[T | Lost]:
        """Yield what `of` makes of each seed's episode, or that it is lost; see `Fleet`."""
        ground = _Processes(Job(task, actor, self.worlds, of, recorder))
        unit = unit_of(len(seeds), self.workers, self.worlds)
        return Dispatch[T](ground, seeds, self.workers, unit, self.patience_s).results()

    def rollouts(
        self, task: TaskConfig, actor: ActorConfig, seeds: Sequence[int]
    ) -> Iterator[Episode]:
        """Yield one whole episode per seed, in order; raises RuntimeError for one that is lost."""
        return played(self.play(task, actor, seeds, whole))


def unit_of(count: int, workers: int, worlds: int) -> int:
    """Seeds in a unit: twice as many as worlds, so that these are full most of the time, unless
    some workers would then have none."""
    return max(1, min(2 * worlds, -(-count // workers)))


@final
class _Processes:
    """A ground of processes that are told and tell through a pipe each."""

    def __init__(self, job: Job[Any]) -> None:
        self._job = job
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[BaseProcess] = []
        self._ends: dict[Connection, int] = {}  # ours
        self._end_of: dict[int, Connection] = {}

    def start(self) -> int:
        number = len(self._processes)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._job), daemon=True)
        with _deaf_to_ctrl_c():
            process.start()
        theirs.close()  # with the worker the last other end goes, and ours knows
        self._processes.append(process)
        self._ends[ours], self._end_of[number] = number, ours
        return number

    def give(self, worker: int, seeds: Sequence[int]) -> None:
        with suppress(OSError):  # it is dead; `events` says so
            self._end_of[worker].send(list(seeds))

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        for end in wait(list(self._ends), timeout_s):
            assert isinstance(end, Connection)
            number = self._ends[end]
            try:
                events.append((number, end.recv()))
            except (EOFError, OSError):
                self._forget(number)
                process = self._processes[number]
                process.join()
                events.append((number, Gone(_ended(process.exitcode))))
        return events

    def kill(self, worker: int) -> None:
        self._processes[worker].kill()
        self._processes[worker].join()
        self._forget(worker)

    def _forget(self, worker: int) -> None:
        end = self._end_of.pop(worker, None)
        if end is not None:
            del self._ends[end]
            end.close()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Within, a process begins that leaves Ctrl+C to the one that asked, from its first import on."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there can it be set
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(end: Connection, job: Job[Any]) -> None:
    """A worker's life: build, then play one unit after the other until nobody is there."""
    torch.set_num_threads(1)
    try:
        post = Post(job, lambda: end.send(Alive()))
    except Exception as error:
        end.send(Unfit(sendable(error)))
        return
    with suppress(EOFError, OSError):
        end.send(Ready())
        while True:
            end.send(_played(post, end, end.recv()))


def _played(post: Post[Any], end: Connection, seeds: list[int]) -> Event:
    try:
        for seed, result in post.play(seeds):
            end.send(Played(seed, result))
    except (EOFError, BrokenPipeError):
        raise
    except Exception as error:
        return Failed(told(error))
    return Done()


def _ended(code: int | None) -> str:
    """How a process ended, in words."""
    if code is not None and code < 0:
        return f"the worker was killed by {signal.Signals(-code).name}; out of memory?"
    return f"the worker ended with exit code {code}"
