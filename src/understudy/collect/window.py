"""A window: what the world looks like, a few lines of text, and the keyboard (extra `teleop`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from understudy.collect.source import Event

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
# A window that is drawn through OpenGL would take the thread's context, which MuJoCo's pictures need.
os.environ.setdefault("SDL_FRAMEBUFFER_ACCELERATION", "0")
try:
    import pygame
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("a window needs pygame: pip install 'understudy[teleop]'") from error

SIZE_PX = (960, 720)  # of the picture; the text stands below it
LINE_PX, MARGIN_PX, LINES = 26, 10, 5
DARK, LIGHT, FAINT = (24, 26, 30), (235, 238, 242), (150, 156, 166)
MOMENT_MS = 15


@final
class Window:
    """A source of events, see `Source`. Raises RuntimeError where there is no screen."""

    def __init__(self, title: str) -> None:
        if os.environ.get("SDL_VIDEODRIVER") == "dummy" and has_screen():
            del os.environ["SDL_VIDEODRIVER"]  # which tasks choose for pictures without a window
        pygame.display.quit()
        try:
            pygame.display.init()
            height = SIZE_PX[1] + LINES * LINE_PX + 2 * MARGIN_PX
            self._screen = pygame.display.set_mode((SIZE_PX[0], height))
        except pygame.error as error:
            raise RuntimeError(
                f"no window can be opened ({error}); a screen is needed, or --script"
            ) from None
        pygame.display.set_caption(title)
        pygame.font.init()
        self._font = pygame.font.Font(None, LINE_PX - 2)
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
        return found

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

    def close(self) -> None:
        """See `Source`."""
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
        pygame.display.flip()


def has_screen() -> bool:
    """Whether a display server says that it is there; other systems than Linux always have one."""
    if os.name != "posix" or os.uname().sysname == "Darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
