"""Symmetries of a task: each demonstration shows another one, seen in a mirror.

Where a task looks the same in a mirror, so do good demonstrations of it. A symmetry is written as
one equation for each number that changes, `agent_x = 512 - agent_y`, with the names that the signals
give their numbers; it holds for every signal that has such a number, of observations and actions
alike. Pictures are turned over as a whole. Van der Pol et al. 2020 (arXiv 2006.16908) build such
symmetries into the network; here they are in the data, so that every policy learns from them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from understudy.data.features import LIKE_ACTION
from understudy.data.windows import Columns, Frames
from understudy.spec import ACTION, Signal, Spec

EQUATION = re.compile(
    r"\s*(?P<left>\w+)\s*=\s*(?P<offset>[-+]?\d+(?:\.\d+)?(?=\s*[-+]))?\s*(?P<sign>[-+])?\s*"
    r"(?P<right>[A-Za-z_]\w*)\s*"
)
Pictures = Literal["as-they-are", "left-right", "up-down", "diagonal", "other-diagonal"]
# Of (..., Y, X, 3). The diagonal goes from the first pixel to the last; other than square pictures
# have none that keeps their shape.
TURNS: Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]] = MappingProxyType(
    {
        "as-they-are": lambda frames: frames,
        "left-right": lambda frames: frames[..., ::-1, :],
        "up-down": lambda frames: frames[..., ::-1, :, :],
        "diagonal": lambda frames: frames.swapaxes(-3, -2),
        "other-diagonal": lambda frames: frames[..., ::-1, ::-1, :].swapaxes(-3, -2),
    }
)


@final
@dataclass(frozen=True, kw_only=True)
class MirrorConfig:
    """A mirror in which the task looks the same; by default there is none."""

    mirror: tuple[str, ...] = ()
    """What numbers become in a mirror in which the task is the same: "x = 512 - y" "y = 512 - x"."""
    mirror_pictures: Pictures = "as-they-are"
    """How the frames of all cameras are turned over in it."""


@final
@dataclass(frozen=True)
class _Image:
    """What one signal becomes: values[..., source] * sign + offset, each (D,)."""

    source: NDArray[np.int64]
    sign: NDArray[np.float64]
    offset: NDArray[np.float64]

    def __call__(self, values: NDArray[Any]) -> NDArray[Any]:
        moved = values[..., self.source]
        return (moved * self.sign + self.offset).astype(values.dtype)


@final
class Mirror:
    """What vectors become in a mirror.

    Raises ValueError for an equation that cannot be read, names nothing that is there, or stands for
    a choice; for a mirror whose mirror image is another; and for pictures that it would reshape.
    """

    def __init__(self, spec: Spec, config: MirrorConfig) -> None:
        equations = [_parsed(text) for text in config.mirror]
        signals = {ACTION: spec.action} | {key: spec.observations[key] for key in spec.vectors}
        _require_known(equations, signals)
        images = {key: _image(key, signal, equations) for key, signal in signals.items()}
        self._images = {key: image for key, image in images.items() if image is not None}
        for key in spec.cameras:
            rows, columns, _ = spec.observations[key].shape
            if "diagonal" in config.mirror_pictures and rows != columns:
                raise ValueError(
                    f"mirror: {key} is {columns} x {rows}, only a square can be turned over a diagonal"
                )

    def __call__(self, key: str, values: NDArray[Any]) -> NDArray[Any]:
        """Values (..., D) of an observation, "action", "executed" or "label", mirrored: a copy."""
        image = self._images.get(ACTION if key in LIKE_ACTION else key)
        return values.copy() if image is None else image(values)


@final
class Mirrored:
    """A dataset's episodes, and after them, in the same order, their mirror images."""

    def __init__(self, dataset: Columns, config: MirrorConfig) -> None:
        self.dataset, self.mirror = dataset, Mirror(dataset.spec, config)

    @property
    def spec(self) -> Spec:
        return self.dataset.spec

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.tile(self.dataset.lengths, 2)

    @property
    def tasks(self) -> Sequence[str]:
        return [*self.dataset.tasks, *self.dataset.tasks]

    @property
    def fingerprint(self) -> str:
        return self.dataset.fingerprint

    def column(self, key: str) -> NDArray[Any]:
        """Rows of the dataset and of its mirror image, (2 n, D)."""
        values = self.dataset.column(key)
        return np.concatenate([values, self.mirror(key, values)])

    def both(self, episodes: Sequence[int] | NDArray[np.int64]) -> list[int]:
        """Numbers of these episodes and of their mirror images."""
        count = len(self.dataset.lengths)
        return [*episodes, *(count + episode for episode in episodes)]


@final
@dataclass(frozen=True)
class MirroredFrames:
    """Frames of the episodes of `Mirrored`."""

    frames: Frames
    episodes: int  # of the dataset
    pictures: Pictures

    def gather(
        self, key: str, episode: NDArray[np.int64], tick: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Frames (n, Y, X, 3) of these ticks, a copy."""
        found = self.frames.gather(key, episode % self.episodes, tick)
        turned = episode >= self.episodes
        found[turned] = TURNS[self.pictures](found[turned])
        return found

    def expect(self, episodes: NDArray[np.int64], /) -> None:
        """Episodes that are read next, those that are soonest first."""
        self.frames.expect(np.array([*dict.fromkeys((episodes % self.episodes).tolist())]))


def _require_known(
    equations: Sequence[tuple[str, float, float, str]], signals: Mapping[str, Signal]
) -> None:
    names = {name for signal in signals.values() for name in signal.names}
    for left, *_, right in equations:
        for name in (left, right):
            if name not in names:
                raise ValueError(
                    f"mirror: no number is called {name!r}; there is: {', '.join(sorted(names))}"
                )


def _parsed(text: str) -> tuple[str, float, float, str]:
    """(left, offset, sign, right) of an equation."""
    match = EQUATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f"mirror: cannot read {text!r}; write NAME = NAME, NAME = -NAME or NAME = 512 - NAME"
        )
    sign = -1.0 if match["sign"] == "-" else 1.0
    return match["left"], float(match["offset"] or 0), sign, match["right"]


def _image(
    key: str, signal: Signal, equations: Sequence[tuple[str, float, float, str]]
) -> _Image | None:
    """What `signal` becomes; None where no equation is about it."""
    about = [equation for equation in equations if equation[0] in signal.names]
    if not about:
        return None
    if signal.choices is not None:
        raise ValueError(f"mirror: {key} is a choice among {signal.choices}, no number")
    source = np.arange(signal.size)
    sign, offset = np.ones(signal.size), np.zeros(signal.size)
    for left, constant, factor, right in about:
        if right not in signal.names:
            raise ValueError(f"mirror: {left!r} of {key} needs {right!r}, which is not in {key}")
        number = signal.names.index(left)
        source[number], sign[number] = signal.names.index(right), factor
        offset[number] = constant
    image = _Image(source, sign, offset)
    probe = np.arange(1.0, signal.size + 1)
    for name, before, after in zip(signal.names, probe, image(image(probe)), strict=True):
        if not np.isclose(before, after):
            raise ValueError(
                f"mirror: in a mirror's mirror all is as it was, but {name!r} of {key} is not: "
                "an equation is missing or wrong"
            )
    return image
