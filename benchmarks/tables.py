"""Fill the tables of README and docs from benchmarks/results: between `<!-- results: NAME -->` and `<!-- end -->`.

python benchmarks/tables.py           # rewrite them
python benchmarks/tables.py --check   # fail if one differs
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# What the README says in short: (in words, result file, case, measure).
SUMMARY = (
    ("mountain-car cloned from 100 demonstrations: return minus the expert's, 1000 unseen starts",
     "mountain_car", "mlp", "return_minus_expert"),
    ("its failures", "mountain_car", "mlp", "failure_rate"),
    ("its collection and training", "mountain_car", "mlp", "train_seconds"),
    ("training windows from PushT's states, batch 256, one core",
     "windows", "pusht-states", "samples_per_s"),
    ("the same against LeRobot 0.4.4's dataset class", "windows", "pusht-states", "ratio_to_lerobot"),
    ("cloning cart-pole at batch 32 against imitation 1.0.1, one core each",
     "cloning_speed", "cart-pole", "ratio_to_imitation"),
    ("the same at batch 256", "cloning_speed", "cart-pole-batch-256", "ratio_to_imitation"),
    ("evaluating mountain-car against a loop over single environments",
     "evaluation_speed", "mountain-car", "ratio_to_single"),
    ("a training step of ACT against LeRobot 0.4.4's, bfloat16", "engine", "act-train", "ratio_to_peer"),
    ("the same in float32", "engine", "act-train-float32", "ratio_to_peer"),
    ("a training step of Diffusion Policy against LeRobot's, bfloat16",
     "engine", "diffusion-train", "ratio_to_peer"),
    ("the same in float32", "engine", "diffusion-train-float32", "ratio_to_peer"),
    ("a chunk of ACT for one world against LeRobot's, bfloat16",
     "engine", "act-predict", "ratio_to_peer"),
    ("the same in float32", "engine", "act-predict-float32", "ratio_to_peer"),
    ("training windows with pictures from mp4, uint8, against LeRobot's loader",
     "engine", "loader-mp4", "ratio_to_peer"),
    ("recording with pictures against LeRobot", "engine", "recording", "ratio_to_peer"),
    ("the demo: 100 demonstrations of an arm, a policy, 400 rollouts and a report", "demo", "demo", "seconds"),
    ("driving from pictures after DAgger, return on 100 unseen tracks (the expert's: 911)",
     "car_racing", "dagger", "return"),
    ("GAIL to -400 on pendulum against imitation 1.0.1, one core each",
     "gail", "pendulum", "ratio_to_imitation"),
    ("DAgger to -125 on mountain-car against imitation", "dagger_speed", "mountain-car", "ratio_to_imitation"),
    ("saved episodes that were lost in 100 times `kill -9`",
     "crash", "kill -9", "acknowledged episodes lost"),
    ("10,000 full-batch epochs of 3-128-256-128-7 on 100 points, against the naive PyTorch loop",
     "full_batch", "3-128-256-128-7", "ratio_to_naive"),
)  # fmt: skip
MARKED = re.compile(r"(<!-- results: (\w+)((?: [\w=,*-]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def shown(row: dict[str, Any]) -> tuple[str, str]:
    """Value and range of a row as text, in its unit."""
    if row["unit"] == "share":
        return f"{100 * row['value']:.1f} %", f"{100 * row['low']:.1f} to {100 * row['high']:.1f} %"
    if row["unit"] == "p":  # of a test: no estimate, so without a range
        return f"{row['value']:.4f}" if row["value"] < 0.01 else f"{row['value']:.2f}", ""
    if row["unit"] == "count":
        return f"{row['value']:,.0f}", f"{row['low']:,.0f} to {row['high']:,.0f}"
    width = abs(row["high"] - row["low"])
    digits = 0 if abs(row["value"]) >= 100 else 2 if width < 10 else 1
    unit = {"ratio": "x", "1": ""}.get(row["unit"], f" {row['unit']}")
    low, value, high = (f"{row[name]:,.{digits}f}" for name in ("low", "value", "high"))
    return f"{value}{unit}", f"{low} to {high}"


def table(name: str, words: list[str]) -> str:
    """The table of one result file.

    "wide" among the words makes a line a case, "cases=mlp,small-*" picks cases, and all else picks
    measures; without any all are shown.
    """
    file = ROOT / "benchmarks" / "results" / f"{name}.json"
    facts = json.loads(file.read_text())
    is_wide = "wide" in words
    cases = [word.removeprefix("cases=").split(",") for word in words if "=" in word] or [["*"]]
    metrics = [word for word in words if word != "wide" and "=" not in word]
    rows = [
        row
        for row in facts["rows"]
        if (not metrics or row["metric"] in metrics)
        and any(fnmatchcase(row["case"], pattern) for pattern in cases[0])
    ]
    lines = wide(rows) if is_wide else long(rows)
    lines.append("")
    lines.append(
        f"`{facts['command']}`, commit {facts['commit'][:8]}{before(facts, rows)}, {facts['machine']}."
    )
    return "\n".join(lines) + "\n"


def before(facts: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """Which cases were measured at an earlier commit."""
    shown_here = {row["case"] for row in rows}
    found: dict[str, list[str]] = {}
    for case, commit in facts.get("earlier", {}).items():
        if case in shown_here:
            found.setdefault(commit, []).append(case)
    listed = "; ".join(
        f"{', '.join(cases)} at {', '.join(commit[:8] for commit in commits.split(', '))}"
        for commits, cases in found.items()
    )
    return f" ({listed})" if listed else ""


def long(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each row."""
    lines = ["| case | measure | value | range | n | seeds |", "|---|---|---|---|---|---|"]
    for row in rows:
        value, spread = shown(row)
        seeds = ", ".join(str(seed) for seed in row["seeds"]) or "none"
        measure = row["metric"].replace("_", " ")
        lines.append(f"| {row['case']} | {measure} | {value} | {spread} | {row['n']:,} | {seeds} |")
    return lines


