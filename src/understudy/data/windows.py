"""Training samples: the last K observations and the next H actions, drawn by index gathers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from understudy.data.order import Order
from understudy.spec import ACTION, Spec

TICK = "tick"
TASK = "task"
PastEnd = Literal["left_out", "held"]
BLOCK_SAMPLES = 4096  # samples gathered at a time; best of 256 to 65,536, benchmarks/windows.py


class Columns(Protocol):
    """What windows need of a dataset; `understudy.data.store.Dataset` is one."""

    @property
    def spec(self) -> Spec: ...
    @property
    def lengths(self) -> NDArray[np.int64]: ...
    @property
    def tasks(self) -> Sequence[str]: ...
    @property
    def fingerprint(self) -> str: ...
    def column(self, key: str) -> NDArray[Any]: ...


class Frames(Protocol):
    """Decoded camera frames; `understudy.data.frames.FrameCache` is one."""

    def gather(
        self, key: str, episode: NDArray[np.int64], tick: NDArray[np.int64]
    ) -> NDArray[np.uint8]: ...
    def expect(self, episodes: NDArray[np.int64], /) -> None: ...


@final
@dataclass(frozen=True)
class Batch:
    """B samples. Windows that reach over an episode's edge repeat its first or last row."""

    observations: Mapping[str, Tensor]  # {key: (B, K, *shape)}, oldest first; cameras uint8;
    # "tick" (B, K) int64, the ticks since the episode's beginning; "task" (B,) int64, its number
    # in `Windows.tasks`
    actions: Tensor  # (B, H, A) from the current tick, or from `first_action` ticks away of it:
    # float32, or int64 choices
    valid: (
        Tensor  # (B, H) bool: False where nothing is to be learnt: outside the episode, unless its
    )
    # last action is held

    def __len__(self) -> int:
        return len(self.actions)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch on a device: itself, where it is there already."""
        if self.actions.device == torch.device(device):
            return self
        return Batch(
            {key: value.to(device) for key, value in self.observations.items()},
            self.actions.to(device),
            self.valid.to(device),
        )

    def _part(self, start: int, stop: int) -> Batch:
        return Batch(
            {key: value[start:stop] for key, value in self.observations.items()},
            self.actions[start:stop],
            self.valid[start:stop],
        )


@final
@dataclass(frozen=True)
class Statistics:
    """Exact statistics of one signal over all ticks, each (D,) float64."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]


