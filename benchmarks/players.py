"""What a player makes of the same policy on PushT: score, smoothness, calls of the network.

    python benchmarks/players.py --folder runs/pusht

Needs the runs `act` and `flow` of benchmarks/pusht.py in --folder: ACT, whose own player is the
ensemble and which always predicts the same, and flow, whose chunks differ from noise to noise, so that
an ensemble averages different ways.
*Roughness* is the mean length of the second difference of the commands, in pixels per tick squared:
0 for a straight line at constant speed; an episode ends when the task is done. *Calls* are
predictions for one world, per 100 ticks. 100
starts from seed 100,000, three training seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import results
from pusht import SEEDS

from understudy.episode import Episode
from understudy.fleet import PolicyActor, Pool
from understudy.run import find_checkpoint
from understudy.statistics import pooled_mean
from understudy.tasks import make_task

STARTS = range(100_000, 100_100)
PLAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"chunks-{n}": ("act", {"player": "chunks", "execute": n}) for n in (1, 4, 8, 16)},
    **{
        f"ensemble-{decay}": ("act", {"player": "ensemble", "decay": decay})
        for decay in (0.01, 0.1, -0.1)
    },
    **{f"flow-chunks-{n}": ("flow", {"player": "chunks", "execute": n}) for n in (1, 8)},
    "flow-ensemble-0.01": ("flow", {"player": "ensemble", "decay": 0.01}),
}


def roughness(episode: Episode) -> float:
    """Mean length of the commands' second difference, px / tick^2."""
    return float(np.linalg.norm(np.diff(episode.actions, n=2, axis=0), axis=1).mean())


def calls_of(episodes: Sequence[Episode], execute: int) -> float:
    """Predictions for 100 ticks: one for each chunk that was begun."""
    ticks = [len(episode) for episode in episodes]
    return 100 * sum(-(-count // execute) for count in ticks) / sum(ticks)


def played(folder: Path, policy: str, options: dict[str, Any], seed: int) -> Sequence[Episode]:
    """The rollouts of one training seed by one player."""
    actor = PolicyActor(checkpoint=find_checkpoint(folder / f"{policy}-{seed}" / "run"))
    actor = replace(actor, **options)
    return list(Pool(2).rollouts(make_task("pusht"), actor, STARTS))


def main() -> None:
    """Play everything and write the rows."""
    parser = argparse.ArgumentParser(description="players on PushT")
    parser.add_argument("--folder", type=Path, required=True, help="runs of benchmarks/pusht.py")
    folder = parser.parse_args().folder
    rows: list[results.Row] = []
    for name, (policy, options) in PLAYERS.items():
        shown = [played(folder, policy, options, seed) for seed in SEEDS]
        measures = {
            "score": ([np.array([e.rewards.max() for e in part]) for part in shown], "1"),
            "success_rate": (
                [np.array([bool(e.success) for e in part]) for part in shown],
                "share",
            ),
            "roughness": ([np.array([roughness(e) for e in part]) for part in shown], "px/tick^2"),
        }
        for metric, (values, unit) in measures.items():
            rows.append(results.estimate_row(name, metric, pooled_mean(values), unit, SEEDS))
        calls = [calls_of(part, options.get("execute", 1)) for part in shown]
        rows.append(results.median_row(name, "calls", calls, "per 100 ticks", SEEDS))
        print(name, {m: pooled_mean(v).value for m, (v, _) in measures.items()}, flush=True)
    results.write("players", "python benchmarks/players.py --folder runs/pusht", rows)


if __name__ == "__main__":
    main()
