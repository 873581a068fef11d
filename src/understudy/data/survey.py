"""The numbers of a dataset that a person wants to see: ranges, what never moves, what jumps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from understudy.spec import ACTION, Signal, Spec

STILL_PER_S = 0.01  # of its range: a dimension that moves less in a second stands still
JUMP = 5.0  # times the 95 % quantile of its moves
FAR = 2.0  # times the span of its inner 98 %, away from its median
BINS = 28


class Columns(Protocol):
    """What a survey needs of a dataset; `understudy.data.store.Dataset` is one."""

    @property
    def spec(self) -> Spec: ...
    @property
    def lengths(self) -> NDArray[np.int64]: ...
    @property
    def selected(self) -> NDArray[np.int64]: ...
    def column(self, key: str, /) -> NDArray[Any]: ...


@final
@dataclass(frozen=True)
class Dimension:
    """One number of a signal over all ticks of the selected episodes."""

    name: str
    least: float
    mean: float
    most: float
    std: float
    still: float  # share of ticks, 0..1
    missing: int  # ticks at which it is not a finite number
    bars: tuple[float, ...]  # (BINS,) relative frequency between least and most, the tallest is 1

    @property
    def is_constant(self) -> bool:
        """Whether it has one value throughout."""
        return self.least == self.most


@final
@dataclass(frozen=True)
class SignalSurvey:
    """A signal and its dimensions."""

    key: str
    signal: Signal
    still: float  # share of ticks at which none of its dimensions moves
    dimensions: tuple[Dimension, ...]


@final
@dataclass(frozen=True)
class Oddity:
    """A value that differs much from what its dimension does elsewhere."""

    kind: str  # "jump" or "far value"
    key: str
    name: str
    unit: str
    episode: int
    tick: int
    before: float  # the value one tick earlier; for a far value the median
    value: float
    ratio: float  # over the usual


def names_of(signal: Signal) -> tuple[str, ...]:
    """A name for each element, counted where the signal has none."""
    return signal.names or tuple(str(i) for i in range(signal.size))


def signals_of(spec: Spec) -> dict[str, Signal]:
    """Everything that is a vector, the action last."""
    return {**{key: spec.observations[key] for key in spec.vectors}, ACTION: spec.action}


def survey(dataset: Columns) -> tuple[list[SignalSurvey], list[Oddity]]:
    """Look once at every number of the selected episodes.

    At most one jump and one far value per dimension and episode, the most striking first.
    """
    ticks = _Ticks(dataset)
    signals, odd = [], []
    for key, signal in signals_of(dataset.spec).items():
        column = dataset.column(key)
        rows = column.reshape(len(column), signal.size)
        stands = np.ones(len(ticks.rows), np.bool_)
        dimensions = []
        for i, name in enumerate(names_of(signal)):
            values = rows[ticks.rows, i].astype(np.float64)  # (n,)
            moves = ticks.moves(values)
            still = moves <= STILL_PER_S / dataset.spec.rate_hz * _span(values)
            stands &= still
            dimensions.append(_dimension(name, values, ticks.share(still)))
            if signal.choices is None:
                odd += _oddities(ticks, key, name, signal.unit, values, moves)
        signals.append(SignalSurvey(key, signal, ticks.share(stands), tuple(dimensions)))
    return signals, sorted(odd, key=lambda o: (-o.ratio, o.key, o.name, o.episode))


def jerkiness(dataset: Columns) -> NDArray[np.float64]:
    """How unsteady the commands of each episode are, (E,): mean size of their third difference.

    Each dimension counts in units of its standard deviation; episodes under four ticks are 0.
    """
    actions = dataset.column(ACTION).reshape(-1, dataset.spec.action.size)
    scale = np.where(actions.std(0) > 0, actions.std(0), 1.0)  # (A,)
    found = np.zeros(len(dataset.lengths))
    ends = np.cumsum(dataset.lengths)
    for i, (start, end) in enumerate(zip(ends - dataset.lengths, ends, strict=True)):
        if end - start >= 4:
            found[i] = np.abs(np.diff(actions[start:end] / scale, n=3, axis=0)).mean()
    return found


@final
class _Ticks:
    """The ticks of the selected episodes, one after the other, and where each episode begins."""

    def __init__(self, dataset: Columns) -> None:
        lengths = dataset.lengths
        self.episodes = np.array([i for i in dataset.selected if lengths[i]], np.int64)
        counts = lengths[self.episodes]
        starts = (np.cumsum(lengths) - lengths)[self.episodes]
        self.starts = np.cumsum(counts) - counts  # (E,) in the chosen ticks
        self.rows = np.repeat(starts - self.starts, counts) + np.arange(counts.sum())  # (n,)

    def moves(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far each value is from the one a tick earlier; 0 at an episode's first, (n,)."""
        with np.errstate(invalid="ignore"):
            moves = np.abs(np.diff(values, prepend=values[:1]))
        moves[self.starts] = 0.0
        return np.nan_to_num(moves, nan=0.0, posinf=0.0)

    def share(self, still: NDArray[np.bool_]) -> float:
        """The share of ticks that stand still (n,), not counting episodes' first ones."""
        counted = len(still) - len(self.starts)
        return (int(still.sum()) - len(self.starts)) / counted if counted else 0.0

    def greatest(self, score: NDArray[np.float64]) -> NDArray[np.int64]:
        """The tick with the greatest score in each episode, (E,)."""
        parts = np.split(score, self.starts[1:])
        return np.array([part.argmax() for part in parts], np.int64) + self.starts


