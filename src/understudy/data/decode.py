"""Reads frames of one video file by exact frame number; nothing a file claims is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Self, cast, final

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

MAX_PIXELS = 2**26  # of one frame; 8192 x 8192
MAX_FRAMES = 2**26  # of one file

# A playlist that calls itself .mp4 must not make FFmpeg open other files or addresses.
_SAFE_INPUT = {"format_whitelist": "mov,matroska,webm,avi", "protocol_whitelist": "file"}
# Without these swscale is 1 grey level too dark on average and 4 times further off.
EXACT_COLOURS = (
    Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)


def check_frame_shape(path: Path, shape: tuple[int, ...], least: int = 1) -> None:
    """Raise ValueError unless `shape` is (Y, X, 3) with sides and an area that can be trusted."""
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError(f"{path}: frames of shape {shape}, expected (Y, X, 3)")
    height, width = shape[:2]
    if min(height, width) < least or height * width > MAX_PIXELS or max(height, width) > 2**15:
        raise ValueError(
            f"{path}: frames of {height} x {width} pixels, expected sides of {least}..{2**15} and at "
            f"most {MAX_PIXELS} pixels"
        )


@final
class VideoFile:
    """One opened file. Frame i is the one shown at i / rate after the file's first time stamp."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container: Any = None
        try:
            self._container = av.open(str(path.absolute()), container_options=_SAFE_INPUT)
            self._stream = self._container.streams.video[0]
            self._stream.thread_type = "SLICE"  # threads over frames delay a single one 4 times
        except FileNotFoundError:
            raise
        except (FFmpegError, IndexError) as error:
            self._close()
            raise ValueError(
                f"{path}: no video can be read from it (corrupt, cut short, or another format): "
                f"{error}"
            ) from error
        try:
            self._examine()
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if self._container is not None:
            self._container.close()

    def _examine(self) -> None:
        """Check what the header claims, before anything is allocated for it."""
        context = self._stream.codec_context
        self.size = (int(context.height), int(context.width))
        check_frame_shape(self._path, (*self.size, 3))
        self._origin = self._stream.start_time or 0
        self.count = int(self._stream.frames)
        rate = self._stream.average_rate
        if self.count < 1 or rate is None or rate != self._stream.base_rate:
            rate = self._measure()
        if not 0 < self.count <= min(MAX_FRAMES, self._path.stat().st_size):
            raise ValueError(
                f"{self._path}: {self.count} frames in {self._path.stat().st_size} bytes; expected "
                f"1..{MAX_FRAMES}, and a byte for each (is the file cut short?)"
            )
        self._ticks = 1 / (Fraction(rate) * self._stream.time_base)  # time base units per frame

    def _measure(self) -> Fraction:
        """Count frames and find their rate from the time stamps, where the header is unclear."""
        try:
            times = sorted(p.pts for p in self._container.demux(self._stream) if p.pts is not None)
            self.count = len(times)
            if times:
                self._container.seek(times[0], stream=self._stream)
        except FFmpegError as error:
            raise ValueError(f"{self._path}: its packets cannot be read: {error}") from error
        if len(times) < 2 or times[-1] == times[0]:
            return Fraction(1)
        return (len(times) - 1) / ((times[-1] - times[0]) * self._stream.time_base)

    def require(self, size: tuple[int, int]) -> None:
        """Raise ValueError unless the pictures are (Y, X)."""
        if self.size != size:
            raise ValueError(f"{self._path}: its frames are {self.size} (Y, X), expected {size}")

    def check_range(self, first: int, count: int) -> None:
        """Raise ValueError unless the file claims to hold these frames."""
        if first < 0 or count < 0 or first + count > self.count:
            raise ValueError(
                f"{self._path}: frames {first}..{first + count - 1} wanted, it holds "
                f"0..{self.count - 1}"
            )

    def frames(self, wanted: range, size: tuple[int, int] | None) -> Iterator[NDArray[np.uint8]]:
        """Yield the frames of an increasing range, in order, resized to `size` (Y, X) if given."""
        if not wanted:
            return
        self.check_range(wanted[0], wanted[-1] - wanted[0] + 1)
        target = size or self.size
        shrinks = target != self.size and target[0] <= self.size[0] and target[1] <= self.size[1]
        interpolation = Interpolation.AREA if shrinks else Interpolation.BILINEAR
        for frame in self._decoded(wanted):
            image = frame.reformat(
                width=target[1],
                height=target[0],
                format="rgb24",
                interpolation=interpolation | EXACT_COLOURS,
            )
            yield cast(NDArray[np.uint8], image.to_ndarray())

    def _decoded(self, wanted: range) -> Iterator[av.VideoFrame]:
        """Decode on between near frames, seek between distant ones; check every index."""
        runs = [wanted] if wanted.step <= 8 else [range(i, i + 1) for i in wanted]
        for run in runs:
            expected = run[0]
            try:
                for frame in self._decoded_from(run[0]):
                    index = self._index(frame)
                    if index > expected or frame.is_corrupt:
                        raise self._missing(expected, "it is damaged or left out")
                    if index in run:
                        yield frame
                    if index == run[-1]:
                        break
                    expected = max(expected, index + 1)
                else:
                    raise self._missing(expected, "the data ends before it")
            except FFmpegError as error:
                raise self._missing(expected, f"while decoding: {error}") from error

    def _decoded_from(self, first: int) -> Iterator[av.VideoFrame]:
        """Decode from a keyframe at or before frame `first`."""
        for margin in (0, 64, 1024, first):  # B-frames can hide a keyframe that lies too late
            start = self._origin + math.floor(max(0, first - margin) * self._ticks)
            self._container.seek(start, stream=self._stream)
            decoded = self._container.decode(self._stream)
            head = next(decoded, None)
            if head is not None and self._index(head) <= first and not head.is_corrupt:
                return chain([head], decoded)
        raise self._missing(first, "no keyframe leads to it")

    def _index(self, frame: av.VideoFrame) -> int:
        if frame.pts is None:
            raise ValueError(f"{self._path}: a frame has no time stamp")
        if (frame.height, frame.width) != self.size:
            raise ValueError(
                f"{self._path}: a frame is {frame.height} x {frame.width} pixels, the others are "
                f"{self.size[0]} x {self.size[1]}"
            )
        place = (frame.pts - self._origin) / self._ticks
        if abs(place - round(place)) > 0.25:
            raise ValueError(
                f"{self._path}: a frame at {float(frame.pts * self._stream.time_base):.4f} s lies "
                f"between frames {math.floor(place)} and {math.ceil(place)}; expected a constant "
                "rate. Encode the video anew with a constant rate"
            )
        return round(place)

    def _missing(self, frame: int, why: str) -> ValueError:
        return ValueError(
            f"{self._path}: frame {frame} cannot be read ({why}); the file claims to hold "
            f"{self.count} frames"
        )
