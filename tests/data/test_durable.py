"""No fault, death or loss of power at any moment leaves anything but the old or the new."""

import errno
import os
import random
import shutil
import signal
import stat
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.data import crash_child
from tests.data.demonstrations import CAMERAS, VECTORS, demonstration, differences, files
from tests.processes import Process
from understudy.data.doctor import verify
from understudy.data.durable import open_json, replace_file, replace_text, seal_json
from understudy.data.store import Dataset

TASKS = ("one", "two", "three")


class Killed(BaseException):
    """The process is dead: nothing after this reaches the disk."""


class Disk:
    """Counts the calls that change the disk and lets one fail, or dies there and stays dead.

    It also knows what a disk without power would forget: content that was not fsynced, and names
    in folders that were not fsynced.
    """

    CALLS = ("write", "fsync", "replace", "mkdir", "unlink", "rmdir")

    def __init__(self, monkeypatch) -> None:
        self.count, self.fail_at, self.deadly = 0, -1, False
        self.synced: set[int] = set()  # inodes
        self.renamed: list[tuple[Path, Path, bytes | None]] = []  # what was there before
        for name in self.CALLS:
            monkeypatch.setattr(os, name, self._shim(name, getattr(os, name)))

    def _shim(self, name, real):
        def call(*arguments, **named):
            self.count += 1
            if self.deadly and 0 <= self.fail_at < self.count:
                raise Killed
            if self.count - 1 == self.fail_at:
                raise OSError(errno.EIO, "injected")
            note = getattr(self, f"_{name}", None)
            if note is not None:
                note(*arguments)
            return real(*arguments, **named)

        return call

    def _write(self, file, content) -> None:
        self.synced.discard(os.fstat(file).st_ino)

    def _replace(self, source, target) -> None:
        before = target.read_bytes() if target.exists() else None
        self.renamed.append((source, target, before))

    def _fsync(self, file) -> None:
        found = os.fstat(file)
        if stat.S_ISDIR(found.st_mode):
            self.renamed = [r for r in self.renamed if r[1].parent.stat().st_ino != found.st_ino]
        else:
            self.synced.add(found.st_ino)

    def arm(self, at: int, deadly: bool) -> None:
        self.count, self.fail_at, self.deadly = 0, at, deadly
        self.synced, self.renamed = set(), []

    def disarm(self) -> None:
        self.fail_at, self.deadly = -1, False

    def lose_power(self, folder: Path, known: set[int], forget_names: bool) -> None:
        """Leave of `folder` what the disk was told to keep; `known` inodes were safe before."""
        restored = set()
        for source, target, before in reversed(self.renamed if forget_names else []):
            if source.parent.is_dir():
                os.rename(target, source)
            else:
                target.unlink()
            if before is not None:
                target.write_bytes(before)
                restored.add(target)
        for path in folder.rglob("*"):
            kept = path in restored or path.name == ".lock" or path.is_dir()
            if not kept and path.stat().st_ino not in self.synced | known:
                os.truncate(path, path.stat().st_size // 2)


@pytest.fixture
def disk(monkeypatch) -> Disk:
    return Disk(monkeypatch)


def start(folder: Path, spec) -> Dataset:
    """A dataset of one episode."""
    with Dataset.create(folder, spec) as dataset:
        dataset.append(demonstration(spec, 3, 0, task=TASKS[0]))
    return dataset


def second(spec):
    return demonstration(spec, 4, 1, task=TASKS[1])


def require_old_or_new(folder: Path, spec, saved: bool) -> int:
    """Open it, find one episode or two (two if `saved`), whole; it takes another. How many it had."""
    dataset = Dataset.open(folder)
    assert verify(folder) == []
    count = len(dataset)
    assert count in ((2,) if saved else (1, 2))
    for i, expected in enumerate((demonstration(spec, 3, 0, task=TASKS[0]), second(spec))[:count]):
        assert differences(dataset[i], expected, spec) == []
        for key in spec.cameras:
            assert dataset[i].observations[key][-1].shape == spec.observations[key].shape
    if not spec.cameras:
        with dataset:
            dataset.append(demonstration(spec, 2, 2, task=TASKS[2]))
        assert verify(folder) == []
        assert Dataset.open(folder).problems == ()
    return count


@pytest.mark.parametrize("spec", [VECTORS, CAMERAS], ids=["vectors", "cameras"])
def test_an_error_at_any_call_refuses_the_episode_and_the_next_try_succeeds(tmp_path, disk, spec):
    start(tmp_path / "start", spec)
    raised, at = True, -1
    while raised:
        at += 1
        folder = shutil.copytree(tmp_path / "start", tmp_path / f"set {at}")
        dataset = Dataset.open(folder)
        recorder = dataset.recorder()
        before = files(folder)
        disk.arm(at, deadly=False)
        try:
            recorder.append(second(spec))
            raised = disk.count > at  # it failed where it does not matter: clearing up
        except OSError:
            disk.disarm()
            left = {name for name in files(folder) if not name.startswith(".staging/")}
            assert left == before.keys()
            assert {name: files(folder)[name] for name in left} == before
            assert len(dataset) == 1
            dataset.append(second(spec))
        disk.disarm()
        dataset.close()
        assert require_old_or_new(folder, spec, saved=True) == 2
        shutil.rmtree(folder)
    assert at > 20


@pytest.mark.parametrize(
    ("spec", "power"),
    [
        (VECTORS, "stays"),
        (VECTORS, "goes"),
        (VECTORS, "goes with names"),
        (CAMERAS, "goes with names"),
    ],
    ids=["stays", "goes", "goes with names", "goes with names, cameras"],
)
def test_death_at_any_call_leaves_the_old_or_the_new_never_a_third(tmp_path, disk, spec, power):
    start(tmp_path / "start", spec)
    outcomes, dead = [], True
    while dead:
        folder = shutil.copytree(tmp_path / "start", tmp_path / f"set {len(outcomes)}")
        known = {path.stat().st_ino for path in folder.rglob("*")}
        dataset = Dataset.open(folder)
        recorder = dataset.recorder()
        disk.arm(len(outcomes), deadly=True)
        try:
            saved = bool(recorder.append(second(spec)).id)
        except Killed:
            saved = False
        dead = disk.count > len(outcomes)
        disk.disarm()
        dataset.close()
        if power != "stays":
            disk.lose_power(folder, known, forget_names=power == "goes with names")
        outcomes.append(require_old_or_new(folder, spec, saved))
        shutil.rmtree(folder)
    assert len(outcomes) > 20
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {1, 2}


def test_death_while_a_dataset_is_created_leaves_none_or_a_whole_one(tmp_path, disk):
    outcomes, dead = [], True
    while dead:
        folder = tmp_path / f"set {len(outcomes)}"
        disk.arm(len(outcomes), deadly=True)
        with suppress(Killed):
            Dataset.create(folder, VECTORS)
        dead = disk.count > len(outcomes)
        disk.disarm()
        there = (folder / "meta" / "info.json").exists()
        dataset = Dataset.open(folder) if there else Dataset.create(folder, VECTORS)
        with dataset:
            dataset.append(demonstration())
        assert verify(folder) == []
        outcomes.append(there)
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {False, True}


def test_death_while_annotating_keeps_the_old_or_the_new(tmp_path, disk):
    dataset = start(tmp_path / "set", VECTORS)
    dataset.annotate(0, tags=["old"])
    found, dead = [], True
    while dead:
        dataset.annotate(0, tags=["old"])
        disk.arm(len(found), deadly=True)
        with suppress(Killed):
            dataset.annotate(0, tags=["new"])
        dead = disk.count > len(found)
        disk.disarm()
        found.append(Dataset.open(tmp_path / "set").tags(0)[0])
        assert verify(tmp_path / "set") == []
    assert found == sorted(found, reverse=True)
    assert set(found) == {"old", "new"}


def test_sealed_json_notices_every_flipped_bit(tmp_path):
    path = tmp_path / "x.json"
    replace_file(path, seal_json({"a": [1, 2.5, None], "b": {"c": "text"}}), tmp_path / "staging")
    assert open_json(path) == {"a": [1, 2.5, None], "b": {"c": "text"}}
    content = path.read_bytes()
    for at in range(len(content)):
        for bit in range(8):
            path.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
            with pytest.raises(ValueError, match="damaged"):
                open_json(path)


def _kill_once(folder: Path, delay: float) -> int:
    """Let a child record into `folder` for a while, kill it; how many episodes it said were saved."""
    child = Process(crash_child.main, folder)
    while "ready\n" not in child.output:
        assert child.poll() is None, child.error
        time.sleep(0.005)
    time.sleep(delay)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    saved = [int(line.split()[1]) for line in child.output.split("\n") if line.startswith("saved ")]
    return max(saved, default=-1) + 1


def test_no_saved_episode_is_lost_to_kill_9(tmp_path):
    generator, folder, known = random.Random(0), tmp_path / "set", 0
    for _ in range(8):
        acknowledged = max(known, _kill_once(folder, generator.uniform(0.0, 0.3)))
        dataset = Dataset.open(folder)
        assert acknowledged <= len(dataset) <= acknowledged + 1
        assert verify(folder) == []
        for i in range(known, len(dataset)):
            assert differences(dataset[i], crash_child.episode(i), CAMERAS) == []
            assert dataset[i].observations["observation.images.front"][-1].shape == (32, 48, 3)
        known = len(dataset)
    assert known > 3  # it did record


def test_a_text_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    file = tmp_path / "report.json"
    replace_text(file, "old")
    with pytest.raises(UnicodeEncodeError):
        replace_text(file, "new \ud800")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
