"""Camera frames in mp4 files: written while an episode runs, read back by exact frame number.

Files have a constant rate, a keyframe every second frame, no B-frames and no sound; the time stamp
of frame i is i / rate. Colours are stored as BT.601 with limited range and say so, which is what
readers that ignore the tags assume for small pictures too.
"""

from __future__ import annotations

import math
import operator
import os
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast, final

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from understudy.data.decode import EXACT_COLOURS, MAX_FRAMES, VideoFile, check_frame_shape

Codec = Literal["h264", "av1"]

QUEUE_BYTES = 2**24  # of frames that wait for the encoder: 2 s of 240 x 320 at 30 Hz

# Two threads each: many worlds record at once, and small pictures gain nothing from more. With a
# keyframe every second frame x264's slower presets find nothing to save: medium takes 1.4 times the
# processor time of veryfast for 3 % smaller files and the same error (240 x 320, lightly noisy).
# Its macroblock tree answers otherwise once in some hundred files under load, also with one thread;
# without it and three steps coarser (26, not 23) files of drawn scenes are as large and as exact
# within 4 %, of noise larger by a sixth, and always equal.
_ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "h264": (
        "libx264",
        {"crf": "26", "preset": "veryfast", "threads": "2", "x264-params": "no-mbtree=1"},
    ),
    "av1": ("libsvtav1", {"crf": "30", "preset": "12", "svtav1-params": "lp=2"}),
}
_SMPTE170M = 6  # primaries and transfer of BT.601, as numbered by ISO/IEC 23091-2


