"""The frame cache: what it gives is what the videos hold, whatever happened to the cache."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.processes import Process, program
from understudy.data import shards
from understudy.data.frames import FrameCache
from understudy.data.store import Dataset
from understudy.data.video import RecordedFrames, VideoWriter, read_frames
from understudy.spec import Signal, Spec

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
SIZES = {FRONT: (48, 64), WRIST: (32, 32)}


@dataclass
class Recorded:
    """A dataset of two cameras whose episodes share one file per camera."""

    folder: Path
    lengths: np.ndarray = field(default_factory=lambda: np.array([7, 1, 12]))
    decoded: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        generator = np.random.default_rng(0)
        for key, (height, width) in SIZES.items():
            writer = VideoWriter(self.folder / f"{key}.mp4", (height, width, 3), 10)
            for _ in range(int(self.lengths.sum())):
                phase = generator.uniform(0, 6, 3)
                y, x = np.mgrid[0:height, 0:width, 0:1][:2]
                image = 128 + 100 * np.sin(x / 9 + phase) * np.cos(y / 7 + phase[::-1])
                writer.write(image.astype(np.uint8))
            writer.close()

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"id{i}" for i in range(len(self.lengths)))

    @property
    def spec(self) -> Spec:
        cameras = {key: Signal((*size, 3), "uint8") for key, size in SIZES.items()}
        return Spec(cameras, Signal((2,)), 10)

    def frames_source(self, key: str, i: int) -> RecordedFrames:
        self.decoded.append((key, i))
        first = int(self.lengths[:i].sum())
        return RecordedFrames(self.folder / f"{key}.mp4", first, int(self.lengths[i]), SIZES[key])


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def dataset(tmp_path, cache) -> Recorded:
    return Recorded(tmp_path)


def test_gathered_frames_are_the_frames_of_the_video(dataset):
    cache = FrameCache.build(dataset, [FRONT, WRIST])
    episode = np.array([2, 0, 2, 1, 0, 2, 2])
    tick = np.array([11, 6, 0, 0, 6, 3, 11])
    for key in (FRONT, WRIST):
        expected = [dataset.frames_source(key, e)[t] for e, t in zip(episode, tick, strict=True)]
        np.testing.assert_array_equal(cache.gather(key, episode, tick), np.stack(expected))
    assert cache.gather(FRONT, episode[:0], tick[:0]).shape == (0, 48, 64, 3)


def test_frames_are_resized_when_a_size_is_given(dataset):
    cache = FrameCache.build(dataset, [FRONT], size=(24, 32))
    small = cache.gather(FRONT, np.array([2]), np.array([5]))[0]
    whole = dataset.frames_source(FRONT, 2)[5]
    by_area = whole.reshape(24, 2, 32, 2, 3).mean((1, 3))
    assert small.shape == (24, 32, 3)
    assert np.abs(small - by_area).mean() < 1


def test_a_second_build_decodes_nothing_and_an_appended_episode_alone(dataset):
    dataset.lengths = np.array([7, 1])
    FrameCache.build(dataset, [FRONT])
    dataset.decoded.clear()
    FrameCache.build(dataset, [FRONT])
    assert dataset.decoded == []
    dataset.lengths = np.array([7, 1, 12])
    FrameCache.build(dataset, [FRONT])
    assert dataset.decoded == [(FRONT, 2)]


def test_only_chosen_episodes_are_decoded_and_others_are_refused_by_name(dataset):
    cache = FrameCache.build(dataset, [FRONT], episodes=[2])
    assert dataset.decoded == [(FRONT, 2)]
    with pytest.raises(KeyError, match="episode 0"):
        cache.gather(FRONT, np.array([2, 0]), np.array([0, 0]))
    with pytest.raises(KeyError, match=r"observation\.images\.wrist.*only of"):
        cache.gather(WRIST, np.array([2]), np.array([0]))
    with pytest.raises(KeyError, match=r"Did you mean 'observation\.images\.front'"):
        FrameCache.build(dataset, ["observation.images.frnt"])
    with pytest.raises(IndexError, match=r"episode 3: the dataset has episodes 0\.\.2"):
        FrameCache.build(dataset, [FRONT], episodes=[3])


@pytest.mark.parametrize("tick", [-1, 7])
def test_a_tick_outside_its_episode_is_refused(dataset, tick):
    cache = FrameCache.build(dataset, [FRONT])
    with pytest.raises(IndexError, match=f"tick {tick} of episode 0, which has 7"):
        cache.gather(FRONT, np.array([0, 0]), np.array([3, tick]))


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change_shape(path: Path) -> None:
    np.save(path, np.zeros((7, 64, 48, 3), np.uint8))


def overwrite(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


@pytest.mark.parametrize("damage", [shorten, change_shape, overwrite, Path.unlink])
def test_a_damaged_shard_is_decoded_anew(dataset, cache, damage):
    FrameCache.build(dataset, [FRONT])
    (shard,) = cache.glob("frames/*/id0.npy")
    before = shard.read_bytes()
    damage(shard)
    dataset.decoded.clear()
    FrameCache.build(dataset, [FRONT])
    assert dataset.decoded == [(FRONT, 0)]
    assert shard.read_bytes() == before


def test_shards_are_plain_arrays_in_a_folder_per_camera_and_size(dataset, cache):
    FrameCache.build(dataset, [FRONT], size=(24, 32))
    shard = np.load(cache / "frames" / f"{FRONT}-24x32" / "id2.npy", allow_pickle=False)
    assert shard.shape == (12, 24, 32, 3)
    assert shard.dtype == np.uint8


def test_an_id_that_looks_like_a_path_stays_inside_the_cache(dataset, cache, monkeypatch):
    monkeypatch.setattr(Recorded, "ids", property(lambda _: ("../../escaped", "..", "/etc/x")))
    FrameCache.build(dataset, [FRONT])
    assert len(list(cache.rglob("*.npy"))) == 3
    assert {path.parent.name for path in cache.parent.rglob("*.npy")} == {f"{FRONT}-48x64"}


def test_progress_counts_the_frames_that_are_decoded(dataset):
    seen: list[tuple[int, int]] = []
    FrameCache.build(dataset, [FRONT], episodes=[0])
    FrameCache.build(dataset, [FRONT], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (13, 13)
    assert {total for _, total in seen} == {13}
    assert sorted(done for done, _ in seen) == [done for done, _ in seen]


def test_a_disk_without_room_is_refused_before_anything_is_decoded(dataset, cache, monkeypatch):
    need = FrameCache.bytes_needed(dataset, [FRONT, WRIST])
    assert need == 20 * (48 * 64 + 32 * 32) * 3
    monkeypatch.setattr(shards.shutil, "disk_usage", lambda _: SimpleNamespace(free=need - 1))
    with pytest.raises(OSError, match=r"need 0\.00 GB.*UNDERSTUDY_CACHE"):
        FrameCache.build(dataset, [FRONT, WRIST])
    assert dataset.decoded == []
    assert list(cache.rglob("*.npy")) == []


def test_a_video_that_cannot_be_read_leaves_no_shard(dataset, cache):
    video = dataset.folder / f"{FRONT}.mp4"
    video.write_bytes(video.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"observation\.images\.front\.mp4"):
        FrameCache.build(dataset, [FRONT])
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_cache_that_is_cleared_while_in_use_says_so(dataset, cache):
    built = FrameCache.build(dataset, [FRONT])
    for path in cache.rglob("*.npy"):
        path.unlink()
    with pytest.raises(OSError, match="decoded anew"):
        built.gather(FRONT, np.array([0]), np.array([0]))


def test_leftovers_of_killed_builders_are_cleared_but_not_those_at_work(dataset, cache):
    folder = cache / "frames" / f"{FRONT}-48x64"
    folder.mkdir(parents=True)
    for name, age_s in (("old.partial", 2 * shards.STALE_S), ("new.partial", 0)):
        (folder / name).touch()
        os.utime(folder / name, (0, time.time() - age_s))
    FrameCache.build(dataset, [FRONT])
    assert [path.name for path in folder.glob("*.partial")] == ["new.partial"]


def test_builders_in_several_processes_give_one_whole_cache(dataset, cache):
    script = f"""
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("recorded", {__file__!r})
module = importlib.util.module_from_spec(spec)
sys.modules["recorded"] = module
spec.loader.exec_module(module)
module.Recorded.__post_init__ = lambda self: None
module.FrameCache.build(module.Recorded(Path({str(dataset.folder)!r})), [module.FRONT, module.WRIST])
"""
    running = [Process(program, script) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    dataset.decoded.clear()
    built = FrameCache.build(dataset, [FRONT, WRIST])
    assert dataset.decoded == []
    np.testing.assert_array_equal(
        built.gather(WRIST, np.full(12, 2), np.arange(12)), dataset.frames_source(WRIST, 2)[:]
    )
    assert list(cache.rglob("*.partial")) == []


def test_real_av1_is_gathered_as_it_is_decoded(real_data, cache):
    dataset = Dataset.open(real_data / "g1_bottle_lerobot_v30")
    key = "observation.images.cam_high"
    built = FrameCache.build(dataset, dataset.spec.cameras, size=(120, 160), episodes=[1])
    tick = np.array([220, 0, 100])
    source = dataset.frames_source(key, 1)
    in_order = list(read_frames(source.path, source.first, source.count, (120, 160)))
    np.testing.assert_array_equal(
        built.gather(key, np.ones(3, np.int64), tick), np.stack([in_order[t] for t in tick])
    )
