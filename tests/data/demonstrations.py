"""Small demonstrations with every field filled, and a comparison that overlooks nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from understudy.episode import Episode
from understudy.spec import Signal, Spec

VECTORS = Spec(
    observations={
        "observation.state": Signal((3,), names=("x", "y", "angle"), unit="m, m, rad"),
        "observation.environment_state": Signal((4, 2), "float64"),
    },
    action=Signal((2,), low=(-1.0, -1.0), high=(1.0, float("inf"))),
    rate_hz=20.0,
    task="push",
)
CAMERAS = replace(
    VECTORS,
    observations={
        "observation.images.front": Signal((32, 48, 3), "uint8"),
        **VECTORS.observations,
        "observation.images.wrist": Signal((24, 32, 3), "uint8"),
    },
)
CHOICES = Spec(
    {"observation.state": Signal((1,))}, Signal((1,), "int64", choices=3), 10.0, "choose"
)
SINGLE = Spec(
    {"observation.state": Signal(()), "observation.on": Signal((2,), "bool")}, Signal((1,)), 12.5
)

LOW_DIM = ("actions", "rewards", "time_s", "labels", "executed", "intervention", "act_s")
FACTS = ("terminated", "truncated", "success", "task", "source", "seed")


def demonstration(spec: Spec = VECTORS, ticks: int = 7, seed: int = 0, task: str = "") -> Episode:
    """An episode with a value in every field; its labels have gaps where they can."""
    generator = np.random.default_rng(seed)

    def draw(signal: Signal, *leading: int) -> np.ndarray:
        shape = (*leading, *signal.shape)
        if signal.choices is not None:
            return generator.integers(signal.choices, size=shape)
        if signal.dtype == "uint8":  # smooth, as pictures are: codecs lose little of it
            steps = np.add.outer(np.arange(shape[-3]), np.arange(shape[-2])) + 30 + seed
            moving = steps + 3 * np.arange(ticks).reshape(-1, 1, 1) if leading else steps
            return np.repeat(moving[..., None], 3, axis=-1).astype(np.uint8)
        if signal.dtype == "bool":
            return generator.random(shape) > 0.5
        return generator.normal(size=shape).astype(signal.dtype)

    actions = draw(spec.action, ticks)
    labels = actions.copy()
    if labels.dtype.kind == "f":
        labels[::2] = np.nan
    return Episode(
        observations={key: draw(signal, ticks) for key, signal in spec.observations.items()},
        actions=actions,
        rewards=generator.normal(size=ticks).astype(np.float32),
        time_s=np.arange(ticks) / spec.rate_hz + 0.25,
        terminated=bool(seed % 2),
        truncated=not seed % 2,
        success=[True, False, None][seed % 3],
        final_observation={key: draw(signal) for key, signal in spec.observations.items()},
        labels=labels,
        executed=actions.copy(),
        intervention=generator.random(ticks) > 0.5,
        act_s=generator.random(ticks).astype(np.float32),
        task=task or spec.task,
        source="expert",
        seed=seed,
    )


def differences(one: Episode, other: Episode, spec: Spec) -> list[str]:
    """The fields in which two episodes differ by a single bit; frames are not compared."""
    pairs = [(name, getattr(one, name), getattr(other, name)) for name in LOW_DIM]
    pairs += [(key, one.observations[key], other.observations[key]) for key in spec.vectors]
    ours, theirs = one.final_observation, other.final_observation
    pairs += [(f"final {k}", ours and ours[k], theirs and theirs[k]) for k in spec.vectors]
    found = [name for name, a, b in pairs if not _same(a, b)]
    return found + [name for name in FACTS if getattr(one, name) != getattr(other, name)]


def _same(a: object, b: object) -> bool:
    if a is None or b is None:
        return a is b
    one, other = np.asarray(a), np.asarray(b)
    same_kind = (one.dtype, one.shape) == (other.dtype, other.shape)
    return (
        same_kind and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
    )


def files(folder: Path) -> dict[str, bytes]:
    """{relative path: content} of all files, but for the lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
