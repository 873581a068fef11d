"""What a sweep says: a table of its configurations, which of them cannot be told apart, and the best as a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table

from understudy.cli.options import plural
from understudy.evaluate.landscape import Point
from understudy.evaluate.measure import Report
from understudy.learn.sweep import By, Standing, told_apart
from understudy.run import versions
from understudy.statistics import Estimate, pooled_mean

SHOWN = 20  # rows of the table in a terminal
ALPHA = 0.05


def said(standing: Standing, by: By) -> str:
    """A configuration and its result in a line."""
    choice = ", ".join(f"{option} {word}" for option, word in standing.choice.items())
    return f"{choice}: {_measure(standing, by)}"


def table(standings: Sequence[Standing], by: By) -> Table:
    """The best first, with intervals over seeds and starts, and how far each is from the best."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    best = standings[0]
    judged = best.success is not None
    shown.add_column("trial", justify="right", no_wrap=True)
    for option in best.choice:
        shown.add_column(option, justify="right", overflow="fold")
    for name in (*(["success"] if judged else []), "score", "p", "minutes"):
        shown.add_column(name, justify="right", no_wrap=True)
    for standing in standings[:SHOWN]:
        numbers = [_shown(standing.success)] if judged else []
        shown.add_row(
            str(standing.trial),
            *standing.choice.values(),
            *numbers,
            _score(standing, judged),
            _compared(best, standing, by),
            f"{sum(one.train_s for one in standing.tried) / 60:.1f}",
        )
    if len(standings) > SHOWN:
        shown.caption = f"{len(standings) - SHOWN} more in sweep.json"
    return shown


def conclusion(standings: Sequence[Standing], by: By, reports: Sequence[Report]) -> Iterator[str]:
    """The result in sentences: what was chosen, what it is worth, what is perhaps as good."""
    best = standings[0]
    yield f"chosen: {said(best, by)}, the highest of {plural(len(standings), 'configuration')}"
    even = [
        standing
        for standing in standings[1:]
        if (p := told_apart(best, standing, by)) is not None and p >= ALPHA
    ]
    if even:
        numbers = ", ".join(str(standing.trial) for standing in even[:10])
        more = f" and {len(even) - 10} more" if len(even) > 10 else ""
        yield f"not told apart from it (p at least {ALPHA:g}): trial {numbers}{more}"
    failed = sum(bool(standing.failure) for standing in standings)
    if failed:
        yield f"{plural(failed, 'configuration')} failed; sweep.json says why"
    if reports:
        estimate = pooled(reports, by)
        seeds = plural(len(reports), "training")
        yield (
            f"on {plural(len(reports[0].rows), 'start')} that nothing was chosen on, {seeds}: "
            f"{estimate}. This is what it is worth: being chosen flattered the number above"
        )


def points_of(standings: Sequence[Standing], by: By) -> tuple[dict[str, list[Point]], str]:
    """For each option what was measured over its values, the best first, and the measure's name."""
    points: dict[str, list[Point]] = {option: [] for option in standings[0].choice}
    judged = by == "success" and standings[0].success is not None
    for standing in standings:
        estimate = standing.success if judged else standing.score
        if estimate is not None:
            for option, word in standing.choice.items():
                points[option].append((word, estimate, standing.part == 1))
    return points, "success" if judged else "score"


def pooled(reports: Sequence[Report], by: By) -> Estimate:
    """What is measured, over several trainings on the same starts."""
    successes = [report.successes for report in reports]
    if by == "success" and not any(part is None for part in successes):
        return pooled_mean([part for part in successes if part is not None])
    return pooled_mean([report.scores for report in reports])


def write_standings(path: Path, standings: Sequence[Standing], by: By) -> None:
    """Write all of it as JSON, whole or not at all."""
    _write(path, {"by": by, "trials": [_plain(standing) for standing in standings]})


def write_best(
    path: Path,
    best: Standing,
    by: By,
    runs: Sequence[Path],
    reports: Sequence[Report],
    command: str,
) -> None:
    """Write the best configuration, the command that trains it, and its runs here."""
    facts = {
        "command": command,
        **_plain(best),
        "runs": [str(run) for run in runs],
        "on_report_starts": _numbers(pooled(reports, by)) if reports else None,
        "versions": versions(),
    }
    _write(path, facts)


def _plain(standing: Standing) -> dict[str, Any]:
    estimates = {"success": standing.success, "score": standing.score}
    return {
        "trial": standing.trial,
        "choice": dict(standing.choice),
        "part_of_the_steps": 1 / standing.part,
        "failure": standing.failure,
        **{name: value and _numbers(value) for name, value in estimates.items()},
        "trainings": [asdict(one) for one in standing.tried],
    }


def _numbers(estimate: Estimate) -> dict[str, Any]:
    interval = estimate.interval
    return {"value": estimate.value, "low": interval.low, "high": interval.high, "n": estimate.n}


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    waiting = path.with_name(f".{path.name}")
    waiting.write_text(json.dumps(facts, indent=1, allow_nan=True) + "\n", "utf-8")
    os.replace(waiting, path)


def _measure(standing: Standing, by: By) -> str:
    if standing.failure:
        return f"failed, {standing.failure}"
    if by == "success" and standing.success is not None:
        return f"success {standing.success}"
    return f"score {standing.score}"


def _shown(estimate: Estimate | None) -> str:
    return "failed" if estimate is None else f"{estimate.shown} ({estimate.shown_interval})"


def _score(standing: Standing, is_beside: bool) -> str:
    """The score, without its interval where success stands before it."""
    if standing.score is None or not is_beside:
        return _shown(standing.score)
    return standing.score.shown


def _compared(best: Standing, standing: Standing, by: By) -> str:
    """p of being as good as the best; where it trained for less, how much that was."""
    if standing is best:
        return ""
    if standing.part != best.part:
        return f"1/{standing.part} of the steps"
    p = told_apart(best, standing, by)
    return "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
