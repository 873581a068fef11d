"""Does a recorder that is killed lose an episode that it said was saved?

    python -m benchmarks.crash [KILLS]

A process records episodes of two cameras and says "saved N" when the dataset says so; it is killed
with SIGKILL at a random moment. Then the dataset is opened, every byte is verified and every number
compared with what was recorded; the next process goes on in the same folder, ten in a row.
"""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.results import Row, write
from tests.data.crash_child import episode
from tests.data.demonstrations import CAMERAS, differences
from understudy.data.doctor import verify
from understudy.data.store import Dataset
from understudy.statistics import clopper_pearson

ROOT = Path(__file__).resolve().parents[1]
IN_ONE_FOLDER = 10
LONGEST_S = 1.0


@dataclass
class Outcome:
    """What was found after one kill."""

    acknowledged: int  # by this process
    lost: int
    opened: bool
    faults: list[str]
    cleared: bool  # something uncommitted was cleared away


def kill_once(folder: Path, delay_s: float) -> set[int]:
    """Record for a while and kill; the numbers of the episodes that were said to be saved."""
    command = [sys.executable, "-m", "tests.data.crash_child", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise RuntimeError("the recording process did not start")
        time.sleep(delay_s)
        child.send_signal(signal.SIGKILL)
        lines = child.stdout.read().split("\n")[:-1]  # a last line without its end was not said
    return {int(line.split()[1]) for line in lines if line.startswith("saved ")}


def examine(folder: Path, known: set[int], new: set[int]) -> Outcome:
    """Open the dataset and compare all that was acknowledged so far."""
    try:
        dataset = Dataset.open(folder)
        faults = verify(folder)
    except (OSError, ValueError) as error:
        return Outcome(len(new), len(new), False, [str(error)], False)
    intact = {n for n in range(len(dataset)) if _is_intact(dataset, n)}
    return Outcome(len(new), len((known | new) - intact), True, faults, bool(dataset.problems))


def _is_intact(dataset: Dataset, number: int) -> bool:
    stored, expected = dataset[number], episode(number)
    if differences(stored, expected, CAMERAS):
        return False
    for key in CAMERAS.cameras:
        loss = np.asarray(stored.observations[key]).astype(int) - expected.observations[key]
        if np.abs(loss).mean() > 3:
            return False
    return True


def outcomes(kills: int, seed: int) -> Iterator[Outcome]:
    """Kill again and again, at moments drawn from `seed`."""
    generator, known = random.Random(seed), set[int]()
    with tempfile.TemporaryDirectory() as place:
        for run in range(kills):
            if run % IN_ONE_FOLDER == 0:
                known = set()
            folder = Path(place) / str(run // IN_ONE_FOLDER)
            new = kill_once(folder, generator.uniform(0, LONGEST_S))
            outcome = examine(folder, known, new)
            known |= new
            print(run, outcome, flush=True)
            yield outcome


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    found = list(outcomes(kills, seed=0))
    lost = sum(outcome.lost > 0 for outcome in found)
    interval = clopper_pearson(lost, kills)
    acknowledged = sum(outcome.acknowledged for outcome in found)
    counts = {
        "kills": kills,
        "episodes acknowledged": acknowledged,
        "acknowledged episodes lost": sum(outcome.lost for outcome in found),
        "opened cleanly": sum(outcome.opened for outcome in found),
        "with a fault after opening": sum(bool(outcome.faults) for outcome in found),
        "left something uncommitted, cleared away": sum(outcome.cleared for outcome in found),
    }
    rows = [_row(metric, value, value, value, kills, "count") for metric, value in counts.items()]
    rate = (lost / kills, interval.low, interval.high)
    rows.append(_row("kills that lost an acknowledged episode", *rate, kills, "share"))
    print(write("crash", f"python -m benchmarks.crash {kills}", rows))


def _row(metric: str, value: float, low: float, high: float, n: int, unit: str) -> Row:
    return Row(
        case="kill -9", metric=metric, value=value, low=low, high=high, n=n, unit=unit, seeds=[0]
    )


if __name__ == "__main__":
    main()