def _span(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.ptp(finite)) if len(finite) else 0.0


def _dimension(name: str, values: NDArray[np.float64], still: float) -> Dimension:
    finite = values[np.isfinite(values)]
    missing = len(values) - len(finite)
    if not len(finite):
        return Dimension(name, 0.0, 0.0, 0.0, 0.0, 0.0, missing, (0.0,) * BINS)
    counts, _ = np.histogram(finite, BINS)
    return Dimension(
        name=name,
        least=float(finite.min()),
        mean=float(finite.mean()),
        most=float(finite.max()),
        std=float(finite.std()),
        still=still,
        missing=missing,
        bars=tuple((counts / counts.max()).round(3).tolist()),
    )


def _oddities(
    ticks: _Ticks,
    key: str,
    name: str,
    unit: str,
    values: NDArray[np.float64],
    moves: NDArray[np.float64],
) -> list[Oddity]:
    moving = moves[moves > 0]
    usual = float(np.quantile(moving, 0.95)) if len(moving) >= 20 else 0.0
    found = _exceeding(ticks, moves, JUMP * usual)
    odd = [
        Oddity(
            "jump", key, name, unit, *at, float(values[i - 1]), float(values[i]), moves[i] / usual
        )
        for i, at in found
    ]
    finite = values[np.isfinite(values)]
    low, median, high = np.quantile(finite, (0.01, 0.5, 0.99)) if len(finite) else (0.0, 0.0, 0.0)
    away = np.nan_to_num(np.abs(values - median), nan=0.0, posinf=0.0)
    found = _exceeding(ticks, away, FAR * float(high - low))
    return odd + [
        Oddity(
            "far value",
            key,
            name,
            unit,
            *at,
            float(median),
            float(values[i]),
            away[i] / (high - low),
        )
        for i, at in found
    ]


def _exceeding(
    ticks: _Ticks, score: NDArray[np.float64], bound: float
) -> list[tuple[int, tuple[int, int]]]:
    """(place, (episode, tick)) of the greatest score of each episode that exceeds a bound > 0."""
    if bound <= 0 or not len(score):
        return []
    return [
        (int(i), (int(ticks.episodes[at]), int(i - ticks.starts[at])))
        for at, i in enumerate(ticks.greatest(score))
        if score[i] > bound
    ]
