"""What a ground costs beside the playing: to begin, and for each result at the head.

`start_s`: from the call of `play` to the first result of an episode of cart-pole at random (20 ticks); for
Ray the cluster runs before, and `cluster_start_s` is what it takes to begin one. `head_ms_per_result`: processor time
of the process that asked, from result 1,000 to the last of such episodes, all of them kept as a report
keeps them; `daemons_ms_per_result`: that of Ray's own processes on its machine. `head_mb_per_1000` is how
much more memory these hold after a thousand further results. `wait_ms_of_1000`: one look of `ray.wait` at
1,000 streams of which nothing came. `message_ms`: to read a message with one result; a worker sends what it
has said within half a second in one. `report_ms_of_4000`: what `understudy evaluate` does
with each result of as many, at the head, when it comes in. Bytes are those of pickles, as they travel.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, cast

import results
import torch
from fleet_grounds import FIRST_SEED, GROUNDS, TASKS, WORLDS, actor_of

from understudy.cli.evaluate import Evaluate, measured
from understudy.episode import Lost
from understudy.evaluate.measure import outcome_of
from understudy.fleet import Fleet, Here, RandomActor
from understudy.fleet.dispatch import Played
from understudy.fleet.job import Tell
from understudy.fleet.on_ray import OnRay
from understudy.tasks import make_task

LEAVE_OUT, RESULTS = 1000, 5000
REPORTS = 4000, 16_000  # rows
STREAMS = 1000
TICK_S = os.sysconf("SC_CLK_TCK") ** -1
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass(frozen=True)
class Head:
    """Processor time and memory of the head's processes at one moment."""

    own_s: float
    daemons_s: float
    memory_mb: float


def head() -> Head:
    """This process, and those of Ray's that it began."""
    daemons = [pid for pid, name in children() if name in ("raylet", "gcs_server")]
    return Head(
        time.process_time(),
        sum(processor_s(pid) for pid in daemons),
        sum(memory_mb(pid) for pid in [os.getpid(), *daemons]),
    )


def children() -> Iterator[tuple[int, str]]:
    """The processes that this one began, with their names."""
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = file.read_text().partition("(")[2].rpartition(")")
        except OSError:  # it has just ended
            continue
        if int(rest.split()[1]) == os.getpid():
            yield int(file.parent.name), name


