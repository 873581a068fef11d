"""What CarRacing-v3 observes, painted without what cannot be seen: the same picture, to the pixel, and sooner.

Gymnasium turns each of 400 patches of grass and 300 tiles of road, one corner after another, opens a font
for every picture and fills 1000 x 800 pixels three times over. Here all corners are turned at once, and
what lies outside the window or behind the dashboard is left out.
"""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.tasks.box2d import car_racing

# The pygame that Gymnasium draws with.
pygame: Any = car_racing.pygame  # pyright: ignore[reportPrivateImportUsage]
gfxdraw: Any = car_racing.gfxdraw  # pyright: ignore[reportPrivateImportUsage]

WINDOW_W, WINDOW_H = car_racing.WINDOW_W, car_racing.WINDOW_H
SIZE = (car_racing.STATE_W, car_racing.STATE_H)
SCALE, ZOOM = car_racing.SCALE, car_racing.ZOOM
PLAYFIELD, GRASS_DIM = car_racing.PLAYFIELD, car_racing.GRASS_DIM
DASHBOARD_PX = WINDOW_H // 8  # the lowest rows, painted over
LETTERS_PX = 42
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@final
class Picture:
    """Paints one world's observation; `begin` it anew after each reset."""

    def __init__(self, world: car_racing.CarRacing) -> None:
        pygame.font.init()
        self._world = world
        self._letters = pygame.font.Font(pygame.font.get_default_font(), LETTERS_PX)
        self._above = pygame.Surface((WINDOW_W, WINDOW_H))  # y points up
        self._window = pygame.Surface((WINDOW_W, WINDOW_H))
        self._small = pygame.Surface(SIZE)

    def begin(self) -> None:
        """Look at the road, which stays as it is until the next reset."""
        grass = _grass()
        tiles = np.array([corners for corners, _ in self._world.road_poly])
        self._corners = np.concatenate([grass, tiles]).T.copy()  # (2, 4, P)
        # Tiles change their colour, in place, when they are driven over.
        self._colours = [self._world.grass_color] * len(grass)
        self._colours += [colour for _, colour in self._world.road_poly]

    def paint(self) -> NDArray[np.uint8]:
        """The picture (96, 96, 3) of this moment."""
        world, surface = self._world, self._above
        car: Any = world.car
        angle, position = -car.hull.angle, np.array(car.hull.position)
        zoom = 0.1 * SCALE * max(1 - world.t, 0) + ZOOM * SCALE * min(world.t, 1)
        turn = pygame.math.Vector2(1, 0).rotate_rad(angle)
        shift = pygame.math.Vector2((-position[0] * zoom, -position[1] * zoom)).rotate_rad(angle)
        origin = (WINDOW_W / 2 + shift[0], WINDOW_H / 4 + shift[1])
        self._paint_ground(position, zoom, origin, angle)
        self._paint_road((turn[0], turn[1]), zoom, origin)
        car.draw(surface, zoom, origin, angle, False)
        _flip(surface, self._window)
        self._paint_dashboard()
        pygame.transform.smoothscale(self._window, SIZE, self._small)
        return np.ascontiguousarray(pygame.surfarray.pixels3d(self._small).swapaxes(0, 1))

    def _paint_ground(
        self, position: NDArray[np.float64], zoom: float, origin: tuple[float, float], angle: float
    ) -> None:
        """One colour, where the field's edge is out of sight."""
        world = self._world
        reach = math.hypot(WINDOW_W / 2, 3 * WINDOW_H / 4) / zoom + 1
        if np.abs(position).max() + reach < PLAYFIELD:
            self._above.fill([int(c) for c in world.bg_color])
            return
        self._above.fill(BLACK)
        world.surf = self._above
        edge = [(PLAYFIELD, PLAYFIELD), (PLAYFIELD, -PLAYFIELD)]
        edge += [(-x, -y) for x, y in edge]
        world._draw_colored_polygon(
            self._above, edge, world.bg_color, zoom, origin, angle, clip=False
        )

    def _paint_road(
        self, turn: tuple[float, float], zoom: float, origin: tuple[float, float]
    ) -> None:
        """Patches of grass and tiles that are in sight, in their order."""
        x, y = self._corners
        column = (turn[0] * x - turn[1] * y) * zoom + origin[0]  # (4, P)
        row = (turn[1] * x + turn[0] * y) * zoom + origin[1]
        is_seen = (column.max(0) > -2) & (column.min(0) < WINDOW_W + 2)
        is_seen &= (row.max(0) > DASHBOARD_PX - 2) & (row.min(0) < WINDOW_H + 2)
        corners = np.stack([column[:, is_seen], row[:, is_seen]]).T.tolist()  # (n, 4, 2)
        for corner, number in zip(corners, np.flatnonzero(is_seen), strict=True):
            colour = [int(c) for c in self._colours[number]]
            gfxdraw.aapolygon(self._above, corner, colour)
            gfxdraw.filled_polygon(self._above, corner, colour)

    def _paint_dashboard(self) -> None:
        """Gymnasium's own, and the score with a font that is open already."""
        world = self._world
        world.surf = self._window
        world._render_indicators(WINDOW_W, WINDOW_H)
        text = self._letters.render(f"{world.reward:04.0f}", True, WHITE, BLACK)
        where = text.get_rect()
        where.center = (60, int(WINDOW_H - WINDOW_H * 2.5 / 40.0))
        self._window.blit(text, where)


def _flip(above: Any, window: Any) -> None:
    """Copy the rows over the dashboard with the first one last; pygame's own flip takes new memory each time."""
    rows = WINDOW_H - DASHBOARD_PX
    source, target = pygame.surfarray.pixels2d(above), pygame.surfarray.pixels2d(window)  # (X, Y)
    target.T[:rows] = source.T[: -rows - 1 : -1]


def _grass() -> NDArray[np.float64]:
    """Corners (400, 4, 2) of the patches, as Gymnasium lays them."""
    x, y = (
        GRASS_DIM * corner.reshape(-1, 1)
        for corner in np.meshgrid(range(-20, 20, 2), range(-20, 20, 2), indexing="ij")
    )
    right, left = x + GRASS_DIM, x
    low, high = y, y + GRASS_DIM
    return np.stack(
        [np.hstack([right, left, left, right]), np.hstack([low, low, high, high])], axis=-1
    )
