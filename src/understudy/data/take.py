"""One episode that is being written down: its video is encoded while it runs."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol, final

import numpy as np
from numpy.typing import NDArray

from understudy.data import totals
from understudy.data.durable import make_folder, open_json, refuse, seal_json
from understudy.data.layout import Clip, Row
from understudy.data.places import STAGING
from understudy.data.records import checked
from understudy.data.video import Codec, RecordedFrames, VideoWriter
from understudy.episode import Episode, Frames
from understudy.spec import Spec

BLOCK_FRAMES = 64  # decoded at a time when recorded frames are written again


FACTS = "facts.json"


class Target(Protocol):
    """What gives finished takes their place and clears their staging folder."""

    @property
    def folder(self) -> Path: ...
    @property
    def spec(self) -> Spec: ...
    @property
    def codec(self) -> Codec: ...
    def require_open(self) -> None: ...
    def commit(
        self,
        episode: Episode,
        videos: Mapping[str, Path],
        pictures: Mapping[str, totals.Moments],
        digests: Mapping[str, str],
        staging: Path,
    ) -> Row: ...


@final
class Take:
    """One open take; the frames of its cameras come while the episode runs."""

    def __init__(self, target: Target) -> None:
        self._target, self._spec = target, target.spec
        self._staging = target.folder / STAGING / f"take-{uuid.uuid4().hex}"
        self._cameras: dict[str, _Camera] = {}

    def frame(self, key: str, image: NDArray[np.uint8]) -> None:
        """Take the next frame (Y, X, 3) of camera `key`.

        Raises ValueError for an unknown camera or another shape, OSError when it cannot be stored.
        """
        if key not in self._cameras:
            self._open(key)
        try:
            self._cameras[key].add(image)
        except OSError as error:
            self._refuse(error)

    def save(self, episode: Episode) -> Episode:
        """Make the take durable; returns the episode with its id and its recorded frames.

        Raises ValueError if the episode does not fit the dataset's Spec or the frames that came,
        and OSError if it cannot be stored; nothing of it is left then.
        """
        with self.discarded_on_error():
            for key in self._spec.cameras:
                came = self._cameras[key].video.count if key in self._cameras else 0
                if came != len(episode):
                    raise ValueError(f"{key}: {came} frames came, the episode has {len(episode)}")
            pending = {key: self._frames(key, c.video.path) for key, c in self._cameras.items()}
            whole = replace(episode, observations={**episode.observations, **pending})
            return self.store(checked(whole, self._spec), "")

    def write(self, episode: Episode) -> Episode:
        """`save` for a checked episode that still has all its frames in it."""
        with self.discarded_on_error():
            cameras = {key: episode.observations[key] for key in self._spec.cameras}
            for key, frames in cameras.items():
                for image in _each(frames):
                    self.frame(key, image)
            in_memory = all(isinstance(frames, np.ndarray) for frames in cameras.values())
            return self.store(episode, episode.identified().id if in_memory else "")

    def store(self, episode: Episode, id: str) -> Episode:
        """Commit a checked episode whose frames have come; without `id` it is that of its content."""
        self._target.require_open()
        vectors = {key: episode.observations[key] for key in self._spec.vectors}
        digests = {key: camera.digest.hexdigest() for key, camera in self._cameras.items()}
        id = id or content_id(replace(episode, observations=vectors), digests)
        episode = replace(episode, id=id)
        try:
            for camera in self._cameras.values():
                camera.video.close()
            videos = {key: camera.video.path for key, camera in self._cameras.items()}
            pictures = {key: camera.moments.result() for key, camera in self._cameras.items()}
            row = self._target.commit(episode, videos, pictures, digests, self._staging)
        except OSError as error:
            self._refuse(error)
        recorded = {key: self._frames(key, row.clips[key].path) for key in self._cameras}
        self._cameras = {}
        kept = {
            key: recorded.get(key, episode.observations[key]) for key in self._spec.observations
        }
        return replace(episode, observations=kept)

    def discard(self) -> None:
        """Leave no trace of the take; harmless after `save` or twice."""
        for camera in self._cameras.values():
            camera.video.discard()
        self._cameras = {}
        clear(self._staging)

    @contextlib.contextmanager
    def discarded_on_error(self) -> Iterator[None]:
        """A block after whose failure nothing of the take is left."""
        try:
            yield
        except BaseException:
            self.discard()
            raise

    def _open(self, key: str) -> None:
        if key not in self._spec.cameras:
            raise ValueError(f"{key!r} is no camera of this dataset; it has {self._spec.cameras}")
        self._target.require_open()
        make_folder(self._staging)
        height, width, channels = self._spec.observations[key].shape
        path = self._staging / f"{len(self._cameras)}.mp4"
        shape = (height, width, channels)
        self._cameras[key] = _Camera(
            VideoWriter(path, shape, self._spec.rate_hz, self._target.codec)
        )

    def _frames(self, key: str, path: Path) -> RecordedFrames:
        height, width, _ = self._spec.observations[key].shape
        return RecordedFrames(path, 0, self._cameras[key].video.count, (height, width))

    def _refuse(self, error: OSError) -> NoReturn:
        try:
            refuse(error, self._staging, 1)
        finally:
            self.discard()


@final
class _Camera:
    """What is gathered of one camera's frames while they come."""

    def __init__(self, video: VideoWriter) -> None:
        self.video = video
        self.moments = totals.PictureMoments()
        self.digest = hashlib.blake2b(digest_size=16)

    def add(self, image: NDArray[np.uint8]) -> None:
        self.video.write(image)
        self.moments.add(image)
        self.digest.update(np.ascontiguousarray(image).data)


