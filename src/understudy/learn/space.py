"""What a sweep varies: options of training, each over a list of values or a range.

Values are words, as the command line has them; who trains reads them as it reads its options.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

Choice = Mapping[str, str]  # option: value
DIGITS = 4  # of a drawn number: as many as anybody would write down
NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
FORM = "expected OPTION=VALUE,VALUE... or OPTION=LOW..HIGH, with :log behind it for a wide range"


@final
@dataclass(frozen=True)
class Values:
    """An option and the values that it takes."""

    option: str
    words: tuple[str, ...]

    def at(self, share: float) -> str:
        """The value at a share 0..1 of the list."""
        return self.words[min(int(share * len(self.words)), len(self.words) - 1)]

    @property
    def ends(self) -> tuple[str, ...]:
        """Values whose being allowed says that all are."""
        return self.words


@final
@dataclass(frozen=True)
class Range:
    """An option and the numbers between which its value lies; both ends are whole if one has no point."""

    option: str
    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    def at(self, share: float) -> str:
        """The value at a share 0..1 of the range, of its logarithm if `is_log`."""
        if self.is_whole:
            value = round(self._between(self.low - 0.5, self.high + 0.5, share))
            return str(int(min(max(value, self.low), self.high)))
        return self.written(self._between(self.low, self.high, share))

    @property
    def ends(self) -> tuple[str, ...]:
        """Values whose being allowed says that all are."""
        return self.at(0.0), self.at(1.0)

    def written(self, value: float) -> str:
        """A number as a person would write it, within the range."""
        rounded = float(f"{value:.{DIGITS}g}")
        return repr(int(value) if self.is_whole else min(max(rounded, self.low), self.high))

    def _between(self, low: float, high: float, share: float) -> float:
        if self.is_log:
            return math.exp((1 - share) * math.log(low) + share * math.log(high))
        return (1 - share) * low + share * high


Axis = Values | Range


def axis_of(text: str) -> Axis:
    """Read "width=64,128" or "learning-rate=1e-4..1e-2:log"; raises ValueError for anything else."""
    option, equals, rest = text.partition("=")
    option = option.strip().lstrip("-").replace("_", "-")
    if not option or not equals or not rest:
        raise ValueError(f"--vary {text!r}: {FORM}")
    found = re.fullmatch(rf"({NUMBER})\.\.({NUMBER})(:log)?", rest.strip())
    if found is None:
        words = tuple(word.strip() for word in rest.split(","))
        if ".." in rest or not all(words):
            raise ValueError(f"--vary {text!r}: {FORM}")
        if len(set(words)) < len(words):
            raise ValueError(f"--vary {text!r}: a value is given more than once")
        return Values(option, words)
    low, high, is_log = float(found[1]), float(found[2]), bool(found[3])
    if not low < high:
        raise ValueError(f"--vary {text!r}: {low:g} is not below {high:g}")
    if is_log and low <= 0:
        raise ValueError(f"--vary {text!r}: a range with :log lies above 0")
    is_whole = all(re.fullmatch(r"[-+]?\d+", end) for end in found.groups()[:2])
    return Range(option, low, high, is_log, is_whole)


def axes_of(texts: Sequence[str]) -> tuple[Axis, ...]:
    """Read all; raises ValueError for none, and for an option that is there twice."""
    if not texts:
        raise ValueError(f"--vary says which options a sweep is over: {FORM}")
    axes = tuple(axis_of(text) for text in texts)
    names = [axis.option for axis in axes]
    if len(set(names)) < len(names):
        raise ValueError(f"--vary has an option twice: {', '.join(names)}")
    return axes


def grid(axes: Sequence[Axis]) -> list[Choice]:
    """Every combination, the last option changing fastest; raises ValueError for a range."""
    for axis in axes:
        if isinstance(axis, Range):
            raise ValueError(
                f"a grid takes lists, and {axis.option} has a range: name its values, "
                f"{axis.option}={','.join(dict.fromkeys(axis.at(s) for s in (0, 0.5, 1)))} for one"
            )
    words = [axis.words for axis in axes if isinstance(axis, Values)]
    names = [axis.option for axis in axes]
    return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*words)]


def drawn(axes: Sequence[Axis], count: int, seed: int) -> list[Choice]:
    """`count` different combinations at random, fewer where there are no more.

    Random search finds as much as a grid with fewer trials where few options matter (Bergstra &
    Bengio 2012).
    """
    generator = np.random.default_rng([seed, 0x53776565])  # not the numbers that training draws
    found: dict[tuple[str, ...], Choice] = {}
    for _ in range(100 * count):
        choice = {axis.option: axis.at(float(generator.random())) for axis in axes}
        found.setdefault(tuple(choice.values()), choice)
        if len(found) == count:
            break
    return list(found.values())
