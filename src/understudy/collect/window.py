"""A window: what the world looks like, a few lines of text, keyboard, sliders and gamepad (extra `teleop`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from understudy.collect.gamepad import PAD
from understudy.collect.panel import WIDTH_PX, Panel
from understudy.collect.source import Event, Slider, require_screen

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# A window that is drawn through OpenGL would take the thread's context, which MuJoCo's pictures need.
os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
try:
    import pygame
    from pygame._sdl2 import controller
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a window needs pygame: pip install 'understudy[teleop]'") from error

SIZE_PX = (960, 720)  # of the picture; the text stands below it
LINE_PX, MARGIN_PX, LINES = 26, 10, 7
DARK, LIGHT, FAINT, KNOB = (24, 26, 30), (235, 238, 242), (150, 156, 166), (90, 160, 250)
MOMENT_MS = 15
# The names of a gamepad's controls, by the engine's numbers.
AXES = {
    getattr(pygame, f"CONTROLLER_AXIS_{side.upper()}{axis.upper()}"): f"{side} {axis}"
    for side in ("left", "right")
    for axis in ("x", "y")
}
BUTTONS = {
    getattr(pygame, f"CONTROLLER_BUTTON_{name.upper().replace(' ', '_')}"): name
    for name in ("a", "b", "x", "y", "back", "start",
                 "dpad up", "dpad down", "dpad left", "dpad right")
}  # fmt: skip
FULL = 32768  # of an axis


@final
class Window:
    """A source of events, see `Source`. Raises RuntimeError where there is no screen, or no gamepad where one is
    asked for."""

    def __init__(self, title: str, device: str = "keyboard") -> None:
        require_screen()
        if os.environ.get("SDL_VIDEODRIVER") == "dummy":
            del os.environ["SDL_VIDEODRIVER"]  # which tasks choose for pictures without a window
        pygame.display.quit()
        try:
            pygame.display.init()
            height = SIZE_PX[1] + LINES * LINE_PX + 2 * MARGIN_PX
            width = SIZE_PX[0] + (WIDTH_PX if device == "sliders" else 0)
            self._screen = pygame.display.set_mode((width, height))
        except pygame.error as error:
            raise RuntimeError(
                f"no window can be opened ({error}); a screen is needed, or --script"
            ) from None
        pygame.display.set_caption(title)
        pygame.font.init()
        self._font = pygame.font.Font(None, LINE_PX - 2)
        self._gamepads = _gamepads() if device == "gamepad" else []
        self._has_pen = device == "draw"
        self._panel = Panel(SIZE_PX[1])
        self._picture: pygame.Surface | None = None
        self._lines: tuple[str, ...] = ()

    def events(self) -> Sequence[Event]:
        """See `Source`."""
        found: list[Event] = []
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                found.append(Event("quit"))
            elif event.type in (pygame.KEYDOWN, pygame.KEYUP):
                what = "down" if event.type == pygame.KEYDOWN else "up"
                found.append(Event(what, pygame.key.name(event.key)))
            elif event.type == pygame.WINDOWFOCUSLOST:
                found.append(Event("blur"))
            elif event.type == pygame.CONTROLLERAXISMOTION and event.axis in AXES:
                found.append(Event("axis", AXES[event.axis], event.value / FULL))
            elif event.type in (pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLERBUTTONUP):
                what = "down" if event.type == pygame.CONTROLLERBUTTONDOWN else "up"
                if event.button in BUTTONS:
                    found.append(Event(what, f"{PAD}{BUTTONS[event.button]}"))
            else:
                found += self._pen(event) if self._has_pen else self._mouse(event)
        return found

    def _pen(self, event: pygame.event.Event) -> list[Event]:
        """What the mouse draws on the picture."""
        if event.type == pygame.MOUSEWHEEL:
            return [Event("slide", "pen wheel", float(event.y))]
        if event.type not in (pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP, pygame.MOUSEMOTION):
            return []
        across, along = (place / size for place, size in zip(event.pos, SIZE_PX, strict=True))
        moved = [Event("slide", "pen x", across), Event("slide", "pen y", along)]
        if event.type != pygame.MOUSEMOTION and event.button == 1:
            what = "down" if event.type == pygame.MOUSEBUTTONDOWN else "up"
            moved.append(Event(what, "pen"))
        return moved

    def _mouse(self, event: pygame.event.Event) -> list[Event]:
        """What the mouse does to sliders."""
        moved: list[Event] = []
        if event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            moved = self._panel.press(event.pos[0] - SIZE_PX[0], event.pos[1])
        elif event.type == pygame.MOUSEMOTION:
            moved = self._panel.drag(event.pos[0] - SIZE_PX[0])
        elif event.type == pygame.MOUSEBUTTONUP and event.button == 1:
            self._panel.release()
        if moved:
            self._draw()
        return moved

    def wait(self) -> None:
        """See `Source`: a hundredth of a second or so."""
        pygame.time.wait(MOMENT_MS)

    def show(self, picture: NDArray[np.uint8]) -> None:
        """See `Source`; the picture fills its place as far as its shape allows."""
        image = pygame.image.frombuffer(
            np.ascontiguousarray(picture).tobytes(), picture.shape[1::-1], "RGB"
        )
        scale = min(SIZE_PX[0] / image.get_width(), SIZE_PX[1] / image.get_height())
        size = round(image.get_width() * scale), round(image.get_height() * scale)
        self._picture = pygame.transform.smoothscale(image, size)
        self._draw()

    def say(self, lines: Sequence[str]) -> None:
        """See `Source`."""
        if tuple(lines) != self._lines:
            self._lines = tuple(lines)
            self._draw()

    def place(self, sliders: Sequence[Slider]) -> None:
        """See `Source`; they stand to the right of the picture."""
        self._panel.place(sliders)
        self._draw()

    def close(self) -> None:
        """See `Source`."""
        for gamepad in self._gamepads:
            gamepad.quit()
        pygame.display.quit()

    def _draw(self) -> None:
        self._screen.fill(DARK)
        if self._picture is not None:
            width, height = self._picture.get_size()
            self._screen.blit(
                self._picture, ((SIZE_PX[0] - width) // 2, (SIZE_PX[1] - height) // 2)
            )
        for number, line in enumerate(self._lines[:LINES]):
            text = self._font.render(line, True, FAINT if number else LIGHT)
            self._screen.blit(text, (MARGIN_PX, SIZE_PX[1] + MARGIN_PX + number * LINE_PX))
        self._draw_panel()
        pygame.display.flip()

    def _draw_panel(self) -> None:
        left = SIZE_PX[0]
        for number, slider in enumerate(self._panel.sliders):
            begin, end, y = self._panel.track(number)
            words = f"{slider.name}   {slider.value:.3f} {slider.unit}"
            text = self._font.render(words, True, LIGHT)
            self._screen.blit(text, (left + begin, y - 2 * self._panel.row_px // 3))
            pygame.draw.line(self._screen, FAINT, (left + begin, y), (left + end, y), 3)
            x, _ = self._panel.knob(number)
            pygame.draw.circle(self._screen, KNOB, (left + x, y), min(9, self._panel.row_px // 4))


def _gamepads() -> list[controller.Controller]:
    """All that are plugged in; raises RuntimeError where none is."""
    controller.init()
    found = [
        controller.Controller(number)
        for number in range(controller.get_count())
        if controller.is_controller(number)
    ]
    if not found:
        raise RuntimeError(
            "no gamepad is plugged in; plug one in, or lead it with --device keyboard"
        )
    return found