def _each(frames: NDArray[Any] | Frames) -> Iterator[NDArray[np.uint8]]:
    for start in range(0, len(frames), BLOCK_FRAMES):
        yield from np.asarray(frames[start : start + BLOCK_FRAMES])


def content_id(vectors: Episode, digests: Mapping[str, str]) -> str:
    """The id of an episode of whose frames only checksums are known."""
    id = vectors.identified().id
    if not digests:
        return id
    text = id + "".join(f"\n{key} {digests[key]}" for key in sorted(digests))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def clear(staging: Path) -> None:
    """Remove what is left in the staging folder of a take; what stays goes at the next opening."""
    shutil.rmtree(staging, ignore_errors=True)


@final
@dataclass(frozen=True)
class Workshop:
    """A Recorder for worker processes: it takes no lock and leaves finished takes in staging.

    The process that holds the dataset appends the episodes that come back, which then moves their
    video into place without encoding it again. It can be sent to other processes.
    """

    folder: Path
    spec: Spec
    codec: Codec

    def begin(self) -> Take:
        """Open a new take; several may be open at once."""
        return Take(self)

    def require_open(self) -> None:
        """It always is."""

    def commit(
        self,
        episode: Episode,
        videos: Mapping[str, Path],
        pictures: Mapping[str, totals.Moments],
        digests: Mapping[str, str],
        staging: Path,
    ) -> Row:
        """Leave beside the finished videos what is known of their frames."""
        if videos:
            known = {
                key: {k: v.tolist() for k, v in found.items()} for key, found in pictures.items()
            }
            facts = {"pictures": known, "digests": dict(digests)}
            (staging / FACTS).write_bytes(seal_json(facts))
        clips = {key: Clip(path, 0) for key, path in videos.items()}
        return Row(-1, len(episode), (episode.task,), staging, clips, {})


@final
@dataclass(frozen=True)
class Finished:
    """A take that waits in staging for its place."""

    staging: Path
    videos: Mapping[str, Path]
    pictures: Mapping[str, totals.Moments]
    digests: Mapping[str, str]


def finished(episode: Episode, target: Target) -> Finished | None:
    """The take in the dataset's own staging folder that an episode's frames are from, if so."""
    videos: dict[str, Path] = {}
    for key in target.spec.cameras:
        frames = episode.observations[key]
        if not isinstance(frames, RecordedFrames) or frames.first:
            return None
        videos[key] = frames.path
    folders = {path.parent for path in videos.values()}
    staging = folders.pop() if len(folders) == 1 else None
    if staging is None or staging.parent != target.folder / STAGING:
        return None
    facts = open_json(staging / FACTS)
    pictures = {
        key: {name: np.array(values, np.float64) for name, values in facts["pictures"][key].items()}
        for key in videos
    }
    return Finished(staging, videos, pictures, facts["digests"])
