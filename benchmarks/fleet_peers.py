"""Our episodes a second against LeRobot's `eval_policy` and imitation's `generate_trajectories`.

Both sides step the same worlds (ours; LeRobot's PushT is gym-pusht's own, which makes its outline anew at
each step), sixteen side by side in a process, from the same seeds, and ask the same network of the same
checkpoint for the same chunks with the same noise: what differs are the loop and how worlds are vectorised.
A peer's returns have to be ours. Theirs is the best of what they offer, environments in this process with
one or two threads of torch, and environments in processes of their own; ours is the better of this process and a pool of two, which like the peer's has both cores of the
machine. Imports and the start of environments are counted on neither side: our fleet is kept and has
played an episode of each world before. Repeats of all take turns, `ratio_to_peer` is within a repeat.
Where the peer's environment has no gym-pusht or MuJoCo, it finds ours behind its own packages.
"""

from __future__ import annotations

import statistics
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import comparison
import results
from fleet_grounds import FIRST_SEED, GROUNDS, TASKS, WORKERS, WORLDS, actor_of, named
from fleet_speed import play

from understudy.evaluate.measure import outcome_of
from understudy.fleet import Here, played
from understudy.tasks import make_task

# (peer, task, policy): how many episodes are played, the ticks of the longest
CASES = {
    ("lerobot", "pusht", "diffusion"): (64, 300),
    ("lerobot", "pusht", "mlp"): (96, 300),
    ("lerobot", "pusht-pixels", "mlp"): (48, 300),
    ("lerobot", "panda-grasp", "mlp"): (64, 120),
    ("lerobot", "cart-pole", "mlp"): (256, 500),
    ("imitation", "cart-pole", "mlp"): (256, 500),
}
WAYS = {"one thread": (False, 1), "two threads": (False, 2), "processes": (True, 1)}
OURS = ("process", "pool-2")
NAMES = {"lerobot": "peer", "imitation": "imitation"}


def measure(
    folder: Path, pythons: Mapping[str, Path | None], repeats: int, share: float
) -> list[results.Row]:
    """Rows of each peer."""
    rows: list[results.Row] = []
    for (peer, task, policy), (episodes, limit) in CASES.items():
        python = pythons[peer]
        if python is None:
            continue
        count = max(WORLDS, round(share * episodes) // WORLDS * WORLDS)
        theirs, ours = rates(peer, python, folder, (task, policy), (count, limit), repeats)
        case = named(NAMES[peer], task, policy)
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        columns = {"episodes_per_s": theirs, "our_episodes_per_s": ours, "ratio_to_peer": ratios}
        units = ("episodes/s", "episodes/s", "ratio")
        rows += [
            results.median_row(case, metric, values, unit, [])
            for (metric, values), unit in zip(columns.items(), units, strict=True)
        ]
    return rows


def rates(
    peer: str,
    python: Path,
    folder: Path,
    what: tuple[str, str],
    size: tuple[int, int],
    repeats: int,
) -> tuple[list[float], list[float]]:
    """Episodes a second, of the peer's best way and of ours; each of theirs in a process of its own."""
    (task, policy), (count, limit) = what, size
    actor, config = actor_of(folder, task, policy), make_task(TASKS[task])
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    found = played(Here(WORLDS).play(config, actor, seeds, outcome_of))
    asked = {
        "paths": [str(results.ROOT / "src"), sysconfig.get_path("purelib")],
        "task": TASKS[task],
        "checkpoint": str(actor.checkpoint),
        "worlds": WORLDS,
        "limit": limit,
        "first_seed": FIRST_SEED,
        "returns": [outcome.row.return_ for outcome in found],
    }
    kept: dict[str, list[float]] = {way: [] for way in (*OURS, *WAYS)}
    for _ in range(repeats):
        for ground in OURS:
            with GROUNDS[ground](WORLDS) as fleet:
                play(fleet, config, actor, range(WORKERS[ground] * WORLDS))
                run = play(fleet, config, actor, seeds)
            kept[ground].append(run.episodes / run.seconds)
        for way, (is_async, threads) in WAYS.items():
            more = {"async": is_async, "threads": threads}
            kept[way].append(comparison.theirs(python, f"{peer}_rollout.py", asked | more)[0])
    middle = {way: statistics.median(values) for way, values in kept.items()}
    best, ours = max(WAYS, key=lambda way: middle[way]), max(OURS, key=lambda way: middle[way])
    print(peer, task, policy, ours, best, kept, flush=True)
    return kept[best], kept[ours]
