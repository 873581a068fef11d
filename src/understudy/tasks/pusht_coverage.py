"""How much of PushT's outline the block covers: gym-pusht's number to the bit, in less than half its time."""

from __future__ import annotations

from typing import Any, final

try:
    import shapely
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pusht needs shapely: pip install 'understudy[pusht]'", name="shapely"
    ) from error


@final
class Coverage:
    """Stands for `_get_coverage` of a gym-pusht world, which makes the outline anew at each step.

    Here it is made when a reset has laid it, and so are the block's corners in its own frame.
    """

    def __init__(self, world: Any) -> None:
        self._world = world
        self._block: Any = None
        self._pose: Any = None

    def __call__(self) -> float:
        """Return the covered share of the outline, 0..1."""
        world = self._world
        if world.block is not self._block or world.goal_pose is not self._pose:
            self._block, self._pose = world.block, world.goal_pose
            self._corners = [shape.get_vertices() for shape in world.block.shapes]
            self._outline = self._laid(world.get_goal_pose_body(world.goal_pose))
            self._area = self._outline.area
            shapely.prepare(self._outline)
        return self._outline.intersection(self._laid(self._block)).area / self._area

    def _laid(self, body: Any) -> Any:
        """The shape of the block where a body is."""
        place = body.local_to_world
        return shapely.multipolygons(
            [shapely.polygons([place(corner) for corner in part]) for part in self._corners]
        )
