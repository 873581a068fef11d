"""A curve drawn by hand: the box is seen from above, the wheel lifts and lowers the pen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.collect.person import START, Person
from understudy.collect.source import Source
from understudy.tasks.base import Canvas

Floats = NDArray[np.float64]
ROWS, COLUMNS, MARGIN_PX = 720, 960, 40
HEIGHT_STEP_M, GRID_M = 0.01, 0.1
FINE_M = 0.001  # between points that are kept: a mouse says where it is a thousand times a second
PAPER, BOX, LINE = (236, 238, 242), (255, 255, 255), (212, 216, 224)
LOW, HIGH = np.array([40, 90, 200]), np.array([220, 60, 40])  # colours of the pen's heights
HELP = "Q done   C clear   U undo the last saved   Esc stop"
WAYS = "draw with the mouse held down; W S or the wheel: higher and lower"


@final
class Pen:
    """Takes a curve from a person. Raises Stopped when the window is closed or the stop key pressed.

    Events of the pen: "down" and "up", and "slide" of "pen x" and "pen y", shares of the picture from
    its left and upper edge, in this order for each place, and of "pen wheel".
    """

    def __init__(
        self, canvas: Canvas, source: Source, undo: Callable[[], str] | None = None
    ) -> None:
        self._source, self.person = source, Person(source, undo)
        low, high = np.array(canvas.low_m), np.array(canvas.high_m)
        self._low, self._high = low, high
        way = (high - low)[:2]
        self._scale = min((ROWS - 2 * MARGIN_PX) / way[0], (COLUMNS - 2 * MARGIN_PX) / way[1])

    def draw(self) -> Floats:
        """Wait until a curve is drawn and done: its points (n, 3) in metres, within the box."""
        self._points: list[Floats] = []
        self._height_m = float(self._low[2] + self._high[2]) / 2
        self._at_px = np.zeros(2)
        self._is_down = False
        self._source.show(self.picture())
        while True:
            self.person.say([self._state(), WAYS, HELP])
            events = self.person.events()
            for event in events:
                key = event.name if event.what == "down" else ""
                if key == START and self._length_m() > 0:
                    self.person.notice = ""
                    return np.array(self._points)
                if key == START:
                    self.person.notice = "nothing is drawn yet"
                elif not self.person.undoes(key):
                    self._follow(event.what, event.name, event.value)
            if events:
                self._source.show(self.picture())
            self._source.wait()

    def picture(self) -> NDArray[np.uint8]:
        """The box from above (Y, X, 3), x upwards and y to the left, and what is drawn."""
        seen = np.full((ROWS, COLUMNS, 3), PAPER, np.uint8)
        top, left = self._pixel(np.array([*self._high[:2], 0]))
        bottom, right = self._pixel(np.array([*self._low[:2], 0]))
        seen[top:bottom, left:right] = BOX
        for axis, part in ((0, np.s_[left:right]), (1, np.s_[top:bottom])):
            first = np.ceil(self._low[axis] / GRID_M) * GRID_M
            for value in np.arange(first, self._high[axis] + 1e-9, GRID_M):
                at = np.zeros(3)
                at[axis] = value
                row, column = self._pixel(at)
                seen[(row, part) if axis == 0 else (part, column)] = LINE
        for point in self._fine():
            row, column = self._pixel(point)
            share = (point[2] - self._low[2]) / (self._high[2] - self._low[2])
            seen[row - 2 : row + 3, column - 2 : column + 3] = LOW + share * (HIGH - LOW)
        return seen

    def _follow(self, what: str, name: str, value: float) -> None:
        """What the pen does; a new stroke goes on from the end of the one before."""
        if (what, name) == ("down", "c"):
            self._points.clear()
        elif (what, name) in (("down", "w"), ("down", "s")):
            self._lift(1.0 if name == "w" else -1.0)
        elif (what, name) == ("slide", "pen wheel"):
            self._lift(value)
        elif (what, name) == ("slide", "pen x"):
            self._at_px[1] = value * COLUMNS
            return
        elif (what, name) == ("slide", "pen y"):
            self._at_px[0] = value * ROWS
        elif name == "pen":
            self._is_down = what == "down"
        else:
            return
        if self._is_down:
            place = self._metres(self._at_px)
            if not self._points or np.linalg.norm(place - self._points[-1]) >= FINE_M:
                self._points.append(place)

    def _lift(self, steps: float) -> None:
        height_m = self._height_m + steps * HEIGHT_STEP_M
        self._height_m = float(np.clip(height_m, self._low[2], self._high[2]))

    def _state(self) -> str:
        return (
            f"{1e2 * self._length_m():.0f} cm drawn, the pen at a height of {self._height_m:.2f} m"
        )

    def _length_m(self) -> float:
        if len(self._points) < 2:
            return 0.0
        return float(np.linalg.norm(np.diff(self._points, axis=0), axis=1).sum())

    def _fine(self) -> Any:
        """Points a pixel apart along what is drawn."""
        for begin, end in zip(self._points, self._points[1:], strict=False):
            count = 1 + int(np.linalg.norm(end - begin) * self._scale)
            yield from np.linspace(begin, end, count + 1)

    def _pixel(self, place_m: Floats) -> tuple[int, int]:
        """Row and column of a place."""
        middle = (self._low + self._high) / 2
        row = ROWS / 2 - (place_m[0] - middle[0]) * self._scale
        column = COLUMNS / 2 - (place_m[1] - middle[1]) * self._scale
        return round(row), round(column)

    def _metres(self, at_px: Floats) -> Floats:
        """The place (3,) of the pen over a row and column, within the box."""
        middle = (self._low + self._high) / 2
        x = middle[0] - (at_px[0] - ROWS / 2) / self._scale
        y = middle[1] - (at_px[1] - COLUMNS / 2) / self._scale
        return np.clip([x, y, self._height_m], self._low, self._high)
