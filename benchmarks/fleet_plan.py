"""On paper: a million episodes of PushT with diffusion by a thousand workers, from measured unit costs.

The head is one process: it looks at all workers' streams, reads what they sent, here a message for each
result, and adds it to the report. While it keeps up, the hours are the workers' own; else they are its own,
and then each look finds something of every worker. The network is one of a gigabit into the head. Nothing here was run with more than two workers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import results
from fleet_costs import REPORTS

WORKERS, EPISODES = 1000, 1_000_000
NETWORK_BYTES_S = 125e6


@dataclass(frozen=True)
class Costs:
    """What was measured."""

    episode_s: float  # of a worker's core
    start_s: float  # of a worker
    result_s: float  # of the head, for a result of many in a message, and for a message
    wait_s: float  # of the head, for a look at the stream of one among many workers
    report_s: Mapping[int, float]  # {rows of a report: of the head, for each}
    result_bytes: float
    worker_bytes: float  # job and weights
    result_memory_bytes: float  # of the head

    def head_s(self, episodes: int) -> float:
        """Seconds for which the head computes; what a row costs is taken to grow with their number."""
        (few, cheap_s), (many, dear_s) = sorted(self.report_s.items())
        slope_s = max(0.0, (dear_s - cheap_s) / (many - few))
        report_s = cheap_s + slope_s * max(0, episodes - few)
        return episodes * (self.result_s + self.wait_s + report_s)


def plan(costs: Costs, workers: int = WORKERS, episodes: int = EPISODES) -> dict[str, float]:
    """{metric: value}: how long it takes and what it needs."""
    work_s = costs.start_s + episodes * costs.episode_s / workers
    head_s = costs.head_s(episodes)
    moved = episodes * costs.result_bytes + workers * costs.worker_bytes
    return {
        "hours": max(work_s, head_s, moved / NETWORK_BYTES_S) / 3600,
        "worker_hours": work_s / 3600,
        "head_hours": head_s / 3600,
        "network_hours": moved / NETWORK_BYTES_S / 3600,
        "head_gb": episodes * costs.result_memory_bytes / 1e9,
        "moved_gb": moved / 1e9,
    }


def measure(before: Sequence[results.Row]) -> list[results.Row]:
    """Rows of the plan; its range is that of all unit costs at their least and at their most."""
    known = {(row["case"], row["metric"]): row for row in before}
    plans = [plan(costs_of(known, pick)) for pick in (_middle, _least, _most)]
    units = {"hours": "h", "gb": "GB"}
    rows = [
        results.Row(
            case="plan-1000",
            metric=metric,
            value=value,
            low=min(one[metric] for one in plans),
            high=max(one[metric] for one in plans),
            n=1,
            unit=units[metric.rpartition("_")[2]],
            seeds=[],
        )
        for metric, value in plans[0].items()
    ]
    print(*((row["metric"], round(row["value"], 4)) for row in rows), flush=True)
    return rows


def costs_of(
    known: dict[tuple[str, str], results.Row], pick: Callable[[results.Row], float]
) -> Costs:
    """The unit costs of PushT's states with diffusion on Ray; raises KeyError for what was not measured."""

    def found(case: str, metric: str) -> float:
        return pick(known[case, metric])

    return Costs(
        episode_s=found("process", "core_s_per_episode"),
        start_s=found("cost-ray-2", "start_s"),
        result_s=(found("cost-ray-2", "head_ms_per_result") + found("cost-ray-2", "message_ms"))
        / 1e3,
        wait_s=found("cost-ray-2", "wait_ms_of_1000") / 1e3 / 1000,
        report_s={n: found("cost-report", f"report_ms_of_{n}") / 1e3 for n in REPORTS},
        result_bytes=found("bytes-pusht", "outcome"),
        worker_bytes=found("bytes-pusht", "job") + found("bytes-pusht-diffusion", "weights"),
        result_memory_bytes=found("cost-ray-2", "head_mb_per_1000") * 1e3,
    )


def _middle(row: results.Row) -> float:
    return row["value"]


def _least(row: results.Row) -> float:
    return row["low"]


def _most(row: results.Row) -> float:
    return row["high"]
