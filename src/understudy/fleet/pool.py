"""Work in spawned worker processes of this machine."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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
from understudy.fleet.fleet import Fleet, Idle
from understudy.fleet.job import Hands, Tell, Work, sendable, told


@final
class Pool(Fleet):
    """`workers` processes of this machine, each with `worlds` worlds side by side and one thread."""

    def _ground(self, work: Work, watch: Tell, idle: Idle) -> Ground:
        return _Processes(work, idle)

    def _end(self, worker: _Worker) -> None:
        worker.process.kill()
        worker.process.join()
        worker.end.close()


@final
@dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    end: Connection  # ours


@final
class _Processes:
    """A ground of processes that are told and tell through a pipe each."""

    def __init__(self, work: Work, idle: Idle) -> None:
        self._work, self._idle = work, idle
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._heard: dict[Connection, int] = {}  # whom to listen to

    def start(self) -> int:
        number = len(self._workers)
        if self._idle.workers:
            worker = self._idle.workers.pop()
            with suppress(OSError):  # it is dead; `events` says so
                worker.end.send(self._work)
        else:
            worker = self._begun()
        self._workers.append(worker)
        self._heard[worker.end] = number
        return number

    def _begun(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._work), daemon=True)
        with _deaf_to_ctrl_c():
            process.start()
        theirs.close()  # with the worker the last other end goes, and ours knows
        return _Worker(process, ours)

    def give(self, worker: int, numbers: Sequence[int]) -> None:
        with suppress(OSError):  # it is dead; `events` says so
            self._workers[worker].end.send(list(numbers))

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        for end in wait(list(self._heard), timeout_s):
            assert isinstance(end, Connection)
            number = self._heard[end]
            try:
                events.append((number, end.recv()))
            except (EOFError, OSError):
                del self._heard[end]
                end.close()
                process = self._workers[number].process
                process.join()
                events.append((number, Gone(_ended(process.exitcode))))
        return events

    def release(self, worker: int) -> None:
        if not self._idle.is_kept:
            self.kill(worker)
        else:
            self._heard.pop(self._workers[worker].end, None)
            self._idle.workers.append(self._workers[worker])

    def kill(self, worker: int) -> None:
        process, end = self._workers[worker].process, self._workers[worker].end
        process.kill()
        process.join()
        if self._heard.pop(end, None) is not None:
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
    """A worker's life: begin, then do one unit after the other, of other work too, until nobody is there."""
    torch.set_num_threads(1)
    hands: Hands | None = None
    message: Work | list[int] = work
    with suppress(EOFError, OSError):
        while True:
            if isinstance(message, list):
                assert hands is not None
                end.send(_done(hands, end, message))
            else:
                try:
                    hands = message.begin(lambda shares: end.send(Alive(shares)), hands)
                except Exception as error:
                    end.send(Unfit(sendable(error)))
                    return
                end.send(Ready())
            message = end.recv()


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
