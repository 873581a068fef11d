"""Saved means durable: no death, fault or full disk loses an episode or leaves half of one."""

import errno
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.demonstrations import CAMERAS, VECTORS, demonstration, differences, files
from tests.processes import FORKS
from tests.worlds import CountWorld
from understudy.actor import Expert
from understudy.data.doctor import verify
from understudy.data.durable import DiskFull
from understudy.data.lock import Lock
from understudy.data.store import Dataset
from understudy.data.video import RecordedFrames, VideoWriter
from understudy.rollout import rollouts
from understudy.spec import IMAGES, Signal


def without_cameras(episode):
    vectors = {k: v for k, v in episode.observations.items() if not k.startswith(IMAGES)}
    return replace(episode, observations=vectors)


def play(take, episode) -> None:
    for tick in range(len(episode)):
        for key in CAMERAS.cameras:
            take.frame(key, episode.observations[key][tick])


# takes


def test_takes_that_are_open_together_are_numbered_as_they_are_saved(tmp_path):
    dataset = Dataset.create(tmp_path / "set", CAMERAS)
    given = [demonstration(CAMERAS, 3 + seed, seed) for seed in range(3)]
    recorder = dataset.recorder()
    takes = [recorder.begin() for _ in given]
    for take, episode in zip(takes, given, strict=True):
        play(take, episode)
    saved = [takes[i].save(without_cameras(given[i])) for i in (2, 0)]
    takes[1].discard()
    assert [episode.seed for episode in saved] == [2, 0]
    assert [dataset[i].seed for i in range(2)] == [2, 0]
    assert [episode.id for episode in saved] == list(dataset.ids)
    for i, n in enumerate((2, 0)):
        assert differences(dataset[i], given[n], CAMERAS) == []
        frames = dataset[i].observations["observation.images.wrist"]
        assert isinstance(frames, RecordedFrames)
        loss = np.abs(
            np.asarray(frames).astype(int) - given[n].observations["observation.images.wrist"]
        )
        assert loss.mean() < 3
    assert not any((tmp_path / "set" / ".staging").iterdir())
    assert verify(tmp_path / "set") == []


def test_rollouts_record_into_a_dataset(tmp_path):
    worlds = [CountWorld() for _ in range(3)]
    dataset = Dataset.create(tmp_path / "set", worlds[0].signals)
    yielded = list(rollouts(worlds, Expert(), range(7), dataset.recorder()))
    assert [dataset[i].seed for i in range(7)] == list(range(7))
    for i, episode in enumerate(yielded):
        assert differences(dataset[i], episode, worlds[0].signals) == []
        assert episode.id == dataset.ids[i] == replace(episode, id="").identified().id


def test_the_same_frames_give_the_same_id_and_other_frames_another(tmp_path):
    ids = []
    for run, change in enumerate((0, 0, 1)):
        recorder = Dataset.create(tmp_path / str(run), CAMERAS).recorder()
        episode = demonstration(CAMERAS)
        front = np.array(episode.observations["observation.images.front"])
        front[2, 5, 5, 1] += change
        take = recorder.begin()
        play(take, replace(episode, observations={**episode.observations, IMAGES + "front": front}))
        ids.append(take.save(without_cameras(episode)).id)
    assert ids[0] == ids[1] != ids[2]


def _record_in_a_worker(workshop, seed):
    episode = demonstration(CAMERAS, 3 + seed, seed)
    take = workshop.begin()
    play(take, episode)
    return take.save(without_cameras(episode))


