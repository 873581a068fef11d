"""The shapes of a compiled model as primitives: of a mesh, the smallest that holds all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from understudy.physics.kinematics import Floats
from understudy.physics.models import Solid, Vector, rpy_of, vector
from understudy.physics.mujoco import engine

SPHERE, CAPSULE, ELLIPSOID, CYLINDER, BOX, MESH = (
    int(getattr(engine.mjtGeom, f"mjGEOM_{name}"))
    for name in ("SPHERE", "CAPSULE", "ELLIPSOID", "CYLINDER", "BOX", "MESH")
)
THINNEST_M = 1e-4
# A mesh's own axes are kept unless its principal axes make it smaller than by this: fingers stay straight.
SMALLER = 0.9
UNPAINTED = (0.5, 0.5, 0.5)  # the engine's colour of what has none, where a material's counts
Shape = Literal["box", "capsule", "cylinder", "sphere"]


def solids_of(
    model: Any, data: Any, bodies: Sequence[int], place: Floats, turn: Floats
) -> tuple[Solid, ...]:
    """Shapes of bodies in a frame at `place` (3,), `turn` (3, 3): what collides, else what is seen."""
    solids: list[Solid] = []
    for body in bodies:
        first = model.body_geomadr[body]
        geoms = range(first, first + model.body_geomnum[body])
        collides = [g for g in geoms if model.geom_contype[g] or model.geom_conaffinity[g]]
        seen = [g for g in geoms if g not in collides]
        for geom in collides or seen:
            colour = _colour(model, geom if geom in seen or not seen else seen[0])
            where = turn.T @ (data.geom_xpos[geom] - place)
            solids.append(
                _solid(model, geom, where, turn.T @ _matrix(data.geom_xmat[geom]), colour)
            )
    return tuple(solids)


def _solid(model: Any, geom: int, place: Floats, turn: Floats, colour: Vector) -> Solid:
    kind, size = model.geom_type[geom], np.maximum(model.geom_size[geom], THINNEST_M)
    shape: Shape
    if kind == MESH:
        shape, sizes, centre, axes = _held(*_points(model, model.geom_dataid[geom]))
        place, turn = place + turn @ centre, turn @ axes
    elif kind in (BOX, ELLIPSOID):
        shape, sizes = "box", vector(2 * size)
    elif kind == SPHERE:
        shape, sizes = "sphere", (float(size[0]),)
    elif kind in (CAPSULE, CYLINDER):
        shape = "capsule" if kind == CAPSULE else "cylinder"
        sizes = (float(size[0]), 2 * float(size[1]))
    else:
        name = engine.mjtGeom(kind).name.removeprefix("mjGEOM_").lower()
        raise ValueError(f"a body has a {name}; expected a box, capsule, cylinder, sphere or mesh")
    return Solid(
        shape=shape, size_m=sizes, position_m=vector(place), rpy_rad=rpy_of(turn), colour=colour
    )


def _colour(model: Any, geom: int) -> Vector:
    own, material = model.geom_rgba[geom, :3], model.geom_matid[geom]
    is_painted = material < 0 or not np.allclose(own, UNPAINTED)
    return vector(own if is_painted else model.mat_rgba[material, :3])


def _points(model: Any, mesh: int) -> tuple[Floats, Floats]:
    """Corners (n, 3) in the mesh's principal axes, and the rotation (3, 3) of its own axes in these."""
    first = model.mesh_vertadr[mesh]
    points = model.mesh_vert[first : first + model.mesh_vertnum[mesh]]
    principal = Rotation.from_quat(model.mesh_quat[mesh], scalar_first=True)
    return points.astype(float), principal.inv().as_matrix()


def _held(points: Floats, own: Floats) -> tuple[Shape, tuple[float, ...], Floats, Floats]:
    """The smallest primitive that holds points (n, 3): its shape, sizes, centre and axes."""
    straight, turned = (
        min(_around(points @ axes), key=lambda found: found[0]) for axes in (own, np.eye(3))
    )
    is_turned = turned[0] < SMALLER * straight[0]
    axes = np.eye(3) if is_turned else own
    _, shape, sizes, centre, turn = turned if is_turned else straight
    return shape, sizes, axes @ centre, axes @ turn


def _around(
    points: Floats,
) -> Iterator[tuple[float, Shape, tuple[float, ...], Floats, Floats]]:
    """A box, cylinders and capsules that hold points (n, 3), each with its volume."""
    low, high = points.min(0), points.max(0)
    centre, extents = (low + high) / 2, np.maximum(high - low, THINNEST_M)
    yield float(extents.prod()), "box", vector(extents), centre, np.eye(3)
    for axis in range(3):
        turn = np.roll(np.eye(3), 2 - axis, axis=1)  # whose z axis is this one
        x, y, along = ((points - centre) @ turn).T
        across = np.hypot(x, y)
        radius = max(float(across.max()), THINNEST_M)
        rod = float(extents[axis])
        inner = np.abs(along) - np.sqrt(np.maximum(radius**2 - across**2, 0.0))
        waist = max(2 * float(inner.max()), THINNEST_M)
        shapes: tuple[tuple[Shape, float], ...] = (("cylinder", rod), ("capsule", waist))
        for shape, length in shapes:
            solid = Solid(shape=shape, size_m=(radius, length))
            yield solid.volume_m3, shape, solid.size_m, centre, turn


def _matrix(values: Floats) -> Floats:
    return np.reshape(values, (3, 3))
