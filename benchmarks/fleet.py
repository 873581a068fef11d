"""Rollouts in this process, in a pool of two and on Ray: speed, against peers, costs, kills, and a plan.

    python benchmarks/fleet.py --folder runs/fleet --pusht runs/pusht/diffusion-0/run
        [--lerobot PYTHON] [--imitation PYTHON] [--only PART ...]

PYTHON are interpreters of environments with LeRobot 0.4.4 and imitation 1.0.1; `make peers` builds them as
build/peers/lerobot/bin/python and build/peers/imitation/bin/python. --pusht is a run of benchmarks/pusht.py:
diffusion for PushT's states, whose episodes end when they succeed, some soon and some never. --folder keeps
the other policies, which are made here and one step of training old: what they do is of no matter, how long
they think is as with trained ones, and their episodes last as long as the task lets them. What is measured how stands in fleet_speed.py, fleet_peers.py, fleet_costs.py, fleet_kills.py, fleet_plan.py, fleet_central.py and
fleet_learning.py.
One thread in each process. Rows of parts that are not measured now stay as they are. `--share` and
`--repeats` make a trial of it, which writes nothing.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

import fleet_central
import fleet_costs
import fleet_kills
import fleet_learning
import fleet_peers
import fleet_plan
import fleet_speed
import results
import torch

from understudy.run import find_checkpoint

PARTS = ("grounds", "peers", "worlds", "costs", "kills", "plan", "central", "learning")
REPEATS = 3
COMMAND = (
    "python benchmarks/fleet.py --folder runs/fleet --pusht runs/pusht/diffusion-0/run "
    "--lerobot PYTHON --imitation PYTHON"
)


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description="rollouts on every ground")
    parser.add_argument("--folder", type=Path, required=True, help="keeps the policies")
    parser.add_argument("--pusht", type=Path, required=True, help="a run of diffusion")
    parser.add_argument("--lerobot", type=Path, help="python with lerobot 0.4.4")
    parser.add_argument("--imitation", type=Path, help="python with imitation 1.0.1")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--share", type=float, default=1.0, help="of the episodes")
    given = parser.parse_args()
    folder = given.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    trained = folder / "pusht-diffusion"
    if not trained.exists():
        shutil.copytree(find_checkpoint(given.pusht), trained)
    size = given.repeats, given.share
    found: list[results.Row] = []
    known = written()
    for part in (part for part in PARTS if part in given.only):
        torch.set_num_threads(1)
        began = time.monotonic()
        match part:
            case "grounds":
                found += fleet_speed.grounds(folder, *size)
            case "peers":
                pythons = {name: getattr(given, name) for name in ("lerobot", "imitation")}
                found += fleet_peers.measure(folder, pythons, *size)
            case "worlds":
                found += fleet_speed.growth(folder, *size)
            case "costs":
                found += fleet_costs.measure(folder, *size)
            case "kills":
                found += fleet_kills.measure(round(given.share * fleet_kills.UNITS))
            case "central":
                found += fleet_central.measure(folder, *size)
            case "learning":
                found += fleet_learning.measure(*size)
            case _:
                found += fleet_plan.measure([*known, *found])
        print(f"{part}: {time.monotonic() - began:.0f} s", flush=True)
        if size == (REPEATS, 1.0):
            cases = dict.fromkeys(row["case"] for row in [*known, *found])
            results.write("fleet", COMMAND, found, list(cases))


def written() -> list[results.Row]:
    """The rows of the result file, if there is one."""
    file = results.FOLDER / "fleet.json"
    return json.loads(file.read_text())["rows"] if file.exists() else []


if __name__ == "__main__":
    main()
