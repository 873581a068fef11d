"""How long `understudy demo` takes, from nothing to its report, and what it measures.

    python benchmarks/demo.py

100 demonstrations, a policy, 200 unseen starts for it and for the expert, twelve videos: seconds of the wall
clock, three times; the numbers are the same each time.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import results
import torch  # noqa: F401  (its version belongs to the result)

from understudy.evaluate.measure import Report
from understudy.statistics import rate

TIMES = 3


def main() -> None:
    """Run it and write the rows."""
    seconds: list[float] = []
    successes = np.zeros(0, np.bool_)
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "demo"
            words = [sys.executable, "-m", "understudy", "demo", "--out", str(out)]
            began = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
            successes = np.asarray(Report.from_json(out / "report.json").successes)
            print(f"{seconds[-1]:.0f} s", flush=True)
    rows = [
        results.median_row("demo", "seconds", seconds, "s", []),
        results.estimate_row("demo", "success_rate", rate(successes), "share", []),
    ]
    results.write("demo", "python benchmarks/demo.py", rows)


if __name__ == "__main__":
    main()
