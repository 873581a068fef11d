"""Two actors in the same worlds: who is better, or how many more rollouts it takes to say so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from understudy.evaluate.measure import Report
from understudy.statistics import (
    Estimate,
    mean,
    paired_difference,
    paired_rollouts_needed,
    paired_test,
    rate,
    shows_no_worse,
)

LEVEL = 0.05
MARGIN = 0.03  # 3 points of success, or 3 % of the other's score
MOST_ROLLOUTS = 100_000  # beyond this, "you need more" is no advice


@final
@dataclass(frozen=True)
class PairedTest:
    """One measure of a and b in n shared worlds. The difference is a minus b; more is better."""

    measure: str  # "success", "return", "max reward"
    a_name: str
    b_name: str
    a: Estimate
    b: Estimate
    difference: Estimate
    p: float  # McNemar's exact test of successes, sign flips of scores
    margin: float  # what "no worse" allows
    needed: int | None  # shared worlds in which such a difference would show; None: it is 0

    @property
    def verdict(self) -> Literal["better", "worse", "no difference shown"]:
        """A difference is shown when the test says so at 5 % and the interval agrees."""
        if self.p > LEVEL or not self.difference.interval.excludes(0.0):
            return "no difference shown"
        return "better" if self.difference.value > 0 else "worse"

    @property
    def no_worse(self) -> bool:
        """True when the difference is shown to lie above minus the margin."""
        return shows_no_worse(self.difference, self.margin)

    @property
    def more(self) -> int | None:
        """How many more rollouts of each would show a difference like this one."""
        if self.needed is None or self.needed > MOST_ROLLOUTS:
            return None
        # A test just missed: the formula is about right, never "no more".
        return max(self.needed - self.difference.n, round(0.1 * self.difference.n), 1)

    @property
    def gap(self) -> str:
        """The difference as people read it, with its sign."""
        return self._printed(self.difference.value) + self._unit

    @property
    def gap_interval(self) -> str:
        """The interval of the difference, with signs."""
        interval = self.difference.interval
        if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
            return "unknown"
        return f"{self._printed(interval.low)} to {self._printed(interval.high)}{self._unit}"

    @property
    def numbers(self) -> str:
        """Both values and their difference, with n and intervals."""
        share = f"{100 * self.difference.interval.confidence:g} % interval"
        return (
            f"{self.a.shown} ({self.a.shown_interval}) against {self.b.shown} "
            f"({self.b.shown_interval}), difference {self.gap} ({share} {self.gap_interval}, "
            f"n = {self.difference.n:,} shared worlds), p {_shown_p(self.p)}"
        )

    @property
    def claim(self) -> str:
        """What may be said: who is better, or that nothing is shown."""
        if self.verdict == "no difference shown":
            return f"No difference shown between {self.a_name} and {self.b_name}"
        return f"{self.a_name} is {self.verdict} than {self.b_name}"

    @property
    def remark(self) -> str:
        """Whether a is no worse, and what it would take to say more."""
        if self.verdict == "better":
            return ""
        allowed = f"{self._printed(self.margin).lstrip('+')}{self._unit}"
        bound = f"No worse within {allowed}: {'shown' if self.no_worse else 'not shown'}."
        if self.verdict == "worse":
            return bound
        if self.more is None:
            return f"{bound} So small a difference would take more rollouts than are worth it."
        return (
            f"{bound} If the difference is what it seems, you need about {self.more:,} more rollouts "
            "of each to show it."
        )

    @property
    def _unit(self) -> str:
        return " points" if self.difference.is_rate else ""

    def _printed(self, value: float) -> str:
        if self.difference.is_rate:
            return f"{100 * value:+.1f}"
        width = self.difference.interval.high - self.difference.interval.low
        if not (math.isfinite(width) and width > 0):
            return f"{value:+.6g}"
        digits = 1 - math.floor(math.log10(width / 3))
        return f"{value:+.{min(max(digits, 0), 6)}f}"

    def __str__(self) -> str:
        return f"{self.claim} in {self.measure}: {self.numbers}. {self.remark}".rstrip()


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """What may be said of a and b; `success` is None where the world does not judge."""

    a: Report
    b: Report
    success: PairedTest | None
    score: PairedTest

    @property
    def main(self) -> PairedTest:
        """The measure that the verdict is about: success where there is one, else the score."""
        return self.success or self.score

    @property
    def other(self) -> PairedTest | None:
        """The second measure, if there are two."""
        return self.score if self.success else None

    def __str__(self) -> str:
        return str(self.main)


def compare(a: Report, b: Report) -> Comparison:
    """Compare two finished reports of the same worlds.

    Raises ValueError listing how they differ in task, score, seeds or initial states: only equal
    worlds can be paired.
    """
    _check_same_worlds(a, b)
    of_b = {row.seed: row for row in b.rows}
    ours, theirs = a.rows, [of_b[row.seed] for row in a.rows]
    names = _names(a, b)
    scores = (
        np.array([a.score_of(row) for row in ours]),
        np.array([b.score_of(row) for row in theirs]),
    )
    success = None
    if a.successes is not None and b.successes is not None:
        outcomes = np.array([r.success for r in ours]), np.array([r.success for r in theirs])
        success = _tested("success", names, outcomes, MARGIN)
    margin = MARGIN * abs(float(scores[1].mean()))
    return Comparison(a, b, success, _tested(a.score.replace("_", " "), names, scores, margin))


def _tested(
    measure: str, names: tuple[str, str], values: tuple[NDArray[Any], NDArray[Any]], margin: float
) -> PairedTest:
    first, second = values
    estimate = rate if first.dtype == np.bool_ else mean
    return PairedTest(
        measure=measure,
        a_name=names[0],
        b_name=names[1],
        a=estimate(first),
        b=estimate(second),
        difference=paired_difference(first, second),
        p=paired_test(first, second),
        margin=margin,
        needed=paired_rollouts_needed(first.astype(np.float64) - second),
    )


def _check_same_worlds(a: Report, b: Report) -> None:
    faults = [
        f"{name.replace('_', ' ')}: {getattr(a, name)} and {getattr(b, name)}"
        for name in ("task", "task_config", "score", "purpose")
        if getattr(a, name) != getattr(b, name)
    ]
    faults += [
        f"{report.actor}: {len(report.missing)} of its seeds gave no episode, {report.missing[:5]}"
        for report in (a, b)
        if report.missing
    ]
    first = {row.seed: row.initial_state_hash for row in a.rows}
    second = {row.seed: row.initial_state_hash for row in b.rows}
    lone = sorted(first.keys() ^ second.keys())
    if lone:
        faults.append(f"seeds of one alone: {_listed(lone)}")
    moved = sorted(s for s in first.keys() & second.keys() if first[s] != second[s])
    if moved:
        faults.append(
            f"seeds that began in different states: {_listed(moved)}. Were both measured with the "
            "same versions and observations?"
        )
    if faults:
        raise ValueError(
            f"{a.actor} and {b.actor} cannot be compared:\n  "
            + "\n  ".join(faults)
            + "\nMeasure both with the same task and seeds"
        )


def _names(a: Report, b: Report) -> tuple[str, str]:
    """Two names that tell the actors apart."""
    if a.actor != b.actor:
        return a.actor, b.actor
    if a.source != b.source:
        return f"{a.actor} ({a.source[:8]})", f"{b.actor} ({b.source[:8]})"
    return f"{a.actor} (first)", f"{b.actor} (second)"


def _listed(seeds: list[int]) -> str:
    shown = ", ".join(str(seed) for seed in seeds[:10])
    return f"{shown} and {len(seeds) - 10} more" if len(seeds) > 10 else shown


def _shown_p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
