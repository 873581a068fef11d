"""PyBullet's own window: its sliders and keys, and what the world looks like (extra `bullet`)."""

from __future__ import annotations

import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

from understudy.collect.source import Event, Slider, require_screen

# The picture stands upright in the window's space, a metre high, its middle at 0; the text stands below it.
HALF_M = 0.5
LARGEST_PX = 400
LINE_M, LETTERS = 0.075, 48
DARK = (0.1, 0.1, 0.12)
# Of that window, what would draw more than is looked at, or take keys and mouse for itself.
OFF = ("SHADOWS", "RGB_BUFFER_PREVIEW", "DEPTH_BUFFER_PREVIEW", "SEGMENTATION_MARK_PREVIEW",
       "KEYBOARD_SHORTCUTS", "MOUSE_PICKING")  # fmt: skip
# The engine's numbers of keys that are not letters.
NAMES = {"SPACE": "space", "BACKSPACE": "backspace", "LEFT_ARROW": "left", "RIGHT_ARROW": "right",
         "UP_ARROW": "up", "DOWN_ARROW": "down"}  # fmt: skip
X11_BACKSPACE = -1  # what it says of a key that it does not know; the only one of ours
MOMENT_S, READS_HZ = 0.015, 30.0


@final
class BulletWindow:
    """A source of events, see `Source`. Raises RuntimeError where there is no screen.

    Sliders are read in turn, `READS_HZ` in a second: an answer waits for the engine's own thread. It does not say
    that it has lost the keyboard, and may miss a key that is tapped while a slow world makes its tick.
    """

    def __init__(self) -> None:
        require_screen()
        from understudy.physics.bullet import started

        self._world: Any = started(shown=True)
        for part in OFF:
            self._world.configureDebugVisualizer(getattr(self._world, f"COV_ENABLE_{part}"), 0)
        self._world.resetDebugVisualizerCamera(1.6, 0, 0, (0, 0, -0.15))
        self._keys = {getattr(self._world, f"B3G_{key}"): name for key, name in NAMES.items()}
        self._keys[X11_BACKSPACE] = "backspace"
        self._down: set[str] = set()
        self._sliders: list[tuple[int, Slider, float]] = []  # its number, itself, what it said last
        self._turn, self._read_s = 0, 0.0
        self._canvas: tuple[int, tuple[int, ...]] | None = None  # texture and shape of the picture
        self._lines: list[int] = []
        self._said: tuple[str, ...] = ()

    def events(self) -> Sequence[Event]:
        """See `Source`."""
        with self._while_open():
            return [*self._pressed(), *self._slid()]
        return [Event("quit")]

    def wait(self) -> None:
        """See `Source`: a hundredth of a second or so."""
        time.sleep(MOMENT_S)

    def show(self, picture: NDArray[np.uint8]) -> None:
        """See `Source`; of a picture that is larger than its place, every second row and column."""
        step = 1 + (picture.shape[0] > LARGEST_PX)
        picture = np.ascontiguousarray(picture[::step, ::step])
        rows, columns = picture.shape[:2]
        with self._while_open():
            if self._canvas is None or self._canvas[1] != picture.shape:
                self._canvas = self._framed(picture), picture.shape
            self._world.changeTexture(self._canvas[0], picture.tobytes(), columns, rows)

    def say(self, lines: Sequence[str]) -> None:
        """See `Source`."""
        told = tuple(part for line in lines for part in textwrap.wrap(line, LETTERS))
        if told == self._said:
            return
        with self._while_open():
            for old in self._lines[len(told) :]:
                self._world.removeUserDebugItem(old)
            kept = [{"replaceItemUniqueId": old} for old in self._lines] + [{}] * len(told)
            self._lines = [
                self._world.addUserDebugText(
                    line, (-HALF_M, 0, -HALF_M - (number + 1) * LINE_M), DARK, 1.0, **replaced
                )
                for number, (line, replaced) in enumerate(zip(told, kept, strict=False))
            ]
            self._said = told

    def place(self, sliders: Sequence[Slider]) -> None:
        """See `Source`."""
        self._sliders = []
        with self._while_open():
            self._world.removeAllUserParameters()
            for one in sliders:
                name = f"{one.name} {one.unit}".strip()
                number = self._world.addUserDebugParameter(name, one.low, one.high, one.value)
                # It rounds what it is given.
                self._sliders.append((number, one, self._world.readUserDebugParameter(number)))

    def close(self) -> None:
        """See `Source`."""
        from understudy.physics.bullet import quietly

        with quietly(), self._while_open():
            self._world.disconnect()

    @contextmanager
    def _while_open(self) -> Iterator[None]:
        """Within, nothing more is asked of a window that a person has closed."""
        try:
            yield
        except self._world.error:
            if self._world.isConnected():
                raise

    def _pressed(self) -> list[Event]:
        """Keys that went down or up; of one that was tapped the engine may tell that it went up, alone."""
        found: list[Event] = []
        for key, state in self._world.getKeyboardEvents().items():
            name = self._keys.get(key) or (chr(key) if 33 <= key < 127 else "")
            if name and name not in self._down:
                found.append(Event("down", name))
                self._down.add(name)
            if name and state & self._world.KEY_WAS_RELEASED:
                found.append(Event("up", name))
                self._down.remove(name)
        return found

    def _slid(self) -> list[Event]:
        """What is new of the sliders whose turn it is."""
        now_s = time.monotonic()
        count = min(len(self._sliders), int((now_s - self._read_s) * READS_HZ))
        self._read_s = now_s if count else self._read_s
        found: list[Event] = []
        for _ in range(count):
            self._turn = (self._turn + 1) % len(self._sliders)
            number, slider, said = self._sliders[self._turn]
            value = self._world.readUserDebugParameter(number)
            self._sliders[self._turn] = number, slider, value
            found += [Event("slide", slider.name, value)] if value != said else []
        return found

    def _framed(self, picture: NDArray[np.uint8]) -> int:
        """Hang up a picture of this shape in the place of the one before; returns the number of its texture."""
        world = self._world
        world.resetSimulation()
        rows, columns = picture.shape[:2]
        side = HALF_M * columns / rows
        corners = [[x, 0, z] for z in (-HALF_M, HALF_M) for x in (-side, side)]
        surface = world.createVisualShape(
            world.GEOM_MESH,
            vertices=corners,
            indices=[0, 1, 3, 0, 3, 2],
            uvs=[[0, 0], [1, 0], [0, 1], [1, 1]],
            normals=[[0, -1, 0]] * 4,
            specularColor=[0, 0, 0],
        )
        frame = world.createMultiBody(0, -1, surface)
        with tempfile.TemporaryDirectory() as folder:  # the engine reads the first from a file
            file = Path(folder) / "picture.png"
            imsave(file, picture)
            texture = world.loadTexture(str(file))
        world.changeVisualShape(frame, -1, textureUniqueId=texture, rgbaColor=(1, 1, 1, 1))
        return texture
