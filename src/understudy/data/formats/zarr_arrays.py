"""What a zarr v2 folder claims to hold, judged before zarr sees it.

Plain numbers only, no filters, and only compressors that state the size of a chunk, which must be
the right one before anything is decompressed.
"""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

from understudy.data.durable import read_limited

LARGEST_METADATA = 2**20  # bytes of one .zarray
LARGEST_CHUNK = 2**30  # bytes, decompressed
LARGEST_VECTORS = 2**32  # bytes of one array that is read whole
MOST_ROWS = 2**31
MOST_CHUNKS = 2**20  # of one array
COMPRESSORS = ("blosc", "lz4", "zstd")
ENDS = "meta/episode_ends"


@final
@dataclass(frozen=True)
class Stored:
    """What the metadata says of one array."""

    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    absent: int  # chunks that have no file and read as the fill value

    @property
    def is_picture(self) -> bool:
        """Whether it holds (n, Y, X, 3)."""
        return len(self.shape) == 4 and self.shape[-1] == 3


def arrays(source: Path) -> dict[str, Stored]:
    """{name: array} below data/, each judged by its metadata."""
    if (source / "zarr.json").is_file():
        raise ValueError(
            f"{source} is zarr version 3; expected version 2, as Diffusion Policy writes"
        )
    folder = source / "data"
    if not (source / ENDS / ".zarray").is_file() or not folder.is_dir():
        raise FileNotFoundError(f"{source} has no data/ and {ENDS}: no replay buffer in zarr v2")
    found = sorted(path.parent for path in folder.glob("*/.zarray"))
    if not found:
        raise ValueError(f"{folder} holds no arrays directly; nested groups are not read")
    return {path.name: judged(path) for path in found}


def judged(folder: Path) -> Stored:
    """Raise ValueError unless an array holds plain numbers, of a size and coding to be trusted."""
    file = folder / ".zarray"
    try:
        facts = json.loads(read_limited(file, LARGEST_METADATA))
        if facts["zarr_format"] != 2:
            raise ValueError(f"zarr_format {facts['zarr_format']}, expected 2")
        shape, chunks = _sizes(facts["shape"]), _sizes(facts["chunks"])
        dtype, coding = _dtype(facts["dtype"]), _coding(facts)
        _check_sizes(shape, chunks, dtype)
        separator = "/" if facts.get("dimension_separator") == "/" else "."
        absent = 0
        for path in _chunk_files(folder, shape, chunks, separator):
            absent += not path.is_file()
            if path.is_file():
                _check_chunk(path, coding, math.prod(chunks) * dtype.itemsize)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{file} is refused: {error}") from error
    return Stored(folder, shape, dtype, absent)


def _check_sizes(shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not 1 <= len(shape) == len(chunks) <= 5 or min((*chunks, *shape[1:])) < 1:
        raise ValueError(f"shape {shape} in chunks of {chunks}")
    if shape[0] > MOST_ROWS or math.prod(chunks) * dtype.itemsize > LARGEST_CHUNK:
        raise ValueError(f"shape {shape} in chunks of {chunks} is too large")
    if len(shape) < 4 and math.prod(shape) * dtype.itemsize > LARGEST_VECTORS:
        raise ValueError(f"shape {shape} of {dtype} needs more than {LARGEST_VECTORS} bytes")


def _chunk_files(
    folder: Path, shape: tuple[int, ...], chunks: tuple[int, ...], separator: str
) -> list[Path]:
    counts = [-(-size // chunk) for size, chunk in zip(shape, chunks, strict=True)]
    if math.prod(counts) > MOST_CHUNKS:
        raise ValueError(f"{math.prod(counts)} chunks, expected at most {MOST_CHUNKS}")
    places = itertools.product(*map(range, counts))
    return [folder / separator.join(map(str, place)) for place in places]


def _check_chunk(path: Path, coding: str, expected: int) -> None:
    """Raise ValueError unless the chunk says that it decompresses to the `expected` bytes."""
    with open(path, "rb") as file:
        head = file.read(18)
    if coding == "zstd":
        stated = _zstd_size(head)
    elif coding == "none":
        stated = path.stat().st_size
    else:  # a 32-bit number, at the beginning for lz4 and at byte 4 for blosc
        at = 4 if coding == "blosc" else 0
        stated = int.from_bytes(head[at : at + 4], "little")
    if stated != expected:
        raise ValueError(f"chunk {path.name} states {stated} bytes, expected {expected}")


def _zstd_size(head: bytes) -> int | None:
    """The content size in a Zstandard frame header (RFC 8878, 3.1.1.1); None where it has none."""
    if len(head) < 5 or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    is_single, size_flag = head[4] >> 5 & 1, head[4] >> 6
    width = (1 if is_single else 0, 2, 4, 8)[size_flag]
    at = 5 + (not is_single) + (0, 1, 2, 4)[head[4] & 3]  # behind the window and the dictionary id
    field = head[at : at + width]
    if width == 0 or len(field) < width:
        return None
    return int.from_bytes(field, "little") + 256 * (width == 2)


def _sizes(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or any(type(n) is not int or n < 0 for n in values):
        raise ValueError(f"{values!r}, expected a list of sizes")
    return tuple(values)


def _dtype(name: Any) -> np.dtype[Any]:
    """A plain number; objects would be pickles, records and text have no meaning here."""
    if not isinstance(name, str) or name[:1] not in "<>|" or name[1:2] not in "biuf":
        raise ValueError(f"dtype {name!r}, expected plain numbers (objects are never decoded)")
    return np.dtype(name)


def _coding(facts: dict[str, Any]) -> str:
    """The compressor's name, or "none"."""
    if facts.get("filters"):
        raise ValueError(f"filters {facts['filters']!r}, expected none")
    if facts.get("compressor") is None:
        return "none"
    name = facts["compressor"]["id"]
    if name not in COMPRESSORS:
        raise ValueError(
            f"compressor {name!r}, expected none or one of {COMPRESSORS}; save a copy with one of them"
        )
    return str(name)
