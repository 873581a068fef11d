"""Trace: the flange of a Panda follows a curve of reference points, the hand pointing down.

What is to be learnt is the map from a point to seven joint angles. The world is kinematic: the arm is at
once where it is told to be. The point is the flange's, as in the first such data sets; a hand's length
below it the far upper corners of the box would be out of reach.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, final

import gymnasium
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from understudy.episode import Episode
from understudy.physics.arm import Arm, Camera, Mount, Pose, Scene, Thing
from understudy.physics.arms import PANDA
from understudy.physics.kinematics import Chain, Floats, inverse
from understudy.physics.models import Solid, vector
from understudy.spec import ENVIRONMENT_STATE, Signal, Spec
from understudy.tasks import curves
from understudy.tasks.arms import DOWN, make_arm
from understudy.tasks.base import Canvas, Controls, TaskConfig
from understudy.tasks.gym import observation_space, space_of

RATE_HZ = 50.0
CHAIN = PANDA.flange_chain
HAND_DOWN = DOWN @ Rotation.from_euler("xyz", PANDA.gripper.rpy_rad).as_matrix().T  # of the flange
# What counts as well traced.
MOST_RMSE_MM, MOST_MM, MOST_STEP_RAD = 1.0, 3.0, 0.05
MOST_MARGIN_M = 0.015  # reached to the corners
STEP_M = 0.005  # of the way to which a joint's step refers
# Demonstrations that are bad on purpose. Twelve of the 99 steps of the original's circle were hops.
SWUNG_RAD = np.array([1.1, 0, -1.1, 0, 0, 0, 0])  # the other branch: the elbow swung out
HOP = 0.12  # probability of another branch at a tick
NOISE_RAD = 0.02
DOTS = 100  # of the drawn curve, at most
FILM = Camera(name="film", position_m=(1.6, -1.1, 0.9), target_m=(0.25, 0.0, 0.45), view_deg=30)
PICTURE, WAY = (480, 640), (30, 80, 230)  # rows and columns; the colour of the flange's way


@final
@dataclass(frozen=True)
class Trace:
    """How well a curve was followed."""

    rmse_mm: float
    max_mm: float
    step_rad: float  # the largest of any joint between two ticks, per 5 mm of the curve
    violations: int  # ticks at which a commanded angle was outside its limits

    @property
    def is_good(self) -> bool:
        """1 mm RMSE, 3 mm at most, no joint faster than 0.05 rad in 5 mm, no limit violated."""
        near = self.rmse_mm <= MOST_RMSE_MM and self.max_mm <= MOST_MM
        return near and self.step_rad <= MOST_STEP_RAD and self.violations == 0


def measured(points: Floats, commands: Floats) -> Trace:
    """Compare reference points (T, 3) with where commanded angles (T, J) put the flange."""
    joints = np.clip(commands, CHAIN.low_rad, CHAIN.high_rad)
    errors_mm = 1e3 * np.linalg.norm(CHAIN.forward(joints)[0] - points, axis=1)
    way_m = np.linalg.norm(np.diff(points, axis=0), axis=1)
    turns_rad = np.abs(np.diff(joints, axis=0)).max(1, initial=0.0)
    steps = turns_rad[way_m > 0] * STEP_M / way_m[way_m > 0]
    return Trace(
        rmse_mm=float(np.sqrt(np.mean(errors_mm**2))),
        max_mm=float(errors_mm.max()),
        step_rad=float(steps.max(initial=0.0)),
        violations=int((commands != joints).any(1).sum()),
    )


def measured_of(episode: Episode) -> Trace:
    """What an episode of this task came to."""
    points = np.asarray(episode.observations[ENVIRONMENT_STATE], np.float64)
    return measured(points, np.asarray(episode.actions, np.float64))


def solved(points: Floats, swung: bool = False) -> Floats:
    """Angles (T, J) that put the flange at points (T, 3), the hand down, all on one branch.

    `swung` is the branch with the elbow swung out; where that does not reach a point, the usual one
    does. Raises ValueError for points out of reach.
    """
    turns = np.broadcast_to(HAND_DOWN, (len(points), 3, 3))
    usual = inverse(CHAIN, points, turns)
    if not usual.is_solved.all():
        first = int(np.argmin(usual.is_solved))
        raise ValueError(
            f"point {first} of the curve, {points[first].round(4).tolist()}, is out of reach by "
            f"{1e3 * usual.error_m[first]:.0f} mm"
        )
    if not swung:
        return usual.joints
    other = inverse(_swung(), points, turns, iterations=400)
    return np.where(other.is_solved[:, None], other.joints, usual.joints)


def _swung() -> Chain:
    return replace(CHAIN, home_rad=CHAIN.home_rad + SWUNG_RAD)


@final
class _TraceWorld(gymnasium.Env[Any, Any]):
    def __init__(self, config: PandaTrace, render_mode: str | None) -> None:
        self.config = config
        self.signals = config.spec
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}
        self.render_mode = render_mode
        self.observation_space = observation_space(self.signals)
        self.action_space = space_of(self.signals.action)
        drawn = curves.read_curve(Path(config.file)) if config.curve == "file" else None
        self._drawn = None if drawn is None else curves.resampled(drawn, config.spacing_m)
        self._arm: Arm | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Draw a curve; the arm is at home."""
        super().reset(seed=seed)
        self._draws_seed = int(self.np_random.integers(2**31))
        self.points = self._points()  # (T, 3)
        self._answers: Floats | None = None
        self._ticks, ticks = 0, len(self.points)
        self._commands = np.empty((ticks, len(CHAIN)))  # (T, J), as far as they were given
        self._way_m = np.empty((ticks, 3))  # of the flange, as far as it has come
        self.close()
        return self._seen(), {}

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Put the arm where it is told to be, within its limits; raises RuntimeError after the end."""
        self._require_more()
        tick, ticks = self._ticks, len(self.points)
        command = np.asarray(action, np.float64)
        executed = np.clip(command, CHAIN.low_rad, CHAIN.high_rad)
        self._commands[tick] = command
        self._way_m[tick] = CHAIN.forward(executed[None])[0][0]
        error_mm = 1e3 * float(np.linalg.norm(self._way_m[tick] - self.points[tick]))
        self._ticks += 1
        is_over = self._ticks == ticks
        info: dict[str, Any] = {"executed_action": executed.astype(np.float32), "is_success": False}
        if is_over:
            trace = measured(self.points, self._commands)
            info |= {"is_success": trace.is_good, "trace": trace}
        return self._seen(), -error_mm / ticks, is_over, False, info

    def expert_action(self) -> NDArray[np.float32]:
        """The angles of inverse kinematics for the next point; with what the task adds to them.

        Raises RuntimeError after the end.
        """
        self._require_more()
        if self._answers is None:
            self._answers = self._demonstrated()
        return self._answers[self._ticks].astype(np.float32)

    def render(self) -> NDArray[np.uint8]:
        """A picture (480, 640, 3) of the arm, the curve in red, and in blue, over all else, the flange's way so far."""
        if self._arm is None:
            self._arm = make_arm("mujoco", _scene(self.points))
        told = self._commands[self._ticks - 1] if self._ticks else CHAIN.home_rad
        self._arm.reset(np.clip(told, CHAIN.low_rad, CHAIN.high_rad), np.zeros(1), {})
        picture = self._arm.render("film", *PICTURE)
        return _drawn(picture, FILM.pixels(self._way_m[: self._ticks], *PICTURE))

    def close(self) -> None:
        """Give back what the engine holds."""
        if self._arm is not None:
            self._arm.close()
            self._arm = None

    def _require_more(self) -> None:
        if self._ticks == len(self.points):
            raise RuntimeError("the curve is at its end; reset begins another")

    def _points(self) -> Floats:
        if self._drawn is not None:
            return self._drawn
        assert self.config.curve != "file"
        draws = np.random.default_rng(self._draws_seed)
        shape = curves.draw(self.config.curve, draws, self.config.margin_m)
        return curves.resampled(shape, self.config.spacing_m)

    def _demonstrated(self) -> Floats:
        """What the expert says at each tick (T, J)."""
        usual = solved(self.points)
        draws = np.random.default_rng([self._draws_seed, 1])
        if self.config.demonstrations == "noisy":
            noisy = usual + draws.normal(0, NOISE_RAD, usual.shape)
            return np.clip(noisy, CHAIN.low_rad, CHAIN.high_rad)
        if self.config.demonstrations == "mixed":
            hops = draws.random(len(usual)) < HOP
            hops[0] = draws.random() < 0.5
            is_swung = np.cumsum(hops) % 2 == 1  # (T,)
            return np.where(is_swung[:, None], solved(self.points, swung=True), usual)
        return usual

    def _seen(self) -> dict[str, NDArray[Any]]:
        """The point where the flange shall be next; at the end the last one."""
        tick = min(self._ticks, len(self.points) - 1)
        return {ENVIRONMENT_STATE: self.points[tick].astype(np.float32)}