def wide(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each case, a column for each measure: for cases that are to be compared."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    titles = [metric.replace("_", " ") for metric in metrics]
    lines = [f"| case | {' | '.join(titles)} | seeds |", "|---" * (len(metrics) + 2) + "|"]
    for case in dict.fromkeys(row["case"] for row in rows):
        here = {row["metric"]: row for row in rows if row["case"] == case}
        cells = [_cell(here[metric]) if metric in here else "" for metric in metrics]
        seeds = max((row["seeds"] for row in here.values()), key=len)
        lines.append(f"| {case} | {' | '.join(cells)} | {', '.join(map(str, seeds)) or 'none'} |")
    return lines


def _cell(row: dict[str, Any]) -> str:
    value, spread = shown(row)
    return f"{value} ({spread})" if spread else value


def summary() -> str:
    """The README's short table."""
    lines = ["| what | measured | range | n |", "|---|---|---|---|"]
    for words, name, case, metric in SUMMARY:
        file = ROOT / "benchmarks" / "results" / f"{name}.json"
        rows = json.loads(file.read_text())["rows"]
        [row] = [row for row in rows if (row["case"], row["metric"]) == (case, metric)]
        value, spread = shown(row)
        lines.append(f"| {words} | {value} | {spread} | {row['n']:,} |")
    return "\n".join(lines) + "\n"


def filled(text: str) -> str:
    """The page with every marked table made anew."""
    return MARKED.sub(
        lambda found: (
            found[1]
            + (summary() if found[2] == "summary" else table(found[2], found[3].split()))
            + found[4]
        ),
        text,
    )


def main() -> int:
    """Rewrite the pages, or check them."""
    parser = argparse.ArgumentParser(description="tables of results in the docs")
    parser.add_argument("--check", action="store_true", help="change nothing, fail on a difference")
    check = parser.parse_args().check
    stale = []
    for page in PAGES:
        before = page.read_text("utf-8")
        after = filled(before)
        if before != after:
            stale.append(page.relative_to(ROOT))
            if not check:
                page.write_text(after, "utf-8")
    for page in stale:
        print(f"{'stale' if check else 'rewritten'}: {page}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
