"""One policy in the head for the worlds of two workers, against a policy in each: episodes a second.

A prototype that lives here alone: two processes step worlds, what is seen and commanded lies in shared memory,
and the head asks its policy for all worlds in one batch, with one thread and with two, of which the faster one
counts. Worlds that wait for a chunk fill batches, as everywhere. Against it stands `Pool(2)`. Both have sixteen
worlds in each worker, the same policies and the same seeds; workers have begun before the clock runs. First
few episodes are played with batches of one width, in which all commands are the same: returns have to be equal.
"""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import results
import torch
from fleet_grounds import FIRST_SEED, TASKS, WORLDS, actor_of, named
from numpy.typing import NDArray

from understudy.evaluate.measure import outcome_of
from understudy.fleet import Fleet, PolicyActor, Pool, played
from understudy.spec import ACTION, Spec
from understudy.tasks import make_task
from understudy.tasks.base import TaskConfig

# (task, policy): how many episodes are played
CASES = {("pusht", "diffusion"): 128, ("pusht", "mlp"): 192, ("pusht-pixels", "mlp"): 64}
WORKERS = 2
COUNT = WORKERS * WORLDS
REST, STEP, RESET = range(3)  # what a world is told
Table = dict[str, NDArray[Any]]  # {what: a row for each world}