def _scene(points: Floats) -> Scene:
    """The arm, and a curve of dots that nothing touches."""
    kept = points[np.linspace(0, len(points) - 1, min(DOTS, len(points))).round().astype(int)]
    dots = tuple(
        Solid(shape="sphere", size_m=(0.005,), position_m=vector(point), colour=(0.85, 0.15, 0.15))
        for point in kept
    )
    curve = Thing(name="curve", solids=dots, pose=Pose((0, 0, 0)))
    return Scene(arms=(Mount(model=PANDA),), things=(curve,), cameras=(FILM,))


def _drawn(picture: NDArray[np.uint8], places: Floats) -> NDArray[np.uint8]:
    """The picture with a line, two pixels wide, through rows and columns (n, 2)."""
    if not len(places):
        return picture
    drawn = picture.copy()
    lengths = np.linalg.norm(np.diff(places, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    at = np.arange(0, along[-1] + 1, 0.5)
    fine = np.stack([np.interp(at, along, axis) for axis in places.T], 1)  # half a pixel apart
    for row, column in np.round(fine).astype(int):
        drawn[max(row - 1, 0) : max(row + 1, 0), max(column - 1, 0) : max(column + 1, 0)] = WAY
    return drawn


@final
@dataclass(frozen=True, kw_only=True)
class PandaTrace(TaskConfig):
    """Follow a curve to its end: 1 mm RMSE, 3 mm at most, smooth, within the joints' limits."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = Controls(begin=tuple(CHAIN.home_rad.tolist()))
    canvas: ClassVar[Canvas | None] = Canvas(
        low_m=vector(curves.LOW_M), high_m=vector(curves.HIGH_M)
    )

    curve: Literal["circle", "square", "waypoints", "freehand", "file"] = "freehand"
    """Drawn from the seed anywhere in the box, circles and squares in any plane; or read from `file`."""
    file: str = ""
    """A text with x y z in metres a line, drawn by hand or by a program."""
    spacing_m: float = 0.005
    """Between two points along the curve; an episode has as many ticks as the curve has points."""
    margin_m: float = 0.0
    """How far around the box curves may lie, at most 1.5 cm: demonstrations that surround what is to be followed."""
    demonstrations: Literal["clean", "mixed", "noisy"] = "clean"
    """What the expert shows. clean: all on one branch of the inverse kinematics. mixed: two branches in
    turn, changing at random (12 % of the ticks) as careless solvers do. noisy: each angle off by 0.02 rad
    (deviation). The last two are bad on purpose, to learn from."""

    def __post_init__(self) -> None:
        if not 1e-4 <= self.spacing_m <= 1:
            raise ValueError(f"spacing_m lies in 0.0001..1, got {self.spacing_m}")
        if not 0 <= self.margin_m <= MOST_MARGIN_M:
            raise ValueError(f"margin_m lies in 0..{MOST_MARGIN_M}, got {self.margin_m}")
        if (self.curve == "file") != bool(self.file):
            raise ValueError(
                f"curve=file and file=PATH go together, got {self.curve}, {self.file!r}"
            )

    @property
    def spec(self) -> Spec:
        """Where the flange shall be at the end of the tick, in; the angles of the joints, out."""
        return SPEC

    def following(self, curve: Path) -> PandaTrace:
        """The same with a drawn curve."""
        return replace(self, curve="file", file=str(curve))

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; raises ValueError where its file holds no curve."""
        return _TraceWorld(self, render_mode)


SPEC = Spec(
    observations={ENVIRONMENT_STATE: Signal((3,), unit="m", names=("x", "y", "z"))},
    action=Signal(
        (len(CHAIN),),
        unit="rad",
        names=tuple(joint.name for joint in PANDA.joints),
        low=tuple(CHAIN.low_rad.tolist()),
        high=tuple(CHAIN.high_rad.tolist()),
    ),
    rate_hz=RATE_HZ,
    task="Follow the curve with the flange.",
)
