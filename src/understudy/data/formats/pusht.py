"""What the recorded PushT demonstrations and the PushT world call their signals, and how they count."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

IMAGE = "observation.image"  # LeRobot's name for a lone camera
TASK_TEXT = "Push the T-shaped block onto the T-shaped target."
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