def test_takes_of_worker_processes_are_placed_without_encoding_again(tmp_path, monkeypatch):
    with Dataset.create(tmp_path / "by one", CAMERAS) as alone:
        for seed in (0, 1):
            take = alone.recorder().begin()
            play(take, demonstration(CAMERAS, 3 + seed, seed))
            take.save(without_cameras(demonstration(CAMERAS, 3 + seed, seed)))
    dataset = Dataset.create(tmp_path / "set", CAMERAS)
    workshop = dataset.workshop()
    with ProcessPoolExecutor(2, FORKS) as pool:
        recorded = [pool.submit(_record_in_a_worker, workshop, seed) for seed in (1, 0, 2)]
        episodes = [future.result() for future in recorded]
    monkeypatch.setattr(VideoWriter, "write", None)
    saved = [dataset.append(episodes[i]) for i in (1, 0)]
    assert dataset.ids == alone.ids == tuple(episode.id for episode in saved)
    assert files(tmp_path / "set" / "videos") == files(tmp_path / "by one" / "videos")
    for name in ("info.json", "stats.json"):
        one, other = (tmp_path / place / "meta" / name for place in ("set", "by one"))
        assert one.read_bytes() == other.read_bytes()
    frames = saved[1].observations[IMAGES + "front"]
    assert isinstance(frames, RecordedFrames)
    assert frames.path == dataset.frames_source(IMAGES + "front", 1).path
    assert verify(tmp_path / "set") == []
    dataset.close()
    reopened = Dataset.open(tmp_path / "set")  # the third take was never appended
    assert any("cleared away" in words for words in reopened.problems)


def test_a_dataset_of_a_single_workers_take_is_whole(tmp_path):
    with Dataset.create(tmp_path / "set", CAMERAS) as dataset:
        dataset.append(_record_in_a_worker(dataset.workshop(), 0))
    assert verify(tmp_path / "set") == []


def test_a_damaged_worker_take_is_refused(tmp_path):
    dataset = Dataset.create(tmp_path / "set", CAMERAS)
    episode = _record_in_a_worker(dataset.workshop(), 0)
    (facts,) = (tmp_path / "set" / ".staging").rglob("facts.json")
    facts.write_bytes(facts.read_bytes().replace(b"0.", b"1.", 1))
    with pytest.raises(ValueError, match=r"facts\.json is damaged"):
        dataset.append(episode)
    assert len(dataset) == 0


def _nan_action(episode):
    actions = episode.actions.copy()
    actions[1, 0] = np.nan
    return replace(episode, actions=actions)


BAD = {
    "action: nan at index": _nan_action,
    "the episode has no ticks": lambda e: replace(e, actions=e.actions[:0]),
    "rewards: shape": lambda e: replace(e, rewards=e.rewards[1:]),
    "time_s must increase": lambda e: replace(e, time_s=e.time_s[::-1]),
    "act_s: shape": lambda e: replace(e, act_s=e.act_s[1:]),
    "seed: ": lambda e: replace(e, seed=2**63),
    "the episode lacks": lambda e: replace(e, observations={}),
    "final observation lacks": lambda e: replace(e, final_observation={}),
    "surrogates not allowed": lambda e: replace(e, task="\ud800"),
}


@pytest.mark.parametrize("message", BAD)
@pytest.mark.parametrize("spec", [VECTORS, CAMERAS])
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, spec, message):
    dataset = Dataset.create(tmp_path / "set", spec)
    dataset.append(demonstration(spec))
    before = files(tmp_path / "set")
    with pytest.raises(ValueError, match=message):
        dataset.append(BAD[message](demonstration(spec, seed=1)))
    assert files(tmp_path / "set") == before
    dataset.append(demonstration(spec, seed=1))
    assert len(Dataset.open(tmp_path / "set")) == 2
    assert verify(tmp_path / "set") == []


def test_frames_that_do_not_fit_are_refused_and_leave_nothing(tmp_path):
    dataset = Dataset.create(tmp_path / "set", CAMERAS)
    before = files(tmp_path / "set")
    episode = demonstration(CAMERAS)
    take = dataset.recorder().begin()
    with pytest.raises(ValueError, match="'observation.images.back' is no camera"):
        take.frame("observation.images.back", np.zeros((32, 48, 3), np.uint8))
    with pytest.raises(ValueError, match=r"expected uint8 \(32, 48, 3\)"):
        take.frame("observation.images.front", np.zeros((48, 32, 3), np.uint8))
    for image in episode.observations["observation.images.front"]:
        take.frame("observation.images.front", image)
    with pytest.raises(
        ValueError, match=r"observation.images.wrist: 0 frames came, the episode has 7"
    ):
        take.save(without_cameras(episode))
    assert files(tmp_path / "set") == before
    assert len(dataset) == 0


