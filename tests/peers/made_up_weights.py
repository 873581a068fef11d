"""Weights and frames that two environments can make alike, so that no file of them has to be kept.

`RandomState` gives the same numbers in every version of NumPy.
"""

import zlib

import numpy as np


def made_up(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Values like those of a network at its beginning, a function of the name alone, float32."""
    drawn = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        drawn = 1 + 0.2 * drawn**2
    elif len(shape) > 1:
        drawn *= np.prod(shape[1:]) ** -0.5
    elif name.endswith("weight"):
        drawn = 1 + 0.1 * drawn
    else:
        drawn *= 0.1
    return drawn.astype(np.float32)


def frames(name: str, size: tuple[int, int]) -> np.ndarray:
    """A picture (Y, X, 3) uint8, a function of the name alone."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    return random.randint(0, 256, (*size, 3)).astype(np.uint8)
