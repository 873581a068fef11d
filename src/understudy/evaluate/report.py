"""One HTML file that says how good it is, how sure that is, what it looked like and how to repeat it.

It opens offline and runs nothing: no scripts, no requests; every text in it is escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.data.durable import replace_text
from understudy.data.page import template
from understudy.evaluate import plots
from understudy.evaluate.compare import Comparison
from understudy.evaluate.film import Film
from understudy.evaluate.measure import Report
from understudy.statistics import Estimate

MOST_VIDEO_BYTES = 5_000_000  # base64 makes them 6.7 MB; the file stays below 8 MB
MOST_ROWS = 2_000  # of the table of all episodes
LOST_LISTED = 5


def write_report(
    path: Path,
    report: Report,
    *,
    comparison: Comparison | None = None,
    curves: Sequence[Mapping[str, Any]] = (),
    videos: Sequence[Film] = (),
    data_summary: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    commands: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> None:
    """Write the report as one self-contained HTML file, whole or not at all, below 8 MB.

    `curves` are the rows of a run's metrics; `data_summary`, `provenance` (date, commit, machine,
    versions ...) are shown as they are, nested entries as "a.b"; `commands` repeat the measurement;
    `notes` are sentences for the reader, such as why there are no videos. Raises ValueError for a
    report without a single episode.
    """
    if not report.rows:
        raise ValueError(f"there is nothing to report: no rollout of {report.actor} is done")
    shown, left_out = _embedded(videos)
    filters = {"typeset": _typeset, "plain": _plain}
    page = template(Path(__file__).with_name("report.html"), filters).render(
        report=report,
        headline=_headline(report),
        main=_main(report),
        measures=_measures(report),
        warnings=_warnings(report, videos, left_out),
        notes=notes,
        comparison=comparison,
        tests=[t for t in (comparison.main, comparison.other) if t] if comparison else [],
        track=plots.difference_track,
        rate_track=plots.rate_track(report.success_rate) if report.success_rate else None,
        scores=[c for c in (plots.distribution(report), plots.strip(report)) if c],
        pairs=plots.pairs(comparison) if comparison else None,
        outcomes=_outcomes(comparison) if comparison else None,
        curves=plots.learning(curves),
        videos=shown,
        ranked=sorted(report.rows, key=report.score_of)[:MOST_ROWS],
        data=dict(_flat(data_summary or {})),
        provenance=dict(_flat(provenance or {})),
        configs=_configs(report),
        commands=commands,
    )
    replace_text(path, page)


def _headline(report: Report) -> str:
    """The result in a sentence, with n and interval."""
    n, success = len(report.rows), report.success_rate
    worlds = "world" if n == 1 else "worlds"
    if success is None:
        name = report.score.replace("_", " ")
        return (
            f"{report.actor} reaches a mean {name} of {_said(report.mean_score)} in {n:,} {worlds}."
        )
    done = n - len(report.failures)
    times = {n: f"all {n:,}", 0: f"none of {n:,}"}.get(done, f"{done:,} of {n:,}")
    return f"{report.actor} succeeds in {times} {worlds}: {_said(success)}."


def _said(estimate: Estimate) -> str:
    share = f"{100 * estimate.interval.confidence:g} % interval"
    return _typeset(f"{estimate.shown} ({share} {estimate.shown_interval})")


def _main(report: Report) -> list[tuple[str, Estimate]]:
    """The one or two numbers that stand first."""
    score = (report.score.replace("_", " "), report.mean_score)
    return [("success", report.success_rate), score] if report.success_rate else [score]


def _measures(report: Report) -> list[tuple[str, str, str, str]]:
    """(measure, value, interval, n) as text."""
    estimates = {
        "Success rate": report.success_rate,
        "Return, mean": report.mean_return,
        "Max reward, mean": report.mean_max_reward,
        "Length, mean ticks": report.mean_length,
    }
    rows = [
        (name, _typeset(e.shown), _typeset(e.shown_interval), f"{e.n:,}")
        for name, e in estimates.items()
        if e is not None
    ]
    if report.act_ms is not None:
        tick = f"a tick has {_time(1e3 / report.rate_hz)}"
        for name, value in zip(("median", "slowest 1 %"), report.act_ms, strict=True):
            rows.append((f"Thinking time, {name}", _time(value), tick, f"{len(report.rows):,}"))
    return rows


def _time(milliseconds: float) -> str:
    """A duration in the unit that suits it."""
    if milliseconds < 0.1:
        return f"{1e3 * milliseconds:.2g} \N{MICRO SIGN}s"
    return f"{milliseconds:.3g} ms" if milliseconds < 1000 else f"{milliseconds / 1e3:.3g} s"


def _warnings(report: Report, videos: Sequence[Film], left_out: int) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = []
    if report.purpose == "selection":
        found.append(
            "Measured on selection seeds: something may have been chosen by this result, so it "
            "flatters. Report on seeds from 100,000."
        )
    if report.missing:
        found.append(
            f"{len(report.missing)} of {len(report.seeds)} rollouts gave no episode and are not "
            "counted."
        )
    found += [
        f"Seed {lost.seed} was lost after {lost.attempts} attempts: {lost.reason}"
        for lost in report.lost[:LOST_LISTED]
    ]
    if len(report.lost) > LOST_LISTED:
        found.append(f"{len(report.lost) - LOST_LISTED} more seeds were lost, see report.json.")
    if report.starts < len(report.rows):
        found.append(
            f"The {len(report.rows)} episodes began in only {report.starts} different states. Repeats "
            "say little new: the intervals are too narrow."
        )
    if report.successes is None and any(row.success is not None for row in report.rows):
        found.append("Not every episode was judged, so there is no success rate.")
    differing = [film for film in videos if film.differs]
    if differing:
        found.append(
            f"{len(differing)} filmed episodes are not the measured ones (said below each): results "
            "depend on something other than the seed."
        )
    if left_out:
        found.append(f"{left_out} videos were left out to keep this file small.")
    return found


def _embedded(videos: Sequence[Film]) -> tuple[list[tuple[Film, str]], int]:
    """Films with their content in base64, as many as fit, and how many do not."""
    shown, room = [], MOST_VIDEO_BYTES
    for film in videos:
        content = film.path.read_bytes()
        if len(content) <= room:
            room -= len(content)
            shown.append((film, base64.b64encode(content).decode("ascii")))
    return shown, len(videos) - len(shown)


def _outcomes(comparison: Comparison) -> list[tuple[str, int]] | None:
    """In how many shared worlds which of the two succeeded."""
    if comparison.success is None:
        return None
    a, b = comparison.success.a_name, comparison.success.b_name
    of_b = {row.seed: row.success for row in comparison.b.rows}
    pairs = [(row.success, of_b[row.seed]) for row in comparison.a.rows]
    return [
        ("both succeed", pairs.count((True, True))),
        (f"only {a}", pairs.count((True, False))),
        (f"only {b}", pairs.count((False, True))),
        ("neither", pairs.count((False, False))),
    ]


def _configs(report: Report) -> list[tuple[str, dict[str, str]]]:
    return [
        (f"Task: {report.task}", dict(_flat(report.task_config))),
        (f"Actor: {report.actor}", dict(_flat(report.actor_config))),
    ]


def _flat(facts: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Entries as text; those of a nested mapping under "outer.inner"."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{before}{name}", ", ".join(str(part) for part in value) or "none"
        elif isinstance(value, int) and not isinstance(value, bool):
            yield f"{before}{name}", f"{value:,}"
        elif value is not None and value != "":
            yield f"{before}{name}", str(value)


def _plain(value: float) -> str:
    """A score as people read it: -116, 0.5798, 1,498.3."""
    text = f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}".removesuffix(".0")
    return _typeset(text)


def _typeset(text: str) -> str:
    """Minus signs for hyphens that are signs; no line break inside "n = 100" and "95 %"."""
    text = re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", text)
    return re.sub(
        r" (?=%)|(?<=\bn) (?== )|(?<=\bn =) |(?<=\bp) (?=[=<])", "\N{NO-BREAK SPACE}", text
    )
