"""Where sliders lie beside a picture, and what the mouse does to them; pixels from the panel's upper left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from understudy.collect.source import Event, Slider

WIDTH_PX, ROW_PX, MARGIN_PX = 320, 64, 16


@final
class Panel:
    """Sliders in rows, of which the mouse drags one at a time."""

    def __init__(self, height_px: int) -> None:
        self._height_px = height_px
        self._dragged: int | None = None
        self.sliders: tuple[Slider, ...] = ()

    def place(self, sliders: Sequence[Slider]) -> None:
        """Put sliders in the place of those before; what was dragged is let go."""
        self.sliders, self._dragged = tuple(sliders), None

    @property
    def row_px(self) -> int:
        """Height of a row: less where there are many."""
        return min(ROW_PX, self._height_px // max(1, len(self.sliders)))

    def track(self, number: int) -> tuple[int, int, int]:
        """From where to where a slider's knob goes (x, x), and how far down (y)."""
        return MARGIN_PX, WIDTH_PX - MARGIN_PX, number * self.row_px + 3 * self.row_px // 4

    def knob(self, number: int) -> tuple[int, int]:
        """Where a slider's knob is."""
        begin, end, y = self.track(number)
        one = self.sliders[number]
        share = (one.value - one.low) / (one.high - one.low) if one.high > one.low else 0.0
        return round(begin + share * (end - begin)), y

    def press(self, x: int, y: int) -> list[Event]:
        """The mouse takes the slider in whose row it is, if any."""
        number = y // self.row_px
        inside = 0 <= x < WIDTH_PX and 0 <= number < len(self.sliders)
        self._dragged = number if inside else None
        return self.drag(x)

    def drag(self, x: int) -> list[Event]:
        """The mouse moves what it has taken."""
        if self._dragged is None:
            return []
        begin, end, _ = self.track(self._dragged)
        share = min(1.0, max(0.0, (x - begin) / (end - begin)))
        one = self.sliders[self._dragged]
        moved = replace(one, value=one.low + share * (one.high - one.low))
        self.sliders = tuple(moved if one is each else each for each in self.sliders)
        return [Event("slide", moved.name, moved.value)]

    def release(self) -> None:
        """The mouse lets go."""
        self._dragged = None