# locks


HOLDER = """
import sys, time
from understudy.data.store import Dataset
dataset = Dataset.open(sys.argv[1])
dataset.recorder()
sys.stdout.write("held\\n"); sys.stdout.flush()
time.sleep(60)
"""


def test_a_second_writer_is_refused_by_name_until_the_first_dies(tmp_path):
    Dataset.create(tmp_path / "set", VECTORS).append(demonstration())
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "set")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            dataset = Dataset.open(tmp_path / "set")
            assert len(dataset[0]) == 7  # reading needs no lock
            for write in (lambda: dataset.append(demonstration(seed=1)), dataset.recorder):
                with pytest.raises(BlockingIOError, match=f"process {holder.pid} on .* since 20"):
                    write()
            with pytest.raises(BlockingIOError, match=f"process {holder.pid}"):
                dataset.annotate(0, exclude=True)
        finally:
            holder.kill()
    dataset.append(demonstration(seed=1))
    dataset.annotate(0, exclude=True)
    assert len(Dataset.open(tmp_path / "set")) == 2


def test_two_objects_of_one_process_take_turns_and_see_each_others_episodes(tmp_path):
    one = Dataset.create(tmp_path / "set", VECTORS)
    other = Dataset.open(tmp_path / "set")
    one.append(demonstration())
    with pytest.raises(BlockingIOError, match=r"this very process"):
        other.append(demonstration(seed=1))
    one.close()
    other.append(demonstration(seed=1))
    assert [other[i].seed for i in range(len(other))] == [0, 1]
    other.close()
    one.append(demonstration(seed=2))
    assert [one[i].seed for i in range(len(one))] == [0, 1, 2]
    assert verify(tmp_path / "set") == []


def test_a_closed_dataset_takes_no_more(tmp_path):
    dataset = Dataset.create(tmp_path / "set", CAMERAS)
    take = dataset.recorder().begin()
    dataset.close()
    with pytest.raises(ValueError, match="was closed"):
        play(take, demonstration(CAMERAS))


# leftovers


def test_what_a_dead_writer_left_is_cleared_and_said(tmp_path):
    folder = tmp_path / "set"
    with Dataset.create(folder, CAMERAS) as dataset:
        dataset.append(demonstration(CAMERAS))
    clean = files(folder)
    (folder / ".staging" / "take-x").mkdir(parents=True)
    (folder / ".staging" / "take-x" / "0.mp4").write_bytes(b"half")
    (folder / "data" / "chunk-000" / "file-001.parquet").write_bytes(b"uncommitted")
    (folder / "meta" / "info.json").write_bytes(clean["meta/info.json"].replace(b": 1,", b": 0,"))
    (folder / "meta" / "stats.json").unlink()
    said = "\n".join(Dataset.open(folder).problems)
    for words in (
        "cleared away",
        "file-001.parquet, of an episode that was never",
        "info.json",
        "stats.json",
    ):
        assert words in said
    assert files(folder) == clean
    assert Dataset.open(folder).problems == ()


def test_an_incomplete_copy_is_left_as_it_is_and_not_written_to(tmp_path):
    folder = tmp_path / "set"
    with Dataset.create(folder, VECTORS) as dataset:
        for seed in range(4):
            dataset.append(demonstration(seed=seed))
    for number in (2, 3):
        (folder / "meta" / "episodes" / "chunk-000" / f"file-00{number}.parquet").unlink()
    before = files(folder)
    dataset = Dataset.open(folder)
    assert any("is not complete" in words for words in dataset.problems)
    assert [dataset[i].seed for i in range(len(dataset))] == [0, 1]
    with pytest.raises(ValueError, match="Copy the dataset again"):
        dataset.append(demonstration(seed=9))
    assert files(folder) == before


