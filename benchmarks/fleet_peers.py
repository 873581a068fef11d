"""Our episodes a second against LeRobot's `eval_policy` and imitation's `generate_trajectories`.

Both sides step the same worlds (ours), sixteen side by side from the same seeds, and ask the same
network of the same checkpoint for the same chunks with the same noise: what differs are the loop and
how worlds are vectorised. A peer's returns have to be ours. Theirs is the best of what they offer,
environments in this process with one or two threads of torch, and environments in processes of their own;
their imports and the start of their environments are not counted, ours are (see fleet_speed.py).
Where the peer's environment has no gym-pusht or MuJoCo, it finds ours behind its own packages.
`ratio_to_peer` is that of the faster of this process and our pool of two, which like the peer's has both
cores of the machine.
"""

from __future__ import annotations

import statistics
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

import comparison
import results
from fleet_grounds import FIRST_SEED, TASKS, WORLDS, actor_of, named

from understudy.evaluate.measure import outcome_of
from understudy.fleet import Here, played
from understudy.tasks import make_task

# (peer, task, policy): how many episodes a peer plays, the ticks of the longest
CASES = {
    ("lerobot", "pusht", "diffusion"): (32, 300),
    ("lerobot", "pusht", "mlp"): (64, 300),
    ("lerobot", "pusht-pixels", "mlp"): (32, 300),
    ("lerobot", "panda-grasp", "mlp"): (32, 120),
    ("lerobot", "cart-pole", "mlp"): (64, 500),
    ("imitation", "cart-pole", "mlp"): (64, 500),
}
WAYS = {"one thread": (False, 1), "two threads": (False, 2), "processes": (True, 1)}
NAMES = {"lerobot": "peer", "imitation": "imitation"}


def measure(
    folder: Path,
    pythons: Mapping[str, Path | None],
    repeats: int,
    share: float,
    before: Sequence[results.Row],
) -> list[results.Row]:
    """Rows of each peer, and what our grounds, measured `before`, are to it."""
    rates = {row["case"]: row for row in before if row["metric"] == "episodes_per_s"}
    rows: list[results.Row] = []
    for (peer, task, policy), (episodes, limit) in CASES.items():
        python = pythons[peer]
        if python is None:
            continue
        count = max(WORLDS, round(share * episodes) // WORLDS * WORLDS)
        best = best_way(peer, python, folder, (task, policy), (count, limit), repeats)
        case = named(NAMES[peer], task, policy)
        rows.append(results.median_row(case, "episodes_per_s", best, "episodes/s", []))
        grounds = [named(ground, task, policy) for ground in ("process", "pool-2")]
        ours = [rates[ground] for ground in grounds if ground in rates]
        if ours:
            fastest = max(ours, key=lambda row: row["value"])
            rows.append(ratio_row(case, fastest, rows[-1]))
    return rows


def best_way(
    peer: str,
    python: Path,
    folder: Path,
    what: tuple[str, str],
    size: tuple[int, int],
    repeats: int,
) -> list[float]:
    """Episodes a second of the way that is the peer's best, each repeat in a process of its own."""
    (task, policy), (count, limit) = what, size
    actor = actor_of(folder, task, policy)
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    found = played(Here(WORLDS).play(make_task(TASKS[task]), actor, seeds, outcome_of))
    asked = {
        "paths": [str(results.ROOT / "src"), sysconfig.get_path("purelib")],
        "task": TASKS[task],
        "checkpoint": str(actor.checkpoint),
        "worlds": WORLDS,
        "limit": limit,
        "first_seed": FIRST_SEED,
        "returns": [outcome.row.return_ for outcome in found],
    }
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way, (is_async, threads) in WAYS.items():
            more = {"async": is_async, "threads": threads}
            rates[way].append(comparison.theirs(python, f"{peer}_rollout.py", asked | more)[0])
    best = max(WAYS, key=lambda way: statistics.median(rates[way]))
    print(peer, task, policy, best, rates, flush=True)
    return rates[best]


def ratio_row(case: str, ours: results.Row, theirs: results.Row) -> results.Row:
    """Our rate over theirs; the range is the widest that both ranges allow."""
    return results.Row(
        case=case,
        metric="ratio_to_peer",
        value=ours["value"] / theirs["value"],
        low=ours["low"] / theirs["high"],
        high=ours["high"] / theirs["low"],
        n=min(ours["n"], theirs["n"]),
        unit="ratio",
        seeds=[],
    )