def measure(folder: Path, repeats: int, share: float) -> list[results.Row]:
    """Rows of the prototype, and what it is to a pool."""
    rows: list[results.Row] = []
    for (task, policy), episodes in CASES.items():
        config = make_task(TASKS[task])
        seeds = range(FIRST_SEED, FIRST_SEED + max(4, round(share * episodes)))
        narrow, wide = (actor_of(folder, task, policy, width) for width in (WORLDS, COUNT))
        found: dict[str, list[float]] = {"pool": [], "1": [], "2": []}
        with Pool(WORKERS, WORLDS) as pool, stage(config) as worlds:
            begin = seeds[: max(4, len(seeds) // 8)]
            expected = by_pool(pool, config, narrow, begin)
            if not np.allclose(worlds.play(narrow, begin), expected, rtol=1e-9, atol=0):
                raise RuntimeError(
                    f"{task} {policy}: the head's episodes are not those of the pool"
                )
            for _ in range(repeats):
                for way, times in found.items():
                    torch.set_num_threads(1 if way == "pool" else int(way))
                    began = time.perf_counter()
                    if way == "pool":
                        by_pool(pool, config, narrow, seeds)
                    else:
                        worlds.play(wide, seeds)
                    times.append(time.perf_counter() - began)
        torch.set_num_threads(1)
        rows += rows_of(named("central", task, policy), len(seeds), found)
        print(named("central", task, policy), found, flush=True)
    return rows


def rows_of(case: str, episodes: int, found: Mapping[str, Sequence[float]]) -> list[results.Row]:
    """Rows of one case; `found` are the seconds of each way."""
    best = min(("1", "2"), key=lambda way: np.median(found[way]))
    ratios = [pool / head for pool, head in zip(found["pool"], found[best], strict=True)]
    rates = {
        name: [episodes / s for s in found[way]] for name, way in (("", best), ("pool_", "pool"))
    }
    return [
        *(results.median_row(case, f"{name}episodes_per_s", values, "episodes/s", [])
          for name, values in rates.items()),
        results.median_row(case, "ratio_to_pool", ratios, "ratio", []),
        results.median_row(case, "threads", [int(best)], "threads", []),
    ]  # fmt: skip


def by_pool(
    pool: Fleet, task: TaskConfig, actor: PolicyActor, seeds: Sequence[int]
) -> list[tuple[float, int]]:
    """Return and ticks of each episode."""
    outcomes = played(pool.play(task, actor, seeds, outcome_of))
    return [(outcome.row.return_, outcome.row.length) for outcome in outcomes]


class Stage:
    """Worlds in other processes, their observations and commands in tables of shared memory."""

    def __init__(self, task: TaskConfig, table: Table, bells: Sequence[tuple[Any, Any]]) -> None:
        self._task, self._table, self._bells = task, table, bells

    def play(self, config: PolicyActor, seeds: Sequence[int]) -> list[tuple[float, int]]:
        """Play all seeds, as `rollouts` does; returns return and ticks of each episode."""
        actor, table = config.build(self._task.spec), self._table
        seen = {key: table[key] for key in self._task.spec.observations}
        waiting, place = deque(enumerate(seeds)), np.full(COUNT, -1)
        earned: list[tuple[float, int]] = [(0.0, 0)] * len(seeds)
        sums, ticks = np.zeros(COUNT), np.zeros(COUNT, np.int64)
        while True:
            active = place >= 0
            table["told"][:] = REST
            if active.any():
                decision = actor.act(seen, {"active": active, "tick": ticks.copy()})
                acting = active if decision.waiting is None else active & ~decision.waiting
                table[ACTION][acting] = decision.command[acting]
                table["told"][acting] = STEP
            for slot in np.flatnonzero(~active)[: len(waiting)]:
                place[slot], table["seed"][slot] = waiting.popleft()
                table["told"][slot] = RESET
            if not table["told"].any():
                return earned
            self._exchange()
            stepped, new = table["told"] == STEP, table["told"] == RESET
            sums += np.where(stepped, table["reward"], 0.0)
            ticks += stepped
            for slot in np.flatnonzero(stepped & table["ended"]):
                earned[place[slot]] = (float(sums[slot]), int(ticks[slot]))
                place[slot] = -1
            sums[new], ticks[new] = 0.0, 0
            if new.any():
                actor.reset(new, table["seed"].copy())

    def _exchange(self) -> None:
        for go, _ in self._bells:
            go.release()
        for _, done in self._bells:
            done.acquire()


@contextmanager
def stage(task: TaskConfig) -> Iterator[Stage]:
    """Begin the workers, and end them."""
    context = multiprocessing.get_context("spawn")
    memory = SharedMemory(create=True, size=sum(size for *_, size in layout(task.spec)))
    bells = [(context.Semaphore(0), context.Semaphore(0)) for _ in range(WORKERS)]
    workers = [
        context.Process(target=serve, args=(task, memory.name, number, *pair), daemon=True)
        for number, pair in enumerate(bells)
    ]
    table = tables(task.spec, memory)
    try:
        for worker in workers:
            worker.start()
        for _, done in bells:
            done.acquire()
        yield Stage(task, table, bells)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
        table.clear()
        memory.close()
        memory.unlink()


def serve(task: TaskConfig, memory: str, number: int, go: Any, done: Any) -> None:
    """A worker's life: step and reset its worlds as told."""
    torch.set_num_threads(1)
    kept = SharedMemory(memory)
    table = tables(task.spec, kept)
    worlds = {slot: task.build() for slot in range(number * WORLDS, (number + 1) * WORLDS)}
    while True:
        done.release()
        go.acquire()
        for slot, world in worlds.items():
            told = table["told"][slot]
            if told == REST:
                continue
            if told == RESET:
                seen, _ = world.reset(seed=int(table["seed"][slot]))
            else:
                seen, reward, terminated, truncated, _ = world.step(table[ACTION][slot].copy())
                table["reward"][slot] = reward
                table["ended"][slot] = terminated or truncated
            for key in task.spec.observations:
                table[key][slot] = seen[key]


def layout(spec: Spec) -> list[tuple[str, tuple[int, ...], str, int]]:
    """What lies in the shared memory, one after the other: name, shape, dtype, bytes up to the next."""
    parts = [(key, (COUNT, *s.shape), s.dtype) for key, s in spec.observations.items()]
    parts.append((ACTION, (COUNT, *spec.action.shape), spec.action.dtype))
    parts += [("reward", (COUNT,), "float32"), ("seed", (COUNT,), "int64")]
    parts += [("told", (COUNT,), "int8"), ("ended", (COUNT,), "bool")]
    sizes = [np.dtype(dtype).itemsize * prod(shape) for _, shape, dtype in parts]
    return [(*part, -(-size // 64) * 64) for part, size in zip(parts, sizes, strict=True)]


def tables(spec: Spec, memory: SharedMemory) -> Table:
    """The arrays in a shared memory, laid out by `layout`."""
    found, at = {}, 0
    for name, shape, dtype, size in layout(spec):
        found[name] = np.ndarray(shape, dtype, memory.buf, at)
        at += size
    return found