# disks


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("MOUNT: mounting a small disk needs more rights")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("spec", [VECTORS, CAMERAS], ids=["vectors", "cameras"])
def test_a_full_disk_refuses_the_episode_and_keeps_the_others(small_disk, spec):
    dataset = Dataset.create(small_disk / "set", spec)
    saved = [dataset.append(demonstration(spec, 5, seed)) for seed in range(3)]
    before = files(small_disk / "set")
    room = shutil.disk_usage(small_disk).free
    left = 0
    for left in range(0, 60_000, 6_000):
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(room - left - 20_000))
        refused = None
        try:
            dataset.append(demonstration(spec, 5, 7, task="another"))
        except DiskFull as error:
            refused = error
        ballast.unlink()
        if refused is None:
            break
        assert refused.errno == errno.ENOSPC
        assert re.search(r"\d+ bytes are free in .*, at least \d+ are needed", str(refused))
        assert files(small_disk / "set") == before
        assert len(dataset) == 3
    assert left > 0
    assert len(dataset) == 4
    dataset.append(demonstration(spec, 5, 8))
    assert [Dataset.open(small_disk / "set")[i].id for i in range(3)] == [e.id for e in saved]
    assert verify(small_disk / "set") == []


def test_a_disk_that_fills_while_a_take_runs_refuses_the_take(small_disk):
    spec = replace(VECTORS, observations={IMAGES + "front": Signal((64, 64, 3), "uint8")})
    dataset = Dataset.create(small_disk / "set", spec)
    dataset.append(demonstration(spec))
    before = files(small_disk / "set")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    take, episode = dataset.recorder().begin(), demonstration(spec, 1000, 1)

    def record() -> None:
        for tick in range(1000):
            take.frame(IMAGES + "front", np.roll(noise, tick, axis=1))
        take.save(without_cameras(episode))

    with pytest.raises(DiskFull, match=r"the disk is full: .* bytes are free"):
        record()
    assert files(small_disk / "set") == before
    dataset.append(demonstration(spec, seed=1))
    assert verify(small_disk / "set") == []


def test_a_limit_on_file_size_is_told_like_a_full_disk(tmp_path):
    dataset = Dataset.create(tmp_path / "set", VECTORS)
    dataset.append(demonstration())
    before, limits = files(tmp_path / "set"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(DiskFull, match="the episode is not saved"):
            dataset.append(demonstration(VECTORS, 2000, 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path / "set") == before
    dataset.append(demonstration(VECTORS, 2000, 1))
    assert verify(tmp_path / "set") == []


@pytest.fixture
def read_only(tmp_path) -> Iterator[Path]:
    """A dataset on a disk that cannot be written, with what a dead writer left on it."""
    folder = tmp_path / "disk"
    with Dataset.create(folder / "set", CAMERAS) as dataset:
        dataset.append(demonstration(CAMERAS))
    (folder / "set" / ".staging" / "left").mkdir(parents=True)
    commands = (["--bind", str(folder), str(folder)], ["-o", "remount,ro,bind", str(folder)])
    for arguments in commands:
        if subprocess.run(["mount", *arguments], capture_output=True).returncode:
            pytest.skip("MOUNT: mounting a read-only disk needs more rights")
    try:
        yield folder / "set"
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_read_only_disk_can_be_read_and_says_that_it_cannot_be_written(read_only):
    dataset = Dataset.open(read_only)
    assert differences(dataset[0], demonstration(CAMERAS), CAMERAS) == []
    assert dataset.column("action").shape == (7, 2)
    assert verify(read_only) == []
    for write in (lambda: dataset.annotate(0, exclude=True), dataset.recorder):
        with pytest.raises(OSError, match="cannot be written to .*copy the dataset"):
            write()
    with pytest.raises(OSError, match="Read-only"):
        Dataset.create(read_only.parent / "other", CAMERAS)


def test_a_lock_is_free_again_when_its_holder_is_gone(tmp_path):
    first = Lock(tmp_path / ".lock")
    with suppress(BlockingIOError):
        Lock(tmp_path / ".lock")
        pytest.fail("two holders")
    first.release()
    first.release()
    second = Lock(tmp_path / ".lock")
    del second
    Lock(tmp_path / ".lock").release()