@final
class Windows:
    """All windows of some episodes of a dataset, one per tick, or one per tick that is `taught`.

    `batch(step)` is a pure function of (seed, step, rank, world_size), see `Order`. Targets are the
    expert's labels where there are any, else the actions. Behind a tick at which something else was
    played than its target, a chunk's steps are not learnt: their targets are for states to which the
    chunk does not lead. `taught` (ticks of the dataset,) leaves out as well, as current tick and as
    step of a chunk, where it is False. Raises ValueError when there is nothing to draw from, or
    values are not finite.
    """

    def __init__(
        self,
        dataset: Columns,
        *,
        history: int,
        horizon: int,
        spec: Spec | None = None,
        episodes: Sequence[int] | NDArray[np.int64] | None = None,
        batch_size: int = 256,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        frames: Frames | None = None,
        first_action: int = 0,
        past_end: PastEnd = "left_out",
        block: int = 0,
        taught: NDArray[np.bool_] | None = None,
    ) -> None:
        for name, value in (("history", history), ("horizon", horizon), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.spec = spec or dataset.spec  # `spec` may leave out observations that nobody reads
        self.history, self.horizon, self.first_action = history, horizon, first_action
        self.batch_size, self._streams = batch_size, block > 0
        self._holds = past_end == "held"
        self.fingerprint = dataset.fingerprint
        self.episodes = _chosen(episodes, len(dataset.lengths))  # (E,) increasing
        self._frames = frames
        if self.spec.cameras and frames is None:
            raise ValueError(f"the dataset has cameras {self.spec.cameras}: windows need `frames`")
        self._index(dataset)
        self._vectors = {key: self._column(dataset, key) for key in self.spec.vectors}
        actions, targets = _actions_and_targets(dataset, self._rows)
        self._targets = _tensor(targets)  # (n, A)
        self._until = self._followed(actions, targets)  # (n,)
        self._taught = None if taught is None else taught[self._rows]  # (n,)
        self._drawn = None if self._taught is None else np.flatnonzero(self._taught)
        if self._drawn is not None and not len(self._drawn):
            raise ValueError(
                f"there is nothing to learn from: no tick of the episodes is taught, {self._named()}. "
                "If they were to be held out: --held-out 0, or another --seed"
            )
        self.tasks = tuple(
            sorted({str(task) for task in dataset.tasks})
        )  # also those not drawn from
        texts = [str(dataset.tasks[i]) for i in self.episodes]
        numbers = {task: number for number, task in enumerate(self.tasks)}
        per_episode = np.array([numbers[text] for text in texts], np.int64)
        self._task = torch.from_numpy(per_episode[self._episode])
        self._order = Order(
            dataset.lengths[self.episodes] if self._drawn is None else self._counts(),
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            block=block,
        )
        self._block: tuple[int, Batch] | None = None

    def __len__(self) -> int:
        return len(self._rows) if self._drawn is None else len(self._drawn)

    @property
    def episode_count(self) -> int:
        """Number of episodes that are drawn from."""
        return len(self.episodes)

    def batch(self, step: int) -> Batch:
        """Return the samples of one optimisation step on this rank."""
        if self.spec.cameras:
            batch = self.gather(self._order.draw(step))
            if self._streams and self._frames is not None:
                self._frames.expect(self.episodes[self._order.around(step)])
            return batch
        steps = max(1, BLOCK_SAMPLES // self.batch_size)
        first = step - step % steps
        if self._block is None or self._block[0] != first:
            self._block = (first, self.gather(self._order.draw(first, steps)))
        start = (step - first) * self.batch_size
        return self._block[1]._part(start, start + self.batch_size)

    def every(self, batch_size: int = 1024) -> Iterator[Batch]:
        """Yield each window once, in the order of the data."""
        for start in range(0, len(self), batch_size):
            yield self.gather(np.arange(start, min(start + batch_size, len(self))))

    def statistics(self, key: str) -> Statistics:
        """Return the exact statistics of a vector observation, or of the targets ("action")."""
        values = self._targets if key == ACTION else self._vectors[key]
        rows = values.numpy().reshape(len(values), -1).astype(np.float64)
        return Statistics(rows.mean(0), rows.std(0), rows.min(0), rows.max(0))

    def rows(self, key: str) -> Tensor:
        """Return a vector observation at every tick that is drawn from, (n, *shape)."""
        return self._vectors[key]

    def gather(self, index: NDArray[np.int64]) -> Batch:
        """Return the windows of these numbers, 0..len-1."""
        if self._drawn is not None:
            index = self._drawn[index]
        seen = np.maximum(index[:, None] + np.arange(1 - self.history, 1), self._first[index, None])
        ahead = index[:, None] + np.arange(self.first_action, self.first_action + self.horizon)
        first, last = self._first[index, None], self._last[index, None]
        flat_seen = torch.from_numpy(seen.reshape(-1))
        observations = {
            key: column.index_select(0, flat_seen).view(*seen.shape, *column.shape[1:])
            for key, column in self._vectors.items()
        }
        observations[TICK] = torch.from_numpy(seen - self._first[index, None])
        observations[TASK] = self._task[torch.from_numpy(index)]
        for key in self.spec.cameras:
            observations[key] = self._camera(key, seen)
        within = ahead.clip(first, last)
        valid = (ahead <= self._until[index, None]) & ((first <= ahead) | self._holds)
        if self._taught is not None:
            valid &= self._taught[within]
        return Batch(
            observations=observations,
            actions=self._targets.index_select(0, torch.from_numpy(within.reshape(-1))).view(
                *ahead.shape, -1
            ),
            valid=torch.from_numpy(valid),
        )

    def _followed(self, actions: NDArray[Any], targets: NDArray[Any]) -> NDArray[np.int64]:
        """Up to which row the chunk from each row is to be learnt, (n,).

        That is the next row at which not its target was played, itself included, else the episode's
        last; or, where the last action is held past the end, no row at all.
        """
        end = np.where(self._holds, np.iinfo(np.int64).max, self._last)
        if targets is actions:
            return end
        left = np.flatnonzero((actions != targets).reshape(len(targets), -1).any(1))
        if not len(left):
            return end
        at = np.searchsorted(left, np.arange(len(targets)))
        following = left[np.minimum(at, len(left) - 1)]
        return np.where((at < len(left)) & (following <= self._last), following, end)

    def _named(self) -> str:
        first = ", ".join(map(str, self.episodes[:8].tolist()))
        return f"numbers {first}{' ...' if len(self.episodes) > 8 else ''}"

    def _counts(self) -> NDArray[np.int64]:
        """Windows of each episode that are drawn, (E,)."""
        return np.bincount(self._episode[self._drawn], minlength=len(self.episodes))

    def _camera(self, key: str, seen: NDArray[np.int64]) -> Tensor:
        assert self._frames is not None
        flat = seen.reshape(-1)
        episode = self._episode[flat]
        frames = self._frames.gather(key, self.episodes[episode], flat - self._first[flat])
        return torch.from_numpy(frames).view(*seen.shape, *frames.shape[1:])

    def _index(self, dataset: Columns) -> None:
        """Number the windows 0..n-1, episode after episode, and note each one's episode and edges."""
        lengths = dataset.lengths
        if not len(self.episodes) or not lengths[self.episodes].sum():
            raise ValueError(
                f"there is nothing to learn from: {len(self.episodes)} of {len(lengths)} episodes "
                "were chosen, with no ticks; collect or import demonstrations first"
            )
        starts = np.concatenate([[0], np.cumsum(lengths)])[self.episodes]
        counts = lengths[self.episodes]
        ends = np.cumsum(counts)
        self._episode = np.repeat(np.arange(len(counts)), counts)  # (n,)
        self._first = np.repeat(ends - counts, counts)  # (n,) window number of the episode's first
        self._last = np.repeat(ends - 1, counts)  # (n,)
        self._rows = (
            np.repeat(starts, counts) + np.arange(ends[-1]) - self._first
        )  # (n,) in columns

    def _column(self, dataset: Columns, key: str) -> Tensor:
        values = _rows_of(dataset.column(key), self._rows)
        values = np.ascontiguousarray(values, np.float32)
        _require_finite(key, values)
        return _tensor(values)


def _chosen(episodes: Sequence[int] | NDArray[np.int64] | None, count: int) -> NDArray[np.int64]:
    """Numbers of the episodes to draw from, in order; raises ValueError for any that is no number."""
    if episodes is None:
        return np.arange(count)
    numbers = np.asarray(episodes) if len(episodes) else np.zeros(0, np.int64)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1:
        raise ValueError(
            f"episodes are numbers 0..{count - 1}, got {numbers.dtype} {numbers.shape}"
        )
    if len(np.unique(numbers)) < len(numbers) or (numbers < 0).any() or (numbers >= count).any():
        raise ValueError(f"episodes {numbers.tolist()[:8]} must differ and lie in 0..{count - 1}")
    return np.sort(numbers.astype(np.int64))


def _rows_of(column: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of a column: the memory-mapped array itself when they are all of it, in order."""
    return column if len(rows) == len(column) else column[rows]


def _actions_and_targets(
    dataset: Columns, rows: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What was played and what to imitate at each tick, (n, A) each; one array where it is the same.

    To imitate are labels where there are any, else actions.
    """
    signal = dataset.spec.action
    dtype = np.int64 if signal.choices else np.float32
    actions = np.ascontiguousarray(_rows_of(dataset.column(ACTION), rows), dtype)
    labels = _rows_of(dataset.column("label"), rows)
    targets = actions
    if labels.size and labels.dtype.kind == "f":
        given = np.isfinite(labels).all(axis=1, keepdims=True)
        if given.any():
            targets = np.ascontiguousarray(np.where(given, labels, actions), dtype)
    if not signal.choices:
        _require_finite(ACTION, targets)
    return actions, targets


def _tensor(values: NDArray[Any]) -> Tensor:
    """Share memory with an array, a read-only file map too: nobody writes to the columns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(values)


def _require_finite(key: str, values: NDArray[Any]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.argwhere(~finite)[0][0])
        raise ValueError(f"{key}: {values[row]} at row {row} of the chosen episodes is not finite")
