"""Films show the measured episodes, and a machine that cannot draw says so beforehand."""

from dataclasses import replace

import gymnasium
import numpy as np
import pytest

from understudy.data.video import read_frames
from understudy.evaluate.film import (
    LARGEST_BYTES,
    MOST_FRAMES,
    Filmed,
    choose,
    film,
    remedy,
    rendering_problem,
    write_video,
)
from understudy.fleet import ExpertActor
from understudy.tasks.gym import GymTask


def test_a_filmed_episode_is_the_measured_one(task, timid, timid_actor, tmp_path):
    rows = choose(timid, 3)
    films = list(film(task, timid_actor, rows, tmp_path))
    assert [f.path.name for f in films] == [f"{row.seed}.mp4" for row in rows]
    for made in films:
        assert made.differs == ""
        assert made.path.stat().st_size < LARGEST_BYTES
        first = next(iter(read_frames(made.path, 0, 1)))
        assert max(first.shape) <= 320
        assert all(side % 2 == 0 for side in first.shape[:2])


def test_a_film_that_is_not_the_measured_episode_says_so(task, expert, timid_actor, tmp_path):
    slow = max(expert.rows, key=lambda row: row.length)
    (other,) = film(task, timid_actor, [slow], tmp_path)
    assert "measured" in other.differs
    moved = replace(slow, initial_state_hash="0" * 16)
    (elsewhere,) = film(task, ExpertActor(), [moved], tmp_path)
    assert "began in another state" in elsewhere.differs


def test_failures_come_first_and_leave_room_for_successes(timid):
    rows = choose(timid, 6)
    outcomes = [row.success for row in rows]
    failed = min(4, len(timid.failures))
    assert failed > 0
    assert outcomes == [False] * failed + [True] * (6 - failed)
    assert len(choose(timid, 1000)) == len(timid.rows)
    assert len({row.seed for row in rows}) == 6


def test_where_nothing_failed_the_worst_and_the_best_are_shown(expert):
    rows = choose(expert, 4)
    assert rows[0].return_ == min(row.return_ for row in expert.rows)
    assert rows[-1].return_ == max(row.return_ for row in expert.rows)


class Endless(gymnasium.Env):
    """Shows the number of its tick; ends when told to."""

    def __init__(self, spec):
        self.signals = spec

    def reset(self, *, seed=None, options=None):
        self.tick = 0
        return {}, {}

    def step(self, action):
        self.tick += 1
        return {}, 0.0, bool(action), False, {}

    def render(self):
        return np.full((8, 8, 3), self.tick % 256, np.uint8)


def test_long_episodes_keep_few_frames_and_the_last_one(task):
    world = Filmed(Endless(task.spec))
    world.reset(seed=0)
    for _ in range(999):
        world.step(False)
        assert len(world.frames) <= MOST_FRAMES
    world.step(True)
    assert world.frames[0][0, 0, 0] == 0
    assert world.frames[-1][0, 0, 0] == 1000 % 256
    assert len(world.frames) == pytest.approx(1000 / 30 * world.frames_hz, abs=2)


def test_a_video_that_would_be_too_large_becomes_smaller(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 240, 320, 3)).astype(np.uint8)
    write_video(tmp_path / "noise.mp4", list(noise), 10.0)
    frame = next(iter(read_frames(tmp_path / "noise.mp4", 0, 1)))
    assert max(frame.shape) < 320


def test_a_machine_that_can_draw_has_no_problem(task):
    assert rendering_problem(task) is None


def test_a_task_that_cannot_be_built_is_a_sentence_not_an_error():
    problem = rendering_problem(GymTask(env_id="NoSuchWorld-v0"))
    assert problem is not None
    assert "NoSuchWorld" in problem


MODULE = """
import os, time
from dataclasses import dataclass

@dataclass(frozen=True)
class Lost:
    how: str

    def build(self, render_mode=None):
        if self.how == "crash":
            os._exit(11)
        time.sleep(60)
"""


def test_a_library_that_ends_or_hangs_the_process_is_survived(tmp_path, monkeypatch):
    (tmp_path / "lost_worlds.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    from lost_worlds import Lost  # type: ignore[import-not-found]  # written above

    assert "ended its process (11)" in str(rendering_problem(Lost("crash")))
    assert "longer than 2 s" in str(rendering_problem(Lost("hang"), timeout_s=2))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("Cannot initialize a EGL device display"), "apt install libegl1"),
        (AttributeError("'NoneType' object has no attribute 'glGetError'"), "libgl1-mesa-dri"),
        (ModuleNotFoundError("No module named 'pygame'", name="pygame"), "understudy[classic]"),
        (ModuleNotFoundError("No module named 'imageio'", name="imageio"), "pip install imageio"),
        (ValueError("render() gave None"), "Drawing failed"),
    ],
)
def test_the_sentence_names_what_to_install(error, words):
    assert words in remedy(error)
