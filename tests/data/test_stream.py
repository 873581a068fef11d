"""Frames that are decoded when they are needed, on a disk that does not hold all of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests import demonstrations
from understudy.data.frames import FrameCache
from understudy.data.stream import StreamedFrames
from understudy.data.windows import Windows
from understudy.learn.clone import windows_of
from understudy.policies.mlp import MlpConfig
from understudy.spec import STATE

LENGTHS = (9, 5, 12, 7, 11, 8, 10)
FRONT = "observation.images.front"
SEEN = (STATE, FRONT)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream") / "data"
    return demonstrations.dataset(folder, demonstrations.CAMERA, LENGTHS)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream") / "many"
    return demonstrations.dataset(folder, demonstrations.CAMERA, (3,) * 40)


def budget(dataset, ticks, cameras=None):
    cameras = cameras or dataset.spec.cameras
    per_tick = sum(np.prod(dataset.spec.observations[key].shape) for key in cameras)
    return int(ticks * per_tick)


def stored(cache):
    return sum(path.stat().st_size for path in cache.glob("*/observation*/*.npy"))


def windows(dataset, frames, **options):
    return Windows(dataset, history=2, horizon=2, batch_size=4, seed=3, frames=frames, **options)


def test_streamed_frames_are_those_of_the_cache_and_never_take_more_than_the_budget(dataset, cache):
    whole = FrameCache.build(dataset, dataset.spec.cameras)
    held = stored(cache)
    most = budget(dataset, 4 * max(LENGTHS))
    streamed = StreamedFrames(dataset, dataset.spec.cameras, most)
    assert streamed.block == max(LENGTHS)
    one = windows(dataset, whole, block=streamed.block)
    other = windows(dataset, streamed, block=streamed.block)
    for step in range(40):  # two and a half epochs
        ours, theirs = other.batch(step).observations, one.batch(step).observations
        assert all(ours[key].equal(theirs[key]) for key in dataset.spec.cameras)
        assert stored(cache) - held <= most + 128 * len(dataset.spec.cameras) * len(LENGTHS)
    streamed.close()
    assert stored(cache) == held


def test_each_episode_is_decoded_once_an_epoch_and_before_it_is_asked_for(many, cache, monkeypatch):
    decoded, waited = [], []
    real, begin = FrameCache.decode, StreamedFrames._begin

    def decode(self, episodes):
        decoded.extend(episodes)
        real(self, episodes)

    def counted(self, episodes, keep):
        if sys._getframe(1).f_code.co_name == "gather":
            waited.extend(i for i in episodes if i not in self._decoded)
        begin(self, episodes, keep)

    monkeypatch.setattr(FrameCache, "decode", decode)
    monkeypatch.setattr(StreamedFrames, "_begin", counted)
    streamed = StreamedFrames(many, [FRONT], budget(many, 60, [FRONT]))  # blocks of about nine
    made = windows(many, streamed, block=streamed.block, spec=many.spec.only(SEEN))
    steps = len(made) // 4
    for step in range(steps):
        made.batch(step)
    first = set(waited)
    for step in range(steps, 4 * steps):
        made.batch(step)
    streamed.close()
    assert len(first) < len(many)
    assert set(waited) == first  # after its first block nothing is asked for before it is expected
    assert len(waited) == len(first)
    assert len(decoded) < 4 * len(many) + 20  # four epochs and the block that comes then


def test_a_gather_of_more_than_the_budget_goes_in_parts(dataset, cache):
    whole = FrameCache.build(dataset, [FRONT])
    held, most = stored(cache), budget(dataset, max(LENGTHS) + 1, [FRONT])
    streamed = StreamedFrames(dataset, [FRONT], most)
    spec = dataset.spec.only(SEEN)
    one, other = windows(dataset, whole, spec=spec), windows(dataset, streamed, spec=spec)
    for ours, theirs in zip(other.every(), one.every(), strict=True):
        assert ours.observations[FRONT].equal(theirs.observations[FRONT])
    assert stored(cache) - held <= most + 128 * 2
    streamed.close()


def test_any_order_of_asking_is_served(dataset, cache):
    whole = FrameCache.build(dataset, [FRONT])
    streamed = StreamedFrames(dataset, [FRONT], budget(dataset, 4 * max(LENGTHS)))
    generator = np.random.default_rng(0)
    for _ in range(10):
        episode = generator.integers(0, len(LENGTHS), 3)
        tick = generator.integers(0, np.array(LENGTHS)[episode])
        streamed.expect(generator.integers(0, len(LENGTHS), 2))
        given = streamed.gather(FRONT, episode, tick)
        np.testing.assert_array_equal(given, whole.gather(FRONT, episode, tick))
    with pytest.raises(KeyError, match="episode 99"):
        streamed.gather(FRONT, np.array([99]), np.array([0]))


def test_a_budget_that_is_too_little_is_refused_with_what_is_needed(dataset, cache):
    with pytest.raises(ValueError, match=r"--frames-gb.* the longest episode has 0\.0 MB"):
        StreamedFrames(dataset, [FRONT], 1000)
    assert not list(cache.glob("stream-*"))


def test_what_a_killed_process_left_is_cleared_and_what_another_uses_stays(dataset, cache):
    mine = StreamedFrames(dataset, [FRONT], 10**9)
    mine.gather(FRONT, np.array([1]), np.array([0]))
    script = (
        "import sys, os, signal; from understudy.data.stream import _own_folder;"
        "folder, _ = _own_folder(); print(folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=os.environ)  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    left = Path(killed.stdout.strip())
    assert left.is_dir()
    other = StreamedFrames(dataset, [FRONT], 10**9)
    assert not left.exists()
    assert mine.gather(FRONT, np.array([1]), np.array([0])).any()
    mine.close()
    other.close()
    assert not list(cache.glob("*stream-*"))


@pytest.mark.parametrize(("ticks", "streams"), [(4 * max(LENGTHS), True), (sum(LENGTHS), False)])
def test_frames_are_streamed_only_where_they_need_more_than_they_may(dataset, cache, ticks, streams):  # fmt: skip
    config = MlpConfig(width=8, depth=1)
    made = windows_of(config, dataset, frame_bytes=budget(dataset, ticks), batch_size=4)
    made.batch(0)
    assert (len(list(cache.glob("frames/*/*.npy"))) == 0) == streams
