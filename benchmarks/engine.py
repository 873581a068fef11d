"""Training, prediction, loading and recording against LeRobot 0.4.4 and robomimic 0.3.0.

    python benchmarks/engine.py --lerobot PYTHON --robomimic PYTHON [--only CASE ...]

PYTHON are interpreters of environments with the peers in them; `make peers` builds them as
build/peers/lerobot/bin/python and build/peers/robomimic/bin/python. What is compared how stands in
engine_policies.py, engine_recurrent.py and engine_data.py. Each run is a process of its own, ours and
theirs in turn, five times; a row is the median with the least and the most.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import engine_data
import engine_policies
import engine_recurrent
import results


def main() -> None:
    """Measure and write the rows."""
    parser = argparse.ArgumentParser(description="ours against LeRobot and robomimic")
    parser.add_argument("--lerobot", type=Path, required=True, help="python with lerobot 0.4.4")
    parser.add_argument("--robomimic", type=Path, required=True, help="python with robomimic 0.3.0")
    modules = {
        name: (module, python)
        for module, python in (
            (engine_policies, "lerobot"),
            (engine_recurrent, "robomimic"),
            (engine_data, "lerobot"),
        )
        for name in module.CASES
    }
    parser.add_argument("--only", nargs="+", choices=modules, default=list(modules))
    given = parser.parse_args()
    rows: list[results.Row] = []
    for name in given.only:
        module, python = modules[name]
        rows += module.measure(name, getattr(given, python))
        print(name, [(r["case"], r["metric"], round(r["value"], 3)) for r in rows], flush=True)
    ends = ("", "-float32", "-lerobot", "-h264", "-h264-lerobot", "-robomimic")
    results.write(
        "engine",
        "python benchmarks/engine.py --lerobot PYTHON --robomimic PYTHON",
        rows,
        [f"{name}{end}" for name in modules for end in ends],
    )


if __name__ == "__main__":
    main()
