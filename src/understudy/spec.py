"""What is seen and what is commanded: names, shapes, units, limits and the rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

STATE = "observation.state"
ENVIRONMENT_STATE = "observation.environment_state"
IMAGES = "observation.images."
ACTION = "action"


def is_image(key: str) -> bool:
    """True for a camera: `observation.images.<camera>`, and LeRobot's lone `observation.image`."""
    return key.startswith(IMAGES) or key == "observation.image"


@final
@dataclass(frozen=True)
class Signal:
    """One array of an observation or a command.

    `names`, if given, has one entry per element. `low` and `high` are limits per element (or empty:
    unlimited); they describe, and `check` enforces them only for `choices`. A discrete signal has
    `choices` = n, dtype int64 and values 0..n-1. Cameras are uint8 (Y, X, 3).
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = ""
    names: tuple[str, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    choices: int | None = None

    def __post_init__(self) -> None:
        for name in ("names", "low", "high"):
            given = getattr(self, name)
            if given and len(given) != self.size:
                raise ValueError(
                    f"Signal of shape {self.shape}: {len(given)} {name}, expected {self.size}"
                )
        if self.choices is not None and (self.choices < 1 or self.dtype != "int64"):
            raise ValueError(f"a discrete Signal has int64 values and choices >= 1, got {self}")

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def check(self, name: str, array: ArrayLike, leading: tuple[int, ...] = ()) -> NDArray[Any]:
        """Return `array` as this signal's dtype, shape (*leading, *shape).

        Raises ValueError on another shape, on NaN or infinity, on a value that the dtype cannot
        hold (1.5 as an integer), and on an index outside 0..choices-1.
        """
        values = np.asarray(array)
        expected = (*leading, *self.shape)
        if values.shape != expected:
            raise ValueError(f"{name}: shape {values.shape}, expected {expected}")
        if values.dtype != self.dtype:
            values = self._converted(name, values)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            at = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise ValueError(f"{name}: {values[at]} at index {at}; every value must be finite")
        if self.choices is not None and values.size:
            least, most = int(values.min()), int(values.max())
            if least < 0 or most >= self.choices:
                raise ValueError(
                    f"{name}: choice {least if least < 0 else most} outside 0..{self.choices - 1}"
                )
        return values

    def _converted(self, name: str, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{name}: dtype {values.dtype} is not numeric, expected {self.dtype}")
        with np.errstate(invalid="ignore", over="ignore"):
            converted = values.astype(self.dtype)
        if converted.dtype.kind in "iub" and not np.array_equal(converted, values):
            raise ValueError(f"{name}: {values.dtype} values do not fit {self.dtype} without loss")
        return converted

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "shape": list(self.shape),
            "dtype": self.dtype,
            "unit": self.unit,
            "names": list(self.names),
            "low": _finite_or_none(self.low),
            "high": _finite_or_none(self.high),
            "choices": self.choices,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Signal:
        """Read what `to_dict` wrote; unlimited bounds are stored as null."""
        return cls(
            shape=tuple(int(n) for n in data["shape"]),
            dtype=str(data.get("dtype", "float32")),
            unit=str(data.get("unit", "")),
            names=tuple(str(n) for n in data.get("names") or ()),
            low=tuple(-math.inf if v is None else float(v) for v in data.get("low") or ()),
            high=tuple(math.inf if v is None else float(v) for v in data.get("high") or ()),
            choices=data.get("choices"),
        )


@final
@dataclass(frozen=True)
class Spec:
    """All signals of a world, a dataset or a policy, the control rate and what is to be done.

    A rate of 0 is one that is not known: other programs' policies do not tell theirs.
    """

    observations: Mapping[str, Signal]
    action: Signal
    rate_hz: float
    task: str = ""

    def __post_init__(self) -> None:
        if not self.observations:
            raise ValueError("a Spec needs at least one observation")
        if ACTION in self.observations:
            raise ValueError(f"{ACTION!r} is the command, not an observation")
        if not (self.rate_hz >= 0 and math.isfinite(self.rate_hz)):
            raise ValueError(f"rate_hz must be finite and not negative, got {self.rate_hz}")

    @property
    def cameras(self) -> tuple[str, ...]:
        """Keys of the cameras, in order."""
        return tuple(key for key in self.observations if is_image(key))

    @property
    def vectors(self) -> tuple[str, ...]:
        """Keys of everything that is not a camera, in order."""
        return tuple(key for key in self.observations if not is_image(key))

    def only(self, keys: Iterable[str]) -> Spec:
        """Return this Spec with these observations alone; raises ValueError for an unknown key."""
        wanted = tuple(keys)
        unknown = [key for key in wanted if key not in self.observations]
        if unknown:
            raise ValueError(f"no observation {unknown}; there is: {', '.join(self.observations)}")
        return replace(self, observations={key: self.observations[key] for key in wanted})

    def require(self, other: Spec) -> None:
        """Raise ValueError listing every way in which `other` cannot serve what this Spec needs.

        `other` may offer more observations; what is needed must agree in shape, dtype, unit, names,
        and choices, and the rate must be the same. A unit, names or a rate that one side does not
        know agree.
        """
        differences = [
            f"{key}: not offered (there is: {', '.join(other.observations)})"
            for key in self.observations
            if key not in other.observations
        ]
        for key, mine in self.observations.items():
            if key in other.observations:
                differences += _differences(key, mine, other.observations[key])
        differences += _differences(ACTION, self.action, other.action)
        known = self.rate_hz and other.rate_hz
        if known and not math.isclose(self.rate_hz, other.rate_hz, rel_tol=1e-6):
            differences.append(f"rate_hz: needs {self.rate_hz}, offered {other.rate_hz}")
        if differences:
            raise ValueError("the two do not fit together:\n  " + "\n  ".join(differences))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back."""
        return {
            "observations": {key: s.to_dict() for key, s in self.observations.items()},
            "action": self.action.to_dict(),
            "rate_hz": self.rate_hz,
            "task": self.task,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spec:
        """Read what `to_dict` wrote."""
        return cls(
            observations={k: Signal.from_dict(v) for k, v in data["observations"].items()},
            action=Signal.from_dict(data["action"]),
            rate_hz=float(data["rate_hz"]),
            task=str(data.get("task", "")),
        )


def _finite_or_none(bounds: tuple[float, ...]) -> list[float | None]:
    return [bound if math.isfinite(bound) else None for bound in bounds]


def _differences(key: str, needed: Signal, offered: Signal) -> list[str]:
    found = []
    for name in ("shape", "dtype", "choices"):
        if getattr(needed, name) != getattr(offered, name):
            found.append(
                f"{key} {name}: needs {getattr(needed, name)}, offered {getattr(offered, name)}"
            )
    for name in ("unit", "names"):
        mine, theirs = getattr(needed, name), getattr(offered, name)
        if mine and theirs and mine != theirs:
            found.append(f"{key} {name}: needs {mine}, offered {theirs}")
    return found