def processor_s(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def memory_mb(pid: int) -> float:
    """What a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB


def start_s(ground: str) -> float:
    """From the call to the first result."""
    began = time.perf_counter()
    answers = GROUNDS[ground](1).play(make_task("cart-pole"), RandomActor(), range(8), outcome_of)
    next(iter(answers))
    seconds = time.perf_counter() - began
    list(answers)
    return seconds


def cluster_start_s() -> float:
    """A cluster of one's own, begun; one that runs is ended first."""
    import ray

    ray.shutdown()
    fleet, began = OnRay(2), time.perf_counter()
    list(fleet.play(make_task("cart-pole"), RandomActor(), [], outcome_of))
    return time.perf_counter() - began


def per_result(ground: str, share: float) -> dict[str, float]:
    """What a result costs the head."""
    first, last = round(share * LEAVE_OUT), round(share * RESULTS)
    kept: list[Any] = []
    marks: list[Head] = []
    seeds = range(FIRST_SEED, FIRST_SEED + last)
    for result in GROUNDS[ground](WORLDS).play(
        make_task("cart-pole"), RandomActor(), seeds, outcome_of
    ):
        kept.append(result)
        if len(kept) in (first, last):
            gc.collect()
            marks.append(head())
    before, after = marks
    count = last - first
    return {
        "head_ms_per_result": 1e3 * (after.own_s - before.own_s) / count,
        "daemons_ms_per_result": 1e3 * (after.daemons_s - before.daemons_s) / count,
        "head_mb_per_1000": 1e3 * (after.memory_mb - before.memory_mb) / count,
    }


def wait_ms(count: int, looks: int = 50) -> float:
    """One look at so many streams of which nothing came; Ray has begun."""
    import ray

    class Silent:
        def stream(self) -> Iterator[int]:
            time.sleep(10**6)
            yield 0

    actor: Any = ray.remote(Silent).remote()
    streams = [actor.stream.options(num_returns="streaming").remote() for _ in range(count)]
    began = time.process_time()
    for _ in range(looks):
        ray.wait(streams, timeout=0, fetch_local=False)
    seconds = time.process_time() - began
    ray.kill(actor)
    return 1e3 * seconds / looks


def message_ms(count: int = 2000) -> float:
    """One message with one result, that waits to be read; Ray has begun."""
    import ray

    outcome = next(iter(Here(1).play(make_task("cart-pole"), RandomActor(), [0], outcome_of)))

    class Teller:
        def stream(self) -> Iterator[list[Played[Any]]]:
            yield from ([Played(number, outcome)] for number in range(count))

    actor: Any = ray.remote(Teller).remote()
    stream: Any = actor.stream.options(num_returns="streaming").remote()
    ray.get(stream.completed())
    began = time.process_time()
    for _ in range(count):
        ray.wait([stream], fetch_local=False)
        ray.get(next(stream))
    seconds = time.process_time() - began
    ray.kill(actor)
    return 1e3 * seconds / count


@dataclass(frozen=True)
class Done:
    """A fleet that has played already."""

    outcomes: Iterable[Any]

    def play(self, *_: Any, watch: Tell) -> Iterator[Any]:
        """Yield what there is."""
        for outcome in self.outcomes:
            watch({outcome.row.seed: 1.0})
            yield outcome


def report_ms(count: int) -> float:
    """What `understudy evaluate` does with each of so many results: the report, its copy on disk, the bar."""
    task, actor = make_task("cart-pole"), RandomActor()
    [outcome] = Here(1).play(task, actor, [100_000], outcome_of)
    assert not isinstance(outcome, Lost)
    seeds = range(100_000, 100_000 + count)
    done = Done(replace(outcome, row=replace(outcome.row, seed=seed)) for seed in seeds)
    options = Evaluate(task="cart-pole", episodes=count)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        measured(
            cast(Fleet, done), task, actor, "random", options, Path(folder) / "unfinished.json"
        )
        return 1e3 * (time.process_time() - began) / count


def sizes(folder: Path) -> dict[tuple[str, str], float]:
    """{(case, metric): bytes}: what is sent to a worker once, and what comes back of an episode."""
    found: dict[tuple[str, str], float] = {}
    for name in ("pusht", "pusht-pixels"):
        task, actor = make_task(TASKS[name]), actor_of(folder, name, "mlp")
        [episode] = Here(1).rollouts(task, actor, [FIRST_SEED])
        found[f"bytes-{name}", "outcome"] = pickled(outcome_of(episode))
        found[f"bytes-{name}", "whole_episode"] = pickled(episode)
        found[f"bytes-{name}", "job"] = pickled((task, actor, outcome_of))
        for policy in ("mlp", "diffusion"):
            weights = actor_of(folder, name, policy).checkpoint / "model.safetensors"
            found[f"bytes-{name}-{policy}", "weights"] = float(weights.stat().st_size)
    return found


def pickled(value: Any) -> float:
    """Bytes of what a pipe would carry."""
    return float(len(ForkingPickler.dumps(value)))


def measure(folder: Path, repeats: int, share: float) -> list[results.Row]:
    """Rows of each ground's costs."""
    torch.set_num_threads(1)
    found: dict[tuple[str, str, str], list[float]] = {}

    def note(case: str, metric: str, unit: str, value: float) -> None:
        found.setdefault((case, metric, unit), []).append(value)

    units = {"ms_per_result": "ms", "mb_per_1000": "MB"}
    for ground in GROUNDS:
        case = f"cost-{ground}"
        for _ in range(repeats):
            if ground.startswith("ray"):
                note(case, "cluster_start_s", "s", cluster_start_s())
            note(case, "start_s", "s", start_s(ground))
            for metric, value in per_result(ground, share).items():
                note(case, metric, units[metric.partition("_")[2]], value)
    for _ in range(repeats):
        note("cost-ray-2", "wait_ms_of_1000", "ms", wait_ms(STREAMS))
        note("cost-ray-2", "message_ms", "ms", message_ms())
        for count in REPORTS:
            value = report_ms(round(share * count))
            note("cost-report", f"report_ms_of_{count}", "ms", value)
    for (case, metric), size in sizes(folder).items():
        note(case, metric, "bytes", size)
    rows = [
        results.median_row(case, metric, values, unit, [])
        for (case, metric, unit), values in found.items()
    ]
    print(*rows, sep="\n", flush=True)
    return rows
