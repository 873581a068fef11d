"""Writes episodes so that "saved" means durable: kill -9, a crash or a full disk loses none of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from understudy.data import totals
from understudy.data.durable import Transaction, digest, digest_file, refuse
from understudy.data.info import INFO
from understudy.data.layout import TASKS, Clip, Layout, Row
from understudy.data.lock import Lock
from understudy.data.places import STATS, after, kept_statistics, next_places, place, used_tasks
from understudy.data.records import checked, data_file, episode_file, episode_record, tasks_file
from understudy.data.take import Finished, Take, clear, content_id, finished
from understudy.data.video import Codec, RecordedFrames
from understudy.episode import Episode
from understudy.spec import Spec


@final
class Writer:
    """The one writer of a dataset; it holds the lock until `close`. It is a `Recorder`."""

    def __init__(
        self,
        layout: Layout,
        lock: Lock,
        spec: Spec,
        codec: Codec,
        video: Mapping[str, Any],
        committed: Callable[[Row], None],
    ) -> None:
        self.codec: Codec = codec
        self.spec, self.folder = spec, layout.tree.folder
        self._lock, self._video, self._committed = lock, video, committed
        self._busy = threading.Lock()  # takes may end in several threads
        self._lengths = [row.length for row in layout.rows]
        self._tasks = used_tasks(layout)
        self._places = next_places(layout, spec)
        self._statistics = kept_statistics(layout, spec)

    def close(self) -> None:
        """Let others write."""
        self._lock.release()

    def require_open(self) -> None:
        """Raise ValueError if the dataset was closed."""
        if not self._lock.is_held:
            raise ValueError(f"{self.folder} was closed; open it again to write")

    def begin(self) -> Take:
        """Open a new take; several may be open at once."""
        self.require_open()
        return Take(self)

    def append(self, episode: Episode) -> Episode:
        """Store an episode with all its frames; durable when it returns."""
        episode = checked(episode, self.spec)
        self.require_open()
        take = finished(episode, self)
        return self.begin().write(episode) if take is None else self._adopt(episode, take)

    def _adopt(self, episode: Episode, take: Finished) -> Episode:
        """Give a take of a `Workshop` its place; its video is moved, not encoded again."""
        vectors = {key: episode.observations[key] for key in self.spec.vectors}
        id = content_id(replace(episode, observations=vectors), take.digests)
        episode = replace(episode, id=id)
        try:
            row = self.commit(episode, take.videos, take.pictures, take.digests, take.staging)
        except BaseException:
            clear(take.staging)
            raise
        placed = {
            key: replace(frames, path=row.clips[key].path)
            for key, frames in episode.observations.items()
            if isinstance(frames, RecordedFrames)
        }
        return replace(episode, observations={**episode.observations, **placed})

    def commit(
        self,
        episode: Episode,
        videos: Mapping[str, Path],
        pictures: Mapping[str, totals.Moments],
        digests: Mapping[str, str],
        staging: Path,
    ) -> Row:
        """Give a checked episode its number, make it and its finished `videos` durable."""
        with self._busy:
            row = self._commit(episode, videos, pictures, staging)
        clear(staging)
        return row

    def _commit(
        self,
        episode: Episode,
        videos: Mapping[str, Path],
        pictures: Mapping[str, totals.Moments],
        staging: Path,
    ) -> Row:
        number, first = len(self._lengths), sum(self._lengths)
        lengths = [*self._lengths, len(episode)]
        tasks = self._tasks if episode.task in self._tasks else [*self._tasks, episode.task]
        own = totals.of_episode(self.spec, episode, pictures)
        statistics = totals.together(self._statistics, own)
        data = data_file(episode, self.spec, number, first, tasks.index(episode.task))
        parts = {"data": (len(data), digest(data))}
        parts |= {key: (path.stat().st_size, digest_file(path)) for key, path in videos.items()}
        record = episode_record(self.spec, episode, self._places, parts, number, first)
        files = {
            "data/": data,
            "meta/episodes/": episode_file(self.spec, record, own),
            INFO: totals.info(self.spec, self._video, lengths, len(tasks)),
            STATS: totals.stats(statistics, self.spec),
        }
        if tasks is not self._tasks:
            files[TASKS] = tasks_file(tasks)
        needed = sum(map(len, files.values())) + sum(parts[key][0] for key in videos)
        targets = {prefix: self.folder / place(prefix, *at) for prefix, at in self._places.items()}
        try:
            self._make_durable(files, videos, targets, staging)
        except OSError as error:
            refuse(error, staging, needed)
        clips = {key: Clip(targets[f"videos/{key}/"], 0) for key in videos}
        row = Row(number, len(episode), (episode.task,), targets["data/"], clips, record)
        self._lengths, self._tasks, self._statistics = lengths, tasks, statistics
        self._places = {prefix: after(at) for prefix, at in self._places.items()}
        self._committed(row)
        return row

    def _make_durable(
        self,
        files: Mapping[str, bytes],
        videos: Mapping[str, Path],
        targets: Mapping[str, Path],
        staging: Path,
    ) -> None:
        """One transaction. The row in the table of episodes decides; the totals follow it."""
        transaction = Transaction(staging)
        if TASKS in files:
            transaction.write(self.folder / TASKS, files[TASKS])
        for key, path in videos.items():
            transaction.move(path, targets[f"videos/{key}/"])
        transaction.write(targets["data/"], files["data/"])
        transaction.then()
        transaction.write(targets["meta/episodes/"], files["meta/episodes/"])
        transaction.then()
        transaction.write(self.folder / INFO, files[INFO])
        transaction.write(self.folder / STATS, files[STATS])
        transaction.commit()
