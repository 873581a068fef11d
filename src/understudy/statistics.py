"""What may be said of n rollouts, and what not yet: intervals, paired tests, and how many more it takes.

Every estimate carries its n and its interval, and prints both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri, stdtrit

CONFIDENCE = 0.95
RESAMPLES = 10_000
FEWEST = 5  # below, a bootstrapped "95 %" holds for less than 75 % of normal samples
_BLOCK = 2**21  # values that one step of a bootstrap draws


@final
@dataclass(frozen=True)
class Interval:
    """A confidence interval. An unlimited one says that the data leave everything open."""

    low: float
    high: float
    confidence: float = CONFIDENCE

    def excludes(self, value: float) -> bool:
        """True when `value` lies outside."""
        return not self.low <= value <= self.high


@final
@dataclass(frozen=True)
class Estimate:
    """A number that was measured, with its interval and the number of values behind it."""

    value: float
    interval: Interval
    n: int
    is_rate: bool = False  # a fraction, printed in percent

    @property
    def shown(self) -> str:
        """The number as people read it; for where n and interval stand beside it."""
        return self._printed(self.value)

    @property
    def shown_interval(self) -> str:
        """The interval as people read it: "44.4 to 97.5 %"."""
        if not (math.isfinite(self.interval.low) and math.isfinite(self.interval.high)):
            return "unknown"
        low = self._printed(self.interval.low).removesuffix(" %")
        return f"{low} to {self._printed(self.interval.high)}"

    def __str__(self) -> str:
        share = f"{100 * self.interval.confidence:g} % interval"
        return f"{self.shown} ({share} {self.shown_interval}, n = {self.n:,})"

    def _printed(self, value: float) -> str:
        if self.is_rate:
            return f"{100 * value:.1f} %"
        width = self.interval.high - self.interval.low
        if not (math.isfinite(width) and width > 0):
            return f"{value:.6g}"
        digits = 1 - math.floor(math.log10(width / 3))  # the width with two or three digits
        return f"{value:.{min(max(digits, 0), 6)}f}"


def rate(outcomes: ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """How often True occurs in `outcomes` (n,), with its Clopper-Pearson interval."""
    values = np.asarray(outcomes, np.bool_)
    successes, n = int(values.sum()), values.size
    interval = clopper_pearson(successes, n, confidence)
    return Estimate(successes / n, interval, n, is_rate=True)


def mean(values: ArrayLike, confidence: float = CONFIDENCE, seed: int = 0) -> Estimate:
    """The mean of `values` (n,), with its bootstrap interval."""
    numbers = _finite(values)
    return Estimate(float(numbers.mean()), bootstrap_mean(numbers, confidence, seed), numbers.size)


def clopper_pearson(successes: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of a rate (Clopper & Pearson 1934): it covers at least as often as it says.

    Raises ValueError unless 0 <= successes <= n and n >= 1.
    """
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"{successes} successes of {n}: expected 0..n successes of n >= 1")
    tail = (1 - confidence) / 2
    failures = n - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betaincinv(successes + 1, failures, 1 - tail)) if failures else 1.0
    return Interval(low, high, confidence)


