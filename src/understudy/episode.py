"""One demonstration or one trial, whole: what was seen, commanded and executed, tick by tick."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from understudy.spec import ACTION, Spec, is_image


class Frames(Protocol):
    """Camera frames of an episode that are decoded when asked for; a (T, Y, X, 3) uint8 array is one."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]: ...


@final
@dataclass(frozen=True, eq=False)
class Episode:
    """Row t holds what was seen when `actions[t]` was chosen; T is the number of ticks.

    A learner's target is `labels` where they are finite, else `actions`: see `targets`.
    """

    observations: Mapping[str, NDArray[Any] | Frames]  # {key: (T, *shape)}
    actions: NDArray[Any]  # (T, A) what the actor commanded
    rewards: NDArray[np.float32]  # (T,)
    time_s: NDArray[np.float64]  # (T,) the world's own time: simulated, or a monotonic clock
    terminated: bool
    truncated: bool
    success: bool | None = None
    final_observation: Mapping[str, NDArray[Any]] | None = (
        None  # {key: (*shape)} after the last action
    )
    labels: NDArray[Any] | None = (
        None  # (T, A) what an expert would have done; NaN rows: none given
    )
    executed: NDArray[Any] | None = None  # (T, A) what the world took after its limits
    intervention: NDArray[np.bool_] | None = None  # (T,) who corrects a learner was in control
    act_s: NDArray[np.float32] | None = None  # (T,) how long the actor took; not part of `id`
    task: str = ""
    source: str = ""  # "person", "expert", a policy's fingerprint, "mixture of ..."
    seed: int | None = None
    id: str = ""  # content hash; `identified` fills it in

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def targets(self) -> NDArray[Any]:
        """What a learner should imitate, (T, A): the expert's label where there is one."""
        if self.labels is None:
            return self.actions
        if self.labels.dtype.kind != "f":
            return self.labels
        return np.where(np.isfinite(self.labels), self.labels, self.actions)

    def check(self, spec: Spec) -> Episode:
        """Return this episode with every array in the dtype of `spec`.

        Raises ValueError that names the field, on anything missing, of another length or shape,
        not finite, or without a single tick. Frames that are decoded later are checked by shape.
        """
        ticks = len(self.actions)
        if ticks == 0:
            raise ValueError("the episode has no ticks")
        missing = [key for key in spec.observations if key not in self.observations]
        if missing:
            raise ValueError(f"the episode lacks {missing}; it has {list(self.observations)}")
        observations: dict[str, NDArray[Any] | Frames] = {}
        for key, signal in spec.observations.items():
            values = self.observations[key]
            if is_image(key) and not isinstance(values, np.ndarray):
                if tuple(values.shape) != (ticks, *signal.shape):
                    raise ValueError(
                        f"{key}: shape {tuple(values.shape)}, expected {(ticks, *signal.shape)}"
                    )
                observations[key] = values
            else:
                observations[key] = signal.check(key, np.asarray(values), (ticks,))
        checked = replace(
            self,
            observations=observations,
            actions=spec.action.check(ACTION, self.actions, (ticks,)),
            rewards=_column("rewards", self.rewards, ticks, np.float32),
            time_s=_column("time_s", self.time_s, ticks, np.float64),
            final_observation=_checked_final(self.final_observation, spec),
            labels=_checked_labels(self.labels, spec, ticks),
            executed=None
            if self.executed is None
            else spec.action.check("executed", self.executed, (ticks,)),
            intervention=None
            if self.intervention is None
            else _column("intervention", self.intervention, ticks, np.bool_),
        )
        if np.any(np.diff(checked.time_s) <= 0):
            raise ValueError("time_s must increase from tick to tick")
        return checked

    def identified(self) -> Episode:
        """Return this episode with `id` set: a hash over all that was seen, commanded and noted."""
        digest = hashlib.blake2b(digest_size=16)
        arrays: dict[str, Any] = dict(self.observations)
        arrays |= {f"final.{k}": v for k, v in (self.final_observation or {}).items()}
        for name in ("actions", "labels", "executed", "rewards", "time_s", "intervention"):
            arrays[f"episode.{name}"] = getattr(self, name)
        for key in sorted(arrays):
            if arrays[key] is not None:
                values = np.ascontiguousarray(arrays[key])
                digest.update(f"{key} {values.dtype} {values.shape}\n".encode())
                digest.update(values.tobytes())
        facts = (self.task, self.source, self.seed, self.success, self.terminated, self.truncated)
        digest.update(repr(facts).encode())
        return replace(self, id=digest.hexdigest())


@final
@dataclass(frozen=True)
class Lost:
    """A seed that was to be played and gave no episode, however often it was tried on its own."""

    seed: int
    attempts: int
    reason: str


def _column(name: str, values: Any, ticks: int, dtype: Any) -> NDArray[Any]:
    array = np.asarray(values, dtype)
    if array.shape != (ticks,):
        raise ValueError(f"{name}: shape {array.shape}, expected {(ticks,)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name}: not finite at tick {int(np.argmin(np.isfinite(array)))}")
    return array


def _checked_final(
    final: Mapping[str, NDArray[Any]] | None, spec: Spec
) -> dict[str, NDArray[Any]] | None:
    if final is None:
        return None
    return {
        key: signal.check(f"final {key}", final[key])
        for key, signal in spec.observations.items()
        if key in final or not is_image(key)  # a stored episode keeps no last picture
    }


def _checked_labels(labels: NDArray[Any] | None, spec: Spec, ticks: int) -> NDArray[Any] | None:
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.dtype.kind != "f":
        return spec.action.check("labels", labels, (ticks,))
    given = np.isfinite(labels).all(axis=tuple(range(1, labels.ndim)))
    absent = np.isnan(labels).all(axis=tuple(range(1, labels.ndim)))
    if not (given | absent).all():
        raise ValueError(f"labels: row {int(np.argmin(given | absent))} is neither whole nor NaN")
    if given.all():
        return spec.action.check("labels", labels, (ticks,))
    spec.action.check("labels", labels[given], (int(given.sum()),))
    return labels.astype(np.float64 if spec.action.dtype == "float64" else np.float32)
