"""What the recorded PushT demonstrations and the PushT world call their signals, and how they count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from understudy.data.symmetry import Mirror, MirrorConfig
from understudy.episode import Episode
from understudy.spec import ACTION, ENVIRONMENT_STATE, STATE, Signal, Spec

IMAGE = "observation.image"  # LeRobot's name for a lone camera
TASK_TEXT = "Push the T-shaped block onto the T-shaped target."
MIRRORED_TEXT = "Push the T-shaped block onto the mirrored T-shaped target."
RATE_HZ = 10.0
SIZE_PX = 512.0  # of the square window; y points down
AGENT_NAMES = ("agent_x", "agent_y")
BLOCK_NAMES = ("block_x", "block_y", "block_sin", "block_cos")
# The published goal lies on a diagonal of the square and is the same in a mirror along it.
MIRROR = (
    "agent_x = 512 - agent_y",
    "agent_y = 512 - agent_x",
    "block_x = 512 - block_y",
    "block_y = 512 - block_x",
    "block_sin = block_cos",
    "block_cos = block_sin",
    "x = 512 - y",
    "y = 512 - x",
)
MIRROR_PICTURES = "other-diagonal"
LEFT_RIGHT = (  # exchanges the published goal and the mirrored one
    "agent_x = 512 - agent_x",
    "block_x = 512 - block_x",
    "block_sin = -block_sin",
    "x = 512 - x",
)


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
    mirror = Mirror(signals(cameras=False), MirrorConfig(mirror=LEFT_RIGHT))

    def image(key: str, values: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if values is None else mirror(key, np.asarray(values))

    def seen(observations: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        return {key: mirror(key, np.asarray(values)) for key, values in observations.items()}

    final = episode.final_observation
    return replace(
        episode,
        observations=seen(episode.observations),
        final_observation=None if final is None else seen(final),
        actions=mirror(ACTION, np.asarray(episode.actions)),
        labels=image("label", episode.labels),
        executed=image("executed", episode.executed),
        task=MIRRORED_TEXT,
    )
