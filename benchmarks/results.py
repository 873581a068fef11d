"""Result files of the benchmarks: benchmarks/results/NAME.json, from which tables in the docs are made."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from understudy.statistics import Estimate

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "benchmarks" / "results"
LOAD_BEFORE = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")


class Row(TypedDict):
    """One number, its interval, and of how many runs it is the summary."""

    case: str
    metric: str
    value: float
    low: float
    high: float
    n: int
    unit: str
    seeds: list[int]


def median_row(case: str, metric: str, values: Sequence[float], unit: str, seeds: list[int]) -> Row:
    """Return the median of several runs, with the least and the greatest."""
    middle, n = statistics.median(values), len(values)
    return Row(
        case=case,
        metric=metric,
        value=middle,
        low=min(values),
        high=max(values),
        n=n,
        unit=unit,
        seeds=seeds,
    )


def estimate_row(
    case: str, metric: str, estimate: Estimate, unit: str, seeds: Sequence[int]
) -> Row:
    """Return an estimate over rollouts, with its 95 % interval."""
    return Row(
        case=case,
        metric=metric,
        value=estimate.value,
        low=estimate.interval.low,
        high=estimate.interval.high,
        n=estimate.n,
        unit=unit,
        seeds=list(seeds),
    )


def write(
    name: str,
    command: str,
    rows: Sequence[Row],
    cases: Sequence[str] = (),
    commits: Mapping[str, str] | None = None,
) -> Path:
    """Write `rows` with what they were measured on; `command` must name no path of this machine.

    Measurements that take many hours name all their `cases`: rows of those that are not measured now
    stay as they are in the file, and "earlier" says of which commit; `commits` says it of rows that
    were measured before. Returns the file. The load is that of the minute before this module was
    imported.
    """
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{name}.json"
    earlier: dict[str, str] = {}
    if cases and file.exists():
        before = json.loads(file.read_text())
        other = set(cases) - {row["case"] for row in rows}
        kept = [row for row in before["rows"] if row["case"] in other]
        known = before.get("earlier", {})
        earlier = {row["case"]: known.get(row["case"], before["commit"]) for row in kept}
        rows = sorted([*kept, *rows], key=lambda row: cases.index(row["case"]))
    now = commit()
    earlier |= {case: found for case, found in (commits or {}).items() if found != now}
    facts = {
        "benchmark": name,
        "command": command,
        "commit": now,
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, load before {LOAD_BEFORE:.1f}",
        "versions": _versions(),
        **({"earlier": earlier} if earlier else {}),
        "rows": rows,
    }
    file.write_text(json.dumps(facts, indent=1) + "\n")
    return file


def commit() -> str:
    """The commit checked out, with "+" after it if the source has changed since."""
    head, changes = (
        subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()
        for words in (["rev-parse", "--verify", "HEAD"], ["status", "--porcelain", "--", "src"])
    )
    return head + ("+" if changes else "")


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    """Versions of Python and of those of our dependencies that this process has imported."""
    required = importlib.metadata.requires("understudy") or []
    ours = {re.split(r"[^\w.-]", line)[0] for line in required}
    installed = importlib.metadata.packages_distributions()
    used = {name for module in installed.keys() & sys.modules.keys() for name in installed[module]}
    versions = {name: importlib.metadata.version(name) for name in sorted(ours & used)}
    return {"python": platform.python_version(), **versions}
