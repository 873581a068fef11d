"""Small made-up demonstrations, written with the real store."""

from pathlib import Path

import numpy as np

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

CONTINUOUS = Spec(
    observations={STATE: Signal((3,)), ENVIRONMENT_STATE: Signal((2,))},
    action=Signal((2,)),
    rate_hz=10.0,
    task="made up",
)
DISCRETE = Spec(
    observations={STATE: Signal((3,))},
    action=Signal((1,), "int64", choices=3),
    rate_hz=10.0,
    task="made up",
)

CAMERA = Spec(
    observations={
        STATE: Signal((3,)),
        "observation.images.front": Signal((32, 40, 3), "uint8"),
        "observation.images.wrist": Signal((24, 24, 3), "uint8"),
    },
    action=Signal((2,)),
    rate_hz=10.0,
    task="made up",
)


def made_up(
    spec: Spec, seed: int, ticks: int, scale: float = 1.0, task: str | None = None
) -> Episode:
    """An episode whose action is a function of a smooth random walk."""
    generator = np.random.default_rng(seed)
    walk = np.cumsum(generator.normal(size=(ticks, 5)), 0) / 3
    observations = {STATE: walk[:, :3] * scale, ENVIRONMENT_STATE: walk[:, 3:] * scale}
    for key in spec.cameras:
        rows, columns, _ = spec.observations[key].shape
        light = 100 + 8 * walk[:, 3, None, None] + np.add.outer(np.arange(rows), np.arange(columns))
        observations[key] = np.repeat(light[..., None], 3, 3).clip(0, 255).astype(np.uint8)
    if spec.action.choices:
        actions = np.digitize(walk[:, :1], [-0.3, 0.3])
    else:
        actions = np.stack([np.sin(walk[:, 0]), walk[:, 1] + 5], 1) * scale
    return Episode(
        observations={key: observations[key] for key in spec.observations},
        actions=actions,
        rewards=np.zeros(ticks),
        time_s=np.arange(ticks) / spec.rate_hz,
        terminated=True,
        truncated=False,
        success=True,
        task=spec.task if task is None else task,
        source="made up",
        seed=seed,
    )


def dataset(
    folder: Path, spec: Spec, lengths=(20, 9, 31), scale: float = 1.0, tasks: tuple[str, ...] = ()
) -> Dataset:
    """A dataset of made-up episodes of these lengths, of these tasks in turn."""
    made = Dataset.create(folder, spec)
    for seed, ticks in enumerate(lengths):
        task = tasks[seed % len(tasks)] if tasks else None
        made.append(made_up(spec, seed, ticks, scale, task))
    return made
