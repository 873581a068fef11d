"""A thousand units while workers are killed: is the table complete, and is it the undisturbed one?

A unit is four episodes of 500 ticks, of cart-pole's expert, two worlds side by side. The worker whose
result came last is killed with SIGKILL every five seconds, or every ten units where these take longer.
`missing` counts seeds that gave no row, or another row than the undisturbed pool's; what is compared is
all of a row but how long the actor thought.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, replace

import results
from fleet_grounds import FIRST_SEED, GROUNDS

from understudy.episode import Episode, Lost
from understudy.evaluate.measure import Outcome, Row, outcome_of
from understudy.fleet import ExpertActor, Fleet
from understudy.tasks import make_task

UNITS, WORLDS, EVERY_S, EVERY_UNITS = 1000, 2, 5.0, 10
UNIT = 2 * WORLDS  # episodes
CASES = {"units-killed": "pool-2", "units-killed-ray": "ray-2"}


@dataclass(frozen=True)
class Table:
    """What was played."""

    rows: dict[int, Row]
    kills: int
    seconds: float


def signed(episode: Episode) -> tuple[int, Outcome]:
    """Who played it, and what is kept of it."""
    return os.getpid(), outcome_of(episode)


def table(fleet: Fleet, units: int, *, disturbed: bool) -> Table:
    """Play so many units; `disturbed` kills workers on the way."""
    seeds = range(FIRST_SEED, FIRST_SEED + units * UNIT)
    rows: dict[int, Row] = {}
    kills, killed_at = 0, 0
    began = killed_s = time.monotonic()
    for result in fleet.play(make_task("cart-pole"), ExpertActor(), seeds, signed):
        if isinstance(result, Lost):
            continue
        worker, outcome = result
        rows[outcome.row.seed] = replace(outcome.row, act_ms_median=None, act_ms_p99=None)
        is_due = time.monotonic() - killed_s >= EVERY_S
        if not disturbed or not is_due or len(rows) - killed_at < EVERY_UNITS * UNIT:
            continue
        if was_killed(worker):
            kills, killed_at, killed_s = kills + 1, len(rows), time.monotonic()
    return Table(rows, kills, time.monotonic() - began)


def was_killed(worker: int) -> bool:
    """End the process; False where it has ended already."""
    try:
        os.kill(worker, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def measure(units: int) -> list[results.Row]:
    """Rows of the pool and of Ray against an undisturbed pool."""
    calm = table(GROUNDS["pool-2"](WORLDS), units, disturbed=False)
    seeds = range(FIRST_SEED, FIRST_SEED + units * UNIT)
    made: list[results.Row] = []
    for case, ground in CASES.items():
        found = table(GROUNDS[ground](WORLDS), units, disturbed=True)
        missing = sum(
            seed not in calm.rows or found.rows.get(seed) != calm.rows[seed] for seed in seeds
        )
        columns = {
            ("missing", "episodes"): float(missing),
            ("episodes", "episodes"): float(len(found.rows)),
            ("kills", "kills"): float(found.kills),
            ("seconds", "s"): found.seconds,
            ("undisturbed_seconds", "s"): calm.seconds,
        }
        for (metric, unit), value in columns.items():
            made.append(results.median_row(case, metric, [value], unit, []))
        print(case, missing, found.kills, found.seconds, flush=True)
    return made
