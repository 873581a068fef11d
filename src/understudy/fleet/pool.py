"""Work in spawned worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import final

import torch

from understudy.fleet.dispatch import (
    Alive,
    Done,
    Event,
    Failed,
    Gone,
    Ground,
    Played,
    Ready,
    Unfit,
)
from understudy.fleet.fleet import Fleet
from understudy.fleet.job import Hands, Tell, Work, sendable, told


@final
class Pool(Fleet):
    """`workers` processes of this machine, each with `worlds` worlds side by side and one thread."""

    def _ground(self, work: Work, watch: Tell) -> Ground:
        return _Processes(work)


@final
class _Processes:
    """A ground of processes that are told and tell through a pipe each."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[BaseProcess] = []
        self._ends: dict[Connection, int] = {}  # ours
        self._end_of: dict[int, Connection] = {}

    def start(self) -> int:
        number = len(self._processes)
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with _deaf_to_ctrl_c():
            process.start()
        theirs.close()  # with the worker the last other end goes, and ours knows
        self._processes.append(process)
        self._ends[ours], self._end_of[number] = number, ours
        return number

    def give(self, worker: int, numbers: Sequence[int]) -> None:
        with suppress(OSError):  # it is dead; `events` says so
            self._end_of[worker].send(list(numbers))

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


def _serve(end: Connection, work: Work) -> None:
    """A worker's life: begin, then do one unit after the other until nobody is there."""
    torch.set_num_threads(1)
    try:
        hands = work.begin(lambda shares: end.send(Alive(shares)))
    except Exception as error:
        end.send(Unfit(sendable(error)))
        return
    with suppress(EOFError, OSError):
        end.send(Ready())
        while True:
            end.send(_done(hands, end, end.recv()))


def _done(hands: Hands, end: Connection, numbers: list[int]) -> Event:
    try:
        for number, result in hands.do(numbers):
            end.send(Played(number, result))
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
