"""Work on a Ray cluster: whole episodes to an actor of Ray's, never single steps."""

from __future__ import annotations

import os
import queue
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, final

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
from understudy.fleet.fleet import PATIENCE_S, Fleet, Idle
from understudy.fleet.job import Hands, Tell, Work, sendable, told

TOGETHER_S = 0.5  # what a worker says within it travels together: the head pays by the message


@final
class OnRay(Fleet):
    """`workers` of a Ray cluster, one processor each, with `worlds` worlds side by side.

    `address` is that of a cluster that runs (HOST:PORT, or auto for one on this machine); without
    it one is started here for as long as this process lives, whatever else runs and whatever
    RAY_ADDRESS says, its dashboard off, and calls to it need a token. Files that the task or the
    actor name (a checkpoint) must be found by that path on every machine.
    """

    def __init__(
        self, workers: int, worlds: int = 16, address: str = "", patience_s: float = PATIENCE_S
    ) -> None:
        super().__init__(workers, worlds, patience_s)
        self.address, self._ray = address, _imported(is_own=not address)

    def _ground(self, work: Work, watch: Tell, idle: Idle) -> Ground:
        self._join()
        return _Cluster(self._ray, work, idle)

    def _end(self, worker: Any) -> None:
        self._ray.kill(worker)

    def _join(self) -> None:
        """Be part of the cluster, unless this process is already; begin one where there is no address."""
        ray = self._ray
        if ray.is_initialized():
            return
        quiet = {"log_to_driver": False, "configure_logging": False}
        if self.address:
            ray.init(address=self.address, **quiet)
        else:
            here = {"_node_ip_address": "127.0.0.1", "include_dashboard": False}
            ray.init(address="local", num_cpus=self.workers, **here, **quiet)


def _imported(is_own: bool) -> Any:
    """Ray, told at the only moment when it listens that calls to a cluster need a token.

    A cluster of one's own gets a new one; for others Ray looks where its documentation says.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        if is_own:
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ValueError(
            f"--fleet ray needs {error.name}: pip install 'understudy[ray]'"
        ) from error
    return ray


@final
class _Cluster:
    """A ground of Ray's actors. Each tells what happens through a stream, which ends with its unit."""

    def __init__(self, ray: Any, work: Work, idle: Idle) -> None:
        self._ray, self._work, self._idle = ray, ray.put(work), idle
        self._actors: list[Any] = []
        self._streams: dict[Any, int] = {}

    def start(self) -> int:
        number = len(self._actors)
        remote = self._ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        actor = self._idle.workers.pop() if self._idle.workers else remote.remote()
        self._actors.append(actor)
        self._streams[actor.begin.options(num_returns="streaming").remote(self._work)] = number
        return number

    def give(self, worker: int, numbers: Sequence[int]) -> None:
        stream = self._actors[worker].do.options(num_returns="streaming").remote(list(numbers))
        self._streams[stream] = worker

    def events(self, timeout_s: float) -> list[tuple[int, Event]]:
        events: list[tuple[int, Event]] = []
        for stream in self._ready(timeout_s):
            number = self._streams.get(stream)
            if number is None:  # of a worker that has just been found dead
                continue
            try:
                events += [(number, event) for event in self._ray.get(next(stream))]
            except StopIteration:
                del self._streams[stream]
            except self._ray.exceptions.RayError as error:
                self._streams = {s: n for s, n in self._streams.items() if n != number}
                events.append((number, Gone(" ".join(str(error).split())[:300])))
        return events

    def _ready(self, timeout_s: float) -> list[Any]:
        """All streams of which something came, once there is one."""
        streams = list(self._streams)
        ready, others = self._ray.wait(streams, timeout=timeout_s, fetch_local=False)
        if ready and others:
            count = len(streams)
            ready, _ = self._ray.wait(streams, num_returns=count, timeout=0, fetch_local=False)
        return ready

    def release(self, worker: int) -> None:
        if not self._idle.is_kept:
            self.kill(worker)
        else:
            self._idle.workers.append(self._actors[worker])

    def kill(self, worker: int) -> None:
        self._ray.kill(self._actors[worker])
        self._streams = {s: n for s, n in self._streams.items() if n != worker}


@final
class _Worker:
    """What runs in a process of the cluster; it works in a thread, so that it can say that it lives."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._said = queue.SimpleQueue[Event]()
        self._hands: Hands | None = None

    def begin(self, work: Work) -> Iterator[list[Event]]:
        try:
            self._hands = work.begin(lambda shares: self._said.put(Alive(shares)), self._hands)
        except Exception as error:
            yield [Unfit(sendable(error))]
            return
        yield [Ready()]

    def do(self, numbers: list[int]) -> Iterator[list[Event]]:
        """Yield what was said since the last message; the last one ends with Done or Failed."""
        threading.Thread(target=self._do, args=(numbers,), daemon=True).start()
        said: list[Event] = []
        while not (said and isinstance(said[-1], Done | Failed)):
            said = self._heard()
            yield said

    def _heard(self) -> list[Event]:
        """The next word and what is said soon after it, not waiting once all is said."""
        said = [self._said.get()]
        until = time.monotonic() + TOGETHER_S
        while not isinstance(said[-1], Done | Failed):
            try:
                said.append(self._said.get(timeout=max(0.0, until - time.monotonic())))
            except queue.Empty:
                break
        return said

    def _do(self, numbers: list[int]) -> None:
        assert self._hands is not None
        try:
            for number, result in self._hands.do(numbers):
                self._said.put(Played(number, result))
        except Exception as error:
            self._said.put(Failed(told(error)))
        else:
            self._said.put(Done())
