"""The window, for real: a display server without a screen, keys sent to it, and what it shows."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec

import numpy as np
import pygame
import pytest

from tests.processes import understudy
from understudy.collect.source import Event
from understudy.collect.window import KNOB, SIZE_PX, Window
from understudy.data.store import Dataset
from understudy.spec import ENVIRONMENT_STATE, STATE

MISSING = [tool for tool in ("Xvfb", "xdotool") if shutil.which(tool) is None]
WIDTH, HEIGHT = 1280, 1024
PATIENCE_S = 60
# PyBullet's window: the left part of the third slider, where the arm is seen, and of four lines of text two.
THIRD_SLIDER, ARM = ("860", "193"), np.s_[230:345, 460:570]
FIRST_LINE, LAST_LINE = np.s_[470:486, 280:770], np.s_[518:534, 280:770]


@pytest.fixture
def display(tmp_path):
    """A display of its own; gives its name and the file with its pixels."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)} (apt install xvfb xdotool)")
    screen = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-fbdir", str(tmp_path)]
    with subprocess.Popen(
        ["Xvfb", "-displayfd", "1", *screen],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        number = server.stdout.readline().strip()
        yield f":{number}", tmp_path / "Xvfb_screen0"
        server.terminate()


@pytest.fixture
def collecting(request, display, tmp_path):
    """`understudy collect` in a window; gives the process, and a function that sends keys to it."""
    name, _ = display
    environment = {**os.environ, "DISPLAY": name}
    environment.pop("SDL_VIDEODRIVER", None)
    task, device = request.param
    words = ["collect", "--task", task, "--device", device, "--keep", "all"]
    process = understudy(*words, "--out", tmp_path / "set", env=environment)

    def send(*words):
        subprocess.run(["xdotool", *words], env=environment, check=True, capture_output=True)

    yield process, send
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.wait()


def pixels(file):
    """What is on the display (Y, X, 3); the file is an X window dump, of 32 bits a pixel."""
    raw = np.fromfile(file, np.uint8)[-WIDTH * HEIGHT * 4 :]
    return raw.reshape(HEIGHT, WIDTH, 4)[..., 2::-1].astype(int)


def until(condition, what):
    """Wait for a condition; fails by name after a minute."""
    ends_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends_s, f"{what} never happened"
        time.sleep(0.1)


def red_share(file):
    red, green, blue = np.moveaxis(pixels(file), -1, 0)
    return ((red > 120) & (red > 3 * green) & (red > 3 * blue)).mean()


def saved(folder):
    return len(Dataset.open(folder)) if (folder / "meta" / "info.json").exists() else 0


@pytest.mark.parametrize("collecting", [("panda-grasp:limit_s=60", "keyboard")], indirect=True)
def test_keys_sent_to_the_window_lead_the_arm_and_are_recorded(display, collecting, tmp_path):
    process, send = collecting
    until(lambda: red_share(display[1]) > 1e-4, "the red object being shown")
    before = pixels(display[1])
    send("key", "q")
    time.sleep(0.5)
    send("keydown", "x")
    time.sleep(1.0)
    send("keyup", "x")
    time.sleep(0.5)
    assert np.abs(pixels(display[1]) - before).mean() > 0.5
    send("key", "space")
    time.sleep(0.5)
    send("key", "e")
    until(lambda: saved(tmp_path / "set") == 1, "the episode being saved")
    send("key", "Escape")
    assert process.wait(PATIENCE_S) == 0
    episode = Dataset.open(tmp_path / "set")[0]
    heights = np.asarray(episode.observations[STATE])[:, 2]
    assert heights[0] - heights[-1] > 0.1
    assert episode.actions[0, 3] == 1.0
    assert episode.actions[-1, 3] == 0.0
    assert np.abs(np.diff(episode.time_s) - 0.1).max() < 1e-9


@pytest.mark.parametrize(
    "collecting", [("kuka-sliders:trace=free,seconds=50", "sliders")], indirect=True
)
def test_a_slider_dragged_with_the_mouse_turns_its_joint(display, collecting, tmp_path):
    process, send = collecting
    until(lambda: len(knobs(display[1])) == 7, "seven knobs being shown")
    before = pixels(display[1])[:, : SIZE_PX[0]]
    send("key", "q")
    time.sleep(0.5)
    x, y = knobs(display[1])[1]
    send("mousemove", str(x), str(y))
    send("mousedown", "1")
    for part in range(1, 11):
        send("mousemove", str(x + 6 * part), str(y))
        time.sleep(0.05)
    send("mouseup", "1")
    time.sleep(1.0)
    assert np.abs(pixels(display[1])[:, : SIZE_PX[0]] - before).mean() > 0.5
    send("key", "e")
    until(lambda: saved(tmp_path / "set") == 1, "the episode being saved")
    send("key", "Escape")
    assert process.wait(PATIENCE_S) == 0
    episode = Dataset.open(tmp_path / "set")[0]
    joints = np.asarray(episode.observations[STATE])
    assert joints[-1, 1] > 0.5
    assert np.abs(joints[-1, [0, 2, 3, 4, 5, 6]]).max() < 0.05
    np.testing.assert_allclose(episode.actions[:, 7], episode.time_s + 1 / 240, atol=1e-3)


@pytest.mark.skipif(find_spec("pybullet") is None, reason="the extra `bullet` is not installed")
@pytest.mark.parametrize(
    "collecting", [("panda-grasp:engine=bullet,limit_s=60", "bullet-sliders")], indirect=True
)
def test_bullets_own_sliders_lead_the_arm_as_well(display, collecting, tmp_path):
    process, send = collecting
    until(lambda: 100 < letters(display[1], LAST_LINE) < 4000, "the text being shown")  # not black
    told, stood = letters(display[1], FIRST_LINE), pixels(display[1])[ARM]
    send("mousemove", "400", "300", "keydown", "q")
    until(lambda: letters(display[1], FIRST_LINE) != told, "the recording being told of")
    send("keyup", "q", "mousemove", *THIRD_SLIDER, "mousedown", "1")
    until(lambda: np.abs(pixels(display[1])[ARM] - stood).mean() > 5, "the arm moving")
    send("mouseup", "1", "mousemove", "400", "300", "keydown", "e")
    until(lambda: saved(tmp_path / "set") == 1, "the episode being saved")
    send("keyup", "e", "key", "Escape")
    assert process.wait(PATIENCE_S) == 0
    places = np.asarray(Dataset.open(tmp_path / "set")[0].observations[STATE])
    assert places[0, 2] - places[-1, 2] > 0.03
    assert np.abs(places[-1, :2] - places[0, :2]).max() < 0.02


def letters(file, line):
    """How many dark pixels a line of text has."""
    return int((pixels(file)[line] < 100).all(-1).sum())


def knobs(file):
    """Middles of the sliders' knobs on the display, (x, y), from above."""
    at = np.argwhere(np.abs(pixels(file) - np.array(KNOB)).max(-1) < 3)
    groups = np.split(at, np.flatnonzero(np.diff(at[:, 0]) > 2) + 1) if len(at) else []
    return [tuple(group.mean(0).round().astype(int)[::-1]) for group in groups]


@pytest.mark.parametrize("collecting", [("panda-trace:spacing_m=0.02", "draw")], indirect=True)
def test_a_curve_drawn_with_the_mouse_is_followed(display, collecting, tmp_path):
    process, send = collecting
    until(lambda: (pixels(display[1]) > 250).all(-1).mean() > 0.1, "the box being shown")
    send("mousemove", "500", "400", "mousedown", "1")
    for part in range(1, 11):
        send("mousemove", str(500 + 20 * part), str(400 - 10 * part))
        time.sleep(0.05)
    send("mouseup", "1")
    time.sleep(0.5)
    send("key", "q")
    until(lambda: saved(tmp_path / "set") == 1, "the episode being saved")
    send("key", "Escape")
    assert process.wait(PATIENCE_S) == 0
    points = np.asarray(Dataset.open(tmp_path / "set")[0].observations[ENVIRONMENT_STATE])
    way_m = points[-1] - points[0]
    assert way_m[0] > 0.05  # up in the picture is away from the arm
    np.testing.assert_allclose(way_m, [-way_m[1] / 2, way_m[1], 0], atol=0.01)


def test_a_gamepads_events_are_told_by_their_names(display, monkeypatch):
    """No gamepad can be plugged in here: the engine's own events, as it sends them for one."""
    monkeypatch.setenv("DISPLAY", display[0])
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    window = Window("test")
    window.events()
    for kind, what in (
        (pygame.CONTROLLERAXISMOTION, {"axis": pygame.CONTROLLER_AXIS_RIGHTY, "value": -16384}),
        (pygame.CONTROLLERBUTTONDOWN, {"button": pygame.CONTROLLER_BUTTON_DPAD_LEFT}),
        (pygame.CONTROLLERBUTTONUP, {"button": pygame.CONTROLLER_BUTTON_A}),
        (pygame.CONTROLLERAXISMOTION, {"axis": pygame.CONTROLLER_AXIS_TRIGGERLEFT, "value": 99}),
    ):
        pygame.event.post(pygame.event.Event(kind, **what))
    told = [event for event in window.events() if event.what != "blur"]
    window.close()
    assert told == [
        Event("axis", "right y", -0.5), Event("down", "pad dpad left"), Event("up", "pad a"),
    ]  # fmt: skip


@pytest.mark.parametrize("collecting", [("panda-grasp", "gamepad")], indirect=True)
def test_without_a_gamepad_it_says_so_and_what_to_do(collecting, tmp_path):
    process, _ = collecting
    assert process.wait(PATIENCE_S) == 1
    assert "no gamepad is plugged in" in process.error
    assert "Traceback" not in process.error
    assert not (tmp_path / "set").exists()


def test_without_a_screen_it_says_so_and_what_to_do(tmp_path):
    environment = dict(os.environ)
    environment.pop("SDL_VIDEODRIVER", None)
    environment.pop("DISPLAY", None)
    environment.pop("WAYLAND_DISPLAY", None)
    words = ("collect", "--task", "mountain-car", "--device", "keyboard", "--out", tmp_path / "set")
    ran = understudy(*words, env=environment).done(PATIENCE_S)
    assert ran.returncode == 1
    assert "no window can be opened" in ran.stderr
    assert "--script" in ran.stderr
    assert "Traceback" not in ran.stderr