@final
class VideoWriter:
    """Writes frames to one mp4 file; a thread encodes them, so `write` returns at once.

    `write` waits only when 16 MiB of frames are waiting already. `shape` is (Y, X, 3); h264 stores
    an odd height or width as yuv444p, everything else is yuv420p. Raises ValueError for a shape or
    rate that cannot be stored.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        rate_hz: float,
        codec: Codec = "h264",
        gop: int = 2,
    ) -> None:
        if codec not in _ENCODERS:
            raise ValueError(
                f"codec {codec!r} cannot be written, expected one of {list(_ENCODERS)}"
            )
        if gop < 1:
            raise ValueError(
                f"{path}: a keyframe every {gop} frames is impossible, expected 1 or more"
            )
        check_frame_shape(path, shape, least=4 if codec == "av1" else 1)
        self.path, self.count = path, 0
        self._shape, self._codec, self._rate = shape, codec, _exact_rate(rate_hz)
        odd = shape[0] % 2 or shape[1] % 2
        self._pixel_format = "yuv444p" if codec == "h264" and odd else "yuv420p"
        self._error: Exception | None = None
        self._closed = False
        os.environ.setdefault("SVT_LOG", "1")  # libsvtav1 reports on stderr; keep its errors only
        self._container = av.open(str(path.absolute()), "w", format="mp4")
        self._stream = self._opened_stream(gop)
        frame_bytes = math.prod(shape)
        self._waiting: queue.Queue[NDArray[np.uint8] | None] = queue.Queue(
            max(8, QUEUE_BYTES // frame_bytes)
        )
        self._thread = threading.Thread(target=self._encode, name=f"video {path.name}", daemon=True)
        self._thread.start()

    def write(self, image: NDArray[np.uint8]) -> None:
        """Add the next frame, uint8 (Y, X, 3) RGB; it is copied.

        Raises ValueError for another shape or dtype or after `close`, and OSError when an earlier
        frame could not be encoded or stored.
        """
        if self._closed:
            raise ValueError(f"{self.path}: the video is closed already")
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ValueError(
                f"{self.path}: frame {self.count} is {image.dtype} {image.shape}, "
                f"expected uint8 {self._shape}"
            )
        self._raise_error()
        self._waiting.put(image.copy())
        self.count += 1

    def close(self) -> None:
        """Encode what is waiting and finish the file; it is not fsynced. Closing twice is harmless.

        Raises OSError when anything could not be encoded or stored, and ValueError when no frame
        was ever written; nothing is left behind then.
        """
        if self._closed:
            return
        self._stop()
        try:
            if self.count == 0:
                raise ValueError(f"{self.path}: no frame was written")
            self._raise_error()
            self._check_written()
        except Exception:
            self.path.unlink(missing_ok=True)
            raise

    def discard(self) -> None:
        """Stop and remove the file."""
        if not self._closed:
            self._error = self._error or InterruptedError("discarded")  # skips what is waiting
            self._stop()
        self.path.unlink(missing_ok=True)

    def details(self) -> dict[str, Any]:
        """What LeRobot keeps in `info` of a video feature."""
        fps = float(self._rate)
        return {
            "video.height": self._shape[0],
            "video.width": self._shape[1],
            "video.codec": self._codec,
            "video.pix_fmt": self._pixel_format,
            "video.is_depth_map": False,
            "video.fps": int(fps) if fps.is_integer() else fps,
            "video.channels": 3,
            "has_audio": False,
        }

    def _opened_stream(self, gop: int) -> VideoStream:
        encoder, options = _ENCODERS[self._codec]
        stream = cast(
            VideoStream,
            self._container.add_stream(encoder, rate=self._rate, options=dict(options)),
        )
        stream.height, stream.width = self._shape[:2]
        stream.pix_fmt = self._pixel_format
        stream.time_base = 1 / self._rate
        context = stream.codec_context
        context.gop_size, context.max_b_frames = gop, 0
        context.colorspace, context.color_range = _SMPTE170M, int(ColorRange.MPEG)
        context.color_primaries = context.color_trc = _SMPTE170M
        return stream

    def _encode(self) -> None:
        """The thread: encode until None comes; after an error only empty the queue."""
        index = 0
        while (image := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    self._encode_frame(image, index)
                except Exception as error:  # raised again by the next write, or by close
                    self._error = error
            index += 1
        try:
            if self._error is None and index:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except Exception as error:
            self._error = self._error or error

    def _encode_frame(self, image: NDArray[np.uint8], index: int) -> None:
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format=self._pixel_format,
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR | EXACT_COLOURS,
        )
        frame.pts, frame.time_base = index, 1 / self._rate
        self._container.mux(self._stream.encode(frame))

    def _stop(self) -> None:
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _raise_error(self) -> None:
        if self._error is not None:
            raise OSError(
                f"{self.path}: the video cannot be written: {self._error}"
            ) from self._error

    def _check_written(self) -> None:
        """A full disk is not always reported by the muxer: look what the file says."""
        try:
            with VideoFile(self.path) as video:
                found = video.count
        except ValueError as error:
            raise OSError(f"{self.path}: the video was not stored whole: {error}") from error
        if found != self.count:
            raise OSError(f"{self.path}: {found} frames were stored, expected {self.count}")


@final
@dataclass(frozen=True)
class RecordedFrames:
    """Consecutive frames of one video file, uint8 RGB; decoded when asked for, never before."""

    path: Path
    first: int  # index inside the file of this recording's frame 0
    count: int
    size: tuple[int, int]  # (Y, X) as recorded

    def __post_init__(self) -> None:
        check_frame_shape(self.path, (*self.size, 3))
        if self.first < 0 or not 0 <= self.count <= MAX_FRAMES:
            raise ValueError(
                f"{self.path}: {self.count} frames from {self.first}; expected a first frame of at "
                f"least 0 and a count in 0..{MAX_FRAMES}"
            )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(count, Y, X, 3)."""
        return (self.count, *self.size, 3)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Always uint8."""
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return self._read(0, self.count)

    def __getitem__(self, index: int | slice, /) -> NDArray[np.uint8]:
        """Frame (Y, X, 3) at an integer, frames (n, Y, X, 3) of a slice.

        Raises IndexError outside the recording, ValueError for a file that does not hold them.
        """
        if isinstance(index, slice):
            return self._slice(range(self.count)[index])
        wanted = operator.index(index)
        if not -self.count <= wanted < self.count:
            raise IndexError(f"{self.path}: frame {wanted} of a recording of {self.count}")
        return next(self._read(wanted % self.count, 1))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError(f"{self.path}: frames are decoded, which always makes a copy")
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def _slice(self, wanted: range) -> NDArray[np.uint8]:
        if not wanted:
            return np.empty((0, *self.shape[1:]), np.uint8)
        ordered = wanted if wanted.step > 0 else wanted[::-1]
        with VideoFile(self.path) as video:
            video.require(self.size)
            video.check_range(self.first + ordered[0], ordered[-1] - ordered[0] + 1)
            frames = np.empty((len(wanted), *self.shape[1:]), np.uint8)
            shifted = range(self.first + ordered.start, self.first + ordered.stop, ordered.step)
            for row, image in enumerate(video.frames(shifted, None)):
                frames[row] = image
        return frames if wanted.step > 0 else frames[::-1]

    def _read(self, start: int, count: int) -> Iterator[NDArray[np.uint8]]:
        with VideoFile(self.path) as video:
            video.require(self.size)
            first = self.first + start
            yield from video.frames(range(first, first + count), None)


def read_frames(
    path: Path, first: int, count: int, size: tuple[int, int] | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Yield `count` frames (Y, X, 3) from frame `first`, decoded in order: the fastest way to read.

    With `size` (Y, X) they are resized while they are converted: by area when both sides shrink,
    else bilinear. Raises FileNotFoundError, and ValueError naming the file and frame when the file
    is corrupt, cut short or does not hold the frames.
    """
    if size is not None:
        check_frame_shape(path, (*size, 3))
    with VideoFile(path) as video:
        yield from video.frames(range(first, first + count), size)


def _exact_rate(rate_hz: float) -> Fraction:
    if not (math.isfinite(rate_hz) and 0 < rate_hz <= 10_000):
        raise ValueError(f"rate_hz: {rate_hz}, expected a positive rate up to 10000")
    return Fraction(rate_hz).limit_denominator(100_000)
