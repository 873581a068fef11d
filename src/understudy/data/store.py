"""A dataset on disk: demonstrations in, episodes and columns out, always a valid LeRobot dataset.

What Understudy writes is LeRobot v3.0 with additional columns; v3.0, v2.1 and v2.0 datasets of
others are read where they lie.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from understudy.data import annotations, foreign, totals
from understudy.data.durable import make_folder, open_json, replace_file, seal_json, write_file
from understudy.data.features import check_storable, columns
from understudy.data.info import INFO
from understudy.data.layout import Layout
from understudy.data.lock import Lock
from understudy.data.places import LOCK, OWN, STAGING, require_whole, tidy, untidy
from understudy.data.reader import Reader
from understudy.data.records import own_episode
from understudy.data.split import split
from understudy.data.take import Workshop, clear, finished
from understudy.data.video import Codec, RecordedFrames, VideoWriter
from understudy.data.writer import Writer
from understudy.episode import Episode
from understudy.spec import Spec


@final
class Dataset:
    """Episodes in a folder, in the order in which they were saved.

    Indices, `lengths`, `ids`, `tasks` and `column` count every episode that was saved; `selected`
    leaves out those that an annotation excludes. Reading needs no lock; the first write takes it,
    and `close`, the end of a `with` block or the end of the process gives it back.
    """

    def __init__(self, layout: Layout, facts: dict[str, Any] | None, problems: list[str]) -> None:
        """Use `create` or `open`."""
        self.folder = layout.tree.folder
        self.version = layout.version
        self._facts = facts  # None: a dataset of others
        self._writer: Writer | None = None
        if facts is None:
            self.spec, kinds, found = foreign.understood(layout)
        else:
            self.spec, found = Spec.from_dict(facts["spec"]), []
            kinds = columns(self.spec)
        self.problems: tuple[str, ...] = (*problems, *layout.problems, *found)
        self._notes = annotations.read(self.folder)
        rows = list(layout.rows)
        self._reader = Reader(self.folder, self.spec, kinds, facts is not None, rows)

    @classmethod
    def create(cls, folder: Path | str, spec: Spec, codec: Codec = "h264") -> Dataset:
        """Begin an empty dataset for what `spec` describes; cameras are stored with `codec`.

        Raises FileExistsError unless the folder is empty or missing, and ValueError, listing
        everything, for signals that cannot be stored.
        """
        folder = Path(folder).absolute()  # worker processes may be elsewhere
        check_storable(spec)
        video = _video_details(spec, codec)
        if folder.exists() and not _is_unfinished(folder):
            raise FileExistsError(
                f"{folder} is not empty; choose a new folder, or open the dataset that is there"
            )
        make_folder(folder / "meta")
        facts = {"format": 1, "spec": spec.to_dict(), "codec": codec, "video": video}
        write_file(folder / OWN, seal_json(facts))
        replace_file(folder / INFO, totals.info(spec, video, [], 0), folder / STAGING)
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path | str) -> Dataset:
        """Open a LeRobot dataset of version 3.0, 2.1 or 2.0 where it lies, read-only disks included.

        What a writer of ours that died has left is cleared away; `problems` says so, and what is
        untidy in a dataset of others. Raises FileNotFoundError if there is none, ValueError if it
        is damaged or unsafe to read.
        """
        folder = Path(folder).absolute()  # worker processes may be elsewhere
        if not (folder / OWN).is_file():
            return cls(Layout(folder), None, [])
        facts = open_json(folder / OWN)
        layout = Layout(folder, own=True)
        spec = Spec.from_dict(facts["spec"])
        done: list[str] = []
        if untidy(layout, spec, facts["video"]):
            try:
                lock = Lock(folder / LOCK)
            except OSError:  # its writer is alive, or the disk is read-only
                return cls(layout, facts, [])
            try:
                layout = Layout(folder, own=True)
                done = untidy(layout, spec, facts["video"])
                tidy(layout, spec, facts["video"])
                layout = Layout(folder, own=True)
            except (ValueError, OSError) as error:  # it can be read all the same
                done = [str(error)]
            finally:
                lock.release()
        return cls(layout, facts, done)

    def close(self) -> None:
        """Let others write; reading goes on."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # reading

    def __len__(self) -> int:
        return len(self._reader.rows)

    def __getitem__(self, i: int) -> Episode:
        """Episode i; its frames are decoded when asked for."""
        at = self._index(i)
        row, read = self._reader.rows[at], self._reader.episode(at)
        cameras = {key: self.frames_source(key, at) for key in self.spec.cameras}
        if self._facts is not None:
            return own_episode(self.spec, row, read, cameras)
        return foreign.episode(self.spec, row, read, cameras, self.ids[at])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Ticks of each episode, (E,)."""
        return self._reader.lengths

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task of each episode, in words."""
        return tuple(row.tasks[0] if row.tasks else "" for row in self._reader.rows)

    @property
    def sources(self) -> tuple[str, ...]:
        """Who acted in each episode; empty in a dataset of others."""
        return tuple(str(row.facts.get("source") or "") for row in self._reader.rows)

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The seed that each episode's world began with, where it is known."""
        return tuple(row.facts.get("seed") for row in self._reader.rows)

    @property
    def ids(self) -> tuple[str, ...]:
        """What identifies each episode by its content, wherever it is moved."""
        return self._reader.ids

    @property
    def keys(self) -> tuple[str, ...]:
        """What `column` knows."""
        return self._reader.keys

    def column(self, key: str) -> NDArray[Any]:
        """One column of all ticks of all episodes, (ticks, *shape), contiguous and read-only.

        `executed` and `label` are NaN where not given. Raises KeyError for an unknown column,
        ValueError if a data file is damaged.
        """
        return self._reader.column(key)

    def frames_source(self, key: str, i: int) -> RecordedFrames:
        """Where the frames of camera `key` in episode i are.

        Raises KeyError for an unknown camera, ValueError if that episode has no frames of it.
        """
        if key not in self.spec.cameras:
            raise KeyError(f"{self.folder} has no camera {key!r}; it has {self.spec.cameras}")
        row = self._reader.rows[self._index(i)]
        if key not in row.clips:
            raise ValueError(
                f"episode {i} of {self.folder} has no frames of {key} that can be trusted; see "
                "`problems`, and exclude the episode with an annotation"
            )
        height, width, _ = self.spec.observations[key].shape
        clip = row.clips[key]
        return RecordedFrames(clip.path, clip.first, row.length, (height, width))

    @property
    def fingerprint(self) -> str:
        """A hash over the ids of all episodes, in order, and which of them are excluded."""
        excluded = self._notes.excluded
        text = "".join(f"{id}{' -' if id in excluded else ''}\n" for id in self.ids)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def statistics(self, key: str) -> dict[str, NDArray[np.float64]]:
        """Exact mean, std, min, max, q01, q10, q50, q90 and q99 of a column, each (*shape).

        Over all ticks of the selected episodes; ticks without a value (NaN) do not count. Raises
        ValueError if there are none.
        """
        chosen = np.zeros(len(self), np.bool_)
        chosen[self.selected] = True
        values = self.column(key)[np.repeat(chosen, self.lengths)]
        values = values[np.isfinite(values).all(axis=tuple(range(1, values.ndim)))]
        if not len(values):
            raise ValueError(f"{self.folder}: no value of {key!r} to take statistics of")
        return totals.exact(values)

    # choosing

    @property
    def selected(self) -> NDArray[np.int64]:
        """Indices of the episodes that no annotation excludes."""
        excluded = self._notes.excluded
        return np.array([i for i, id in enumerate(self.ids) if id not in excluded], np.int64)

    def tags(self, i: int) -> tuple[str, ...]:
        """The tags of episode i."""
        return self._notes.tags(self.ids[self._index(i)])

    def annotate(
        self, i: int, *, exclude: bool | None = None, tags: Sequence[str] | None = None
    ) -> None:
        """Exclude episode i from learning, or take it back; replace its tags. None: as it is.

        Kept by id in `meta/annotations.json`, whole or not at all; no data is rewritten. Raises
        BlockingIOError, naming the holder, while another process writes.
        """
        id = self.ids[self._index(i)]
        lock = None if self._writer is not None else self._lock()
        try:
            notes = annotations.read(self.folder).changed(id, exclude, tags)
            annotations.write(self.folder, notes, self.folder / STAGING)
        finally:
            if lock is not None:
                lock.release()
        self._notes = notes

    def split(self, held_out: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(train, held out) indices of the selected episodes, drawn by episode within each task.

        `held_out` is the share 0..1 that is held out. A pure function of ids, tasks and seed.
        """
        chosen = self.selected
        ids, tasks = self.ids, self.tasks
        kept, held = split([ids[i] for i in chosen], [tasks[i] for i in chosen], held_out, seed)
        return chosen[kept], chosen[held]

    # writing

    def append(self, episode: Episode) -> Episode:
        """Save an episode; it is durable when this returns, with its id and its recorded frames.

        Raises ValueError if it does not fit the Spec, BlockingIOError while another process
        writes, OSError with free and needed bytes when the disk is full; nothing of it is left.
        """
        return self._writing().append(episode)

    def discard(self, episode: Episode) -> None:
        """Clear away what the `workshop` has recorded of an episode that is not to be kept."""
        take = finished(episode, self._writing())
        if take is not None:
            clear(take.staging)

    def recorder(self) -> Writer:
        """Where `rollouts` writes takes; several may be open at once."""
        return self._writing()

    def workshop(self) -> Workshop:
        """A recorder for worker processes; `append` what it saved, in the order that you want.

        It takes no lock; this dataset takes it here and must stay open while the workers record.
        """
        facts = self._own_facts()
        self._writing()
        return Workshop(self.folder, self.spec, facts["codec"])

    def _own_facts(self) -> dict[str, Any]:
        if self._facts is None:
            raise ValueError(
                f"{self.folder} was not made by Understudy and is never changed; create a dataset "
                "and append its episodes there"
            )
        return self._facts

    def _writing(self) -> Writer:
        facts = self._own_facts()
        if self._writer is None:
            lock = self._lock()
            try:
                self._writer = self._opened_writer(lock, facts)
            except BaseException:
                lock.release()
                raise
        return self._writer

    def _opened_writer(self, lock: Lock, facts: dict[str, Any]) -> Writer:
        layout = Layout(self.folder, own=True)  # others may have written since we looked
        require_whole(layout, self.spec)
        if untidy(layout, self.spec, facts["video"]):
            tidy(layout, self.spec, facts["video"])
            layout = Layout(self.folder, own=True)
        rows = self._reader.rows
        if [row.facts["id"] for row in layout.rows[: len(rows)]] != list(self.ids):
            raise ValueError(f"{self.folder} has lost episodes since it was opened; open it again")
        rows += layout.rows[len(rows) :]
        return Writer(layout, lock, self.spec, facts["codec"], facts["video"], rows.append)

    def _lock(self) -> Lock:
        try:
            return Lock(self.folder / LOCK)
        except BlockingIOError:
            raise
        except OSError as error:
            raise OSError(
                error.errno,
                f"{self.folder} cannot be written to ({error.strerror}); copy the dataset to a "
                "folder where you may write",
            ) from error

    # inside

    def _index(self, i: int) -> int:
        if not -len(self) <= i < len(self):
            raise IndexError(f"episode {i} of {len(self)} in {self.folder}")
        return i % len(self)


def _video_details(spec: Spec, codec: Codec) -> dict[str, dict[str, Any]]:
    """{camera: what the encoder says of itself}; raises ValueError where it cannot encode."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for key in spec.cameras:
            height, width, channels = spec.observations[key].shape
            path = Path(folder) / "trial.mp4"
            writer = VideoWriter(path, (height, width, channels), spec.rate_hz, codec)
            found[key] = writer.details()
            writer.discard()
    return found


def _is_unfinished(folder: Path) -> bool:
    """Whether a folder is empty, or holds only what `create` had written when it was stopped."""
    if not folder.is_dir() or (folder / INFO).exists():
        return False
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return names <= {"meta", OWN, STAGING, f"{STAGING}/info.json"}