def bootstrap_mean(
    values: ArrayLike,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The interval of a mean by the bootstrap: BCa (Efron 1987), widened for small n.

    BCa, not plain percentiles, because returns are skewed: a rare failure far below the rest. The
    tails are Hesterberg's expanded ones (2015, arXiv 1411.5279), which give ten normal values their
    95 % where either method alone gives 90 %. The same seed gives the same interval. Fewer than
    five values leave everything open. What was not drawn is not seen: if all values are equal, so are both
    ends, and twenty rollouts may hold none of the rare failures.
    """
    numbers = _finite(values)
    if numbers.size < FEWEST:
        return Interval(-math.inf, math.inf, confidence)
    deviations = numbers - numbers.mean()
    spread = float((deviations**2).sum())
    if spread <= (1e-12 * float(np.abs(numbers).max())) ** 2 * numbers.size:
        return Interval(float(numbers.mean()), float(numbers.mean()), confidence)
    means = _resampled_means(numbers, seed, resamples)
    below, upto = (means < numbers.mean()).mean(), (means <= numbers.mean()).mean()
    bias = ndtri(np.clip((below + upto) / 2, 1 / resamples, 1 - 1 / resamples))
    acceleration = float((deviations**3).sum()) / (6 * spread**1.5)  # jackknife of a mean
    reach = math.sqrt(numbers.size / (numbers.size - 1)) * stdtrit(
        numbers.size - 1, (1 + confidence) / 2
    )
    normal = bias + np.array([-reach, reach])
    levels = ndtr(bias + normal / (1 - acceleration * normal))
    low, high = np.quantile(means, levels)
    return Interval(float(low), float(high), confidence)


def pooled_mean(
    runs: Sequence[ArrayLike],
    *,
    same_worlds: bool = True,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Estimate:
    """The mean over several training runs, each measured in N worlds; every run weighs the same.

    `same_worlds` says that value i of every run was measured in the same world i. Runs and worlds
    are then resampled apart from each other (Owen 2007, the pigeonhole bootstrap), for a hard world
    is hard for all runs; otherwise each run's values are resampled within it. Deviations between
    runs are scaled by sqrt(R / (R - 1)), what R runs show too little. Measured for R = 3 and 60
    worlds: 93 to 99 % coverage, 80 % where differences between runs outweigh all else by far. One
    run says nothing of training; its interval is of its worlds alone. If every value of bool runs
    is equal, the interval is Clopper-Pearson's for one run. Raises ValueError for no runs, and for
    runs of unequal length in the same worlds.
    """
    tables = [_finite(run) for run in runs]
    if not tables:
        raise ValueError("pooled_mean needs at least one run")
    sizes = [table.size for table in tables]
    if same_worlds and len(set(sizes)) > 1:
        raise ValueError(f"runs of {sizes} values cannot have been measured in the same worlds")
    is_rate = all(np.asarray(run).dtype == np.bool_ for run in runs)
    estimate = float(np.mean([table.mean() for table in tables]))
    if is_rate and estimate in (0.0, 1.0):
        fewest = min(sizes)
        interval = clopper_pearson(round(estimate * fewest), fewest, confidence)
    elif len(tables) == 1:
        interval = bootstrap_mean(tables[0], confidence, seed, resamples)
    else:
        draw = _crossed_means if same_worlds else _nested_means
        means = draw(tables, np.random.default_rng(seed), resamples)
        tail = (1 - confidence) / 2
        low, high = np.quantile(means, [tail, 1 - tail])
        if is_rate:  # the widened weights of runs can reach beyond what a rate can be
            low, high = max(low, 0.0), min(high, 1.0)
        interval = Interval(float(low), float(high), confidence)
    return Estimate(estimate, interval, sum(sizes), is_rate)


def mcnemar_exact(a_only: int, b_only: int) -> float:
    """p of "both succeed equally often", from the worlds where only one did (McNemar 1947, exact).

    Two-sided binomial test of a fair coin; 1 where they never differ.
    """
    if a_only < 0 or b_only < 0:
        raise ValueError(f"counts cannot be negative, got {a_only} and {b_only}")
    n, fewer = a_only + b_only, min(a_only, b_only)
    if n == 0:
        return 1.0
    tail = math.fsum(
        math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) - n * math.log(2))
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * tail)


def sign_flip(differences: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> float:
    """p of "either sign of each paired difference was equally likely" (Fisher 1935); two-sided.

    Exact up to 14 differences that are not zero, else from random flips. For successes, whose
    differences are -1, 0 and 1, it is McNemar's exact test.
    """
    numbers = _finite(differences)
    numbers = numbers[numbers != 0]
    if numbers.size == 0:
        return 1.0
    threshold = abs(numbers.sum()) - 1e-9 * np.abs(numbers).sum()
    if numbers.size <= 14:
        every = (np.arange(2**numbers.size)[:, None] >> np.arange(numbers.size)) & 1
        return float((np.abs((1 - 2 * every) @ numbers) >= threshold).mean())
    generator = np.random.default_rng(seed)
    extreme = 0
    for rows in _blocks(resamples, numbers.size):
        signs = 1.0 - 2.0 * generator.integers(2, size=(rows, numbers.size), dtype=np.int8)
        extreme += int((np.abs(signs @ numbers) >= threshold).sum())
    return (1 + extreme) / (1 + resamples)


def paired_rate_interval(
    a_only: int, b_only: int, n: int, confidence: float = CONFIDENCE
) -> Interval:
    """The interval of rate(a) - rate(b) over n shared worlds: Tango's score interval (1998).

    `a_only`, `b_only`: worlds in which only a, only b succeeded. Unlike the bootstrap it stays honest
    where the two never differ: 0 of 10 leaves 28 points open on either side.
    """
    if not (n >= 1 and a_only >= 0 and b_only >= 0 and a_only + b_only <= n):
        raise ValueError(f"{a_only} and {b_only} differing of {n} worlds is impossible")
    z = float(ndtri((1 + confidence) / 2))
    estimate = (a_only - b_only) / n

    def score(difference: float) -> float:
        """Distance of the estimate from `difference`, in standard errors under it."""
        linear = (2 * n - a_only + b_only) * difference - a_only - b_only
        constant = -b_only * difference * (1 - difference)
        b_rate = (math.sqrt(max(0.0, linear**2 - 8 * n * constant)) - linear) / (4 * n)
        variance = n * (2 * b_rate + difference * (1 - difference))
        gap = a_only - b_only - n * difference
        return gap / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, gap)

    low = _root(lambda d: score(d) - z, -1.0, estimate)
    high = _root(lambda d: score(d) + z, estimate, 1.0)
    return Interval(low, high, confidence)


def paired_difference(
    a: ArrayLike, b: ArrayLike, confidence: float = CONFIDENCE, seed: int = 0
) -> Estimate:
    """mean(a) - mean(b) of values (n,) from the same n worlds, with its interval.

    Bool arrays are successes: Tango's interval. Else the bootstrap over the worlds.
    """
    first, second = _pairs(a, b)
    difference = first.astype(np.float64) - second
    value = float(difference.mean())
    if first.dtype == np.bool_ and second.dtype == np.bool_:
        counts = int((difference > 0).sum()), int((difference < 0).sum())
        interval = paired_rate_interval(*counts, difference.size, confidence)
        return Estimate(value, interval, difference.size, is_rate=True)
    return Estimate(value, bootstrap_mean(difference, confidence, seed), difference.size)


def paired_test(a: ArrayLike, b: ArrayLike, seed: int = 0) -> float:
    """p of "a and b are equally good" over the same worlds: McNemar for bool arrays, else sign flips."""
    first, second = _pairs(a, b)
    if first.dtype == np.bool_ and second.dtype == np.bool_:
        return mcnemar_exact(int((first & ~second).sum()), int((second & ~first).sum()))
    return sign_flip(first.astype(np.float64) - second, seed)


def non_inferior(a: ArrayLike, b: ArrayLike, margin: float) -> bool:
    """True when a is no worse than b: the interval of the paired difference lies above -`margin`.

    3 points is a margin of 0.03 for bool arrays; 3 % is 0.03 times the mean of b.
    """
    if not margin > 0:
        raise ValueError(f"margin {margin}, expected more than 0")
    return shows_no_worse(paired_difference(a, b), margin)


def shows_no_worse(difference: Estimate, margin: float) -> bool:
    """True when the interval of a paired difference lies above -`margin`.

    Where all differences are equal the bootstrap sees no spread; then it takes 100 worlds, for three
    in a hundred may still differ unseen (the rule of three). As with every mean, what is rarer than
    one in n may be missing from the sample.
    """
    interval = difference.interval
    has_spread = interval.high > interval.low or difference.n >= 100
    return has_spread and interval.low > -margin


def rollouts_needed(
    p1: float, p2: float, power: float = 0.8, confidence: float = CONFIDENCE
) -> int:
    """Rollouts of each of two policies, in worlds of their own, to tell rates p1 and p2 apart.

    Two-sided test of two proportions with pooled variance (Fleiss 1981, without its correction).
    """
    if not (0 <= p1 <= 1 and 0 <= p2 <= 1 and p1 != p2):
        raise ValueError(f"rates {p1} and {p2}: expected two different fractions")
    middle = (p1 + p2) / 2
    under_equal = math.sqrt(2 * middle * (1 - middle))
    under_apart = math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    z_test, z_power = float(ndtri((1 + confidence) / 2)), float(ndtri(power))
    return math.ceil(((z_test * under_equal + z_power * under_apart) / (p1 - p2)) ** 2)


def paired_rollouts_needed(
    differences: ArrayLike, power: float = 0.8, confidence: float = CONFIDENCE
) -> int | None:
    """Shared worlds in which paired differences like these would show; None if they are 0 on average.

    For successes (-1, 0, 1) this is Connor's formula (1987). It takes what was observed for the
    truth: a guide, not a promise.
    """
    numbers = _finite(differences)
    effect = float(numbers.mean())
    if abs(effect) <= 1e-12 * float(np.abs(numbers).max()):
        return None
    z_test, z_power = float(ndtri((1 + confidence) / 2)), float(ndtri(power))
    spread = z_test * math.sqrt(float((numbers**2).mean())) + z_power * float(numbers.std())
    return math.ceil((spread / effect) ** 2)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1 or numbers.size == 0 or not np.isfinite(numbers).all():
        raise ValueError(
            f"expected at least one value, all finite, in one dimension; got shape {numbers.shape}, "
            f"{int(np.isfinite(numbers).sum())} of them finite"
        )
    return numbers


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second = np.asarray(a), np.asarray(b)
    if first.shape != second.shape:
        raise ValueError(f"pairs need equal shapes, got {first.shape} and {second.shape}")
    for values in (first, second):
        _finite(values)
    return first, second


def _resampled_means(
    numbers: NDArray[np.float64], seed: int, resamples: int
) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    return np.concatenate(
        [
            numbers[generator.integers(numbers.size, size=(rows, numbers.size))].mean(1)
            for rows in _blocks(resamples, numbers.size)
        ]
    )


def _crossed_means(
    tables: Sequence[NDArray[np.float64]], generator: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    values = np.stack(tables)  # (R, N)
    runs, worlds = values.shape
    parts = []
    for rows in _blocks(resamples, worlds):
        drawn = generator.integers(worlds, size=(rows, worlds))
        means = np.stack([run[drawn].mean(1) for run in values], 1)  # (rows, R)
        parts.append((_run_weights(runs, generator, rows) * means).sum(1))
    return np.concatenate(parts)


def _nested_means(
    tables: Sequence[NDArray[np.float64]], generator: np.random.Generator, resamples: int
) -> NDArray[np.float64]:
    means = np.stack(
        [_resampled_means(t, int(generator.integers(2**32)), resamples) for t in tables], 1
    )
    return (_run_weights(len(tables), generator, resamples) * means).sum(1)


def _run_weights(runs: int, generator: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """How much each run counts in each resample (rows, R), spread as the population of runs is."""
    drawn = generator.multinomial(runs, np.full(runs, 1 / runs), rows) / runs
    return 1 / runs + math.sqrt(runs / (runs - 1)) * (drawn - 1 / runs)


def _blocks(total: int, width: int) -> list[int]:
    rows = max(1, _BLOCK // width)
    return [min(rows, total - start) for start in range(0, total, rows)]


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses 0 between `low` and `high`, or the end that it leads to."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
