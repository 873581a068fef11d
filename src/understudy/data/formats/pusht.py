"""What the recorded PushT demonstrations and the PushT world call their signals, and how they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from understudy.episode import Episode
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

IMAGE = "observation.image"  # LeRobot's name for a lone camera
TASK_TEXT = "Push the T-shaped block onto the T-shaped target."
MIRRORED_TEXT = "Push the T-shaped block onto the mirrored T-shaped target."
RATE_HZ = 10.0
SIZE_PX = 512.0  # of the square window; y points down
AGENT_NAMES = ("agent_x", "agent_y")
BLOCK_NAMES = ("block_x", "block_y", "block_sin", "block_cos")


def block_state(x: ArrayLike, y: ArrayLike, angle: ArrayLike) -> NDArray[np.float32]:
    """The block's pose as a policy sees it, (..., 4): x and y in pixels, sin and cos of the angle.

    The angle is in radians; its sine and cosine have no jump at a full turn. Everything is computed
    in float32, so a recording and the world give the same numbers.
    """
    x, y, angle = np.broadcast_arrays(
        np.asarray(x, np.float32), np.asarray(y, np.float32), np.asarray(angle, np.float32)
    )
    return np.stack([x, y, np.sin(angle), np.cos(angle)], axis=-1)  # (..., 4)


def signals(cameras: bool) -> Spec:
    """The signals of the recorded demonstrations; with `cameras` also the picture (96, 96, 3)."""
    observations = {
        STATE: Signal((2,), unit="pixel", names=AGENT_NAMES),
        ENVIRONMENT_STATE: Signal((4,), names=BLOCK_NAMES),
    }
    if cameras:
        observations[IMAGE] = Signal((96, 96, 3), "uint8")
    action = Signal((2,), unit="pixel", names=("x", "y"), low=(0.0, 0.0), high=(SIZE_PX, SIZE_PX))
    return Spec(observations, action, RATE_HZ, TASK_TEXT)


def mirrored(episode: Episode) -> Episode:
    """Return what was shown as a mirror would show it, left and right exchanged; pictures excepted.

    The block is its own mirror image, so this is a demonstration of the mirrored goal. Raises
    ValueError for an episode with cameras.
    """
    if set(episode.observations) != {STATE, ENVIRONMENT_STATE}:
        raise ValueError(f"only states can be mirrored, got {list(episode.observations)}")

    def flipped(values: NDArray[Any], column: int) -> NDArray[Any]:
        result = np.array(values)
        result[..., 0] = SIZE_PX - result[..., 0]
        if column:
            result[..., column] = -result[..., column]  # the sine of an angle
        return result

    def seen(observations: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        return {
            STATE: flipped(observations[STATE], 0),
            ENVIRONMENT_STATE: flipped(
                observations[ENVIRONMENT_STATE], BLOCK_NAMES.index("block_sin")
            ),
        }

    final = episode.final_observation
    return replace(
        episode,
        observations=seen(episode.observations),
        final_observation=None if final is None else seen(final),
        actions=flipped(episode.actions, 0),
        labels=None if episode.labels is None else flipped(episode.labels, 0),
        executed=None if episode.executed is None else flipped(episode.executed, 0),
        task=MIRRORED_TEXT,
    )
