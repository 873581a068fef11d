"""Sliders, one for each joint of a KUKA iiwa: what was shown once is played back.

Where a path runs back on itself, or rests, joints alone do not say what comes next. So a demonstration
is kept as on a tape: its time is part of the command, and what was commanded last is part of what is
seen. A policy that plays back thus knows how far it has come, and as the arm is seen as well, a tape that
has run ahead of an arm that was held waits for it: this is memory, not a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from understudy.physics.arm import Camera, Mount, Scene
from understudy.physics.arms import IIWA
from understudy.physics.kinematics import Floats
from understudy.physics.randomise import Randomisation
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec
from understudy.tasks.arms import Engine, World, drawn_from, make_arm, turning
from understudy.tasks.base import Controls, TaskConfig
from understudy.tasks.gym import observation_space, space_of

RATE_HZ = 240.0
SECONDS, REST_S = 10.0, 0.5  # what the traces are drawn for; that an arm has to come to rest
JOINTS = len(IIWA.joints)
NUISANCE_RAD = 0.001  # about a millimetre at the tip
SHUT = np.zeros(1)
# What happens to the arm, in the middle of the trace or from the beginning on.
PUSH_RAD, HELD_S, SLOWER, MID = 0.15, 1.0, 0.8, 0.3
# Success: the tip stays as near to the path shown, comes by as much of it and to its end; after a push it
# is back in time, and may have skipped as much as it was pushed along: 0.15 of 1 rad.
NEAR_M, SPAN = 0.005, 0.98
BACK_M, BACK_S, PUSHED_SPAN = 0.01, 0.5, 0.85
LATE_S = 4.0  # that an arm that was held, or is slow, may come to the end after the hands did
TAPE, LEAST_S, LONGEST_S = "observation.tape", 0.1, 60.0
NAMES = tuple(joint.name for joint in IIWA.joints)
SCENE = Scene(
    arms=(Mount(model=IIWA),),
    cameras=(Camera(name="film", position_m=(1.9, -1.6, 1.3), target_m=(0, 0, 0.6)),),
)
Trace = Literal["free", "ramp", "raise-and-lower", "at-once", "circle", "figure-8"]


def _up(time_s: float, begin_s: float, end_s: float) -> float:
    """From 0 to 1 between two moments."""
    return float(np.clip((time_s - begin_s) / (end_s - begin_s), 0, 1))


def _round(time_s: float) -> float:
    """The angle on one round between the first and the ninth second."""
    return 2 * np.pi * _up(time_s, 1, 9)


# Where the first two sliders stand at a time: hands lie still for a second, but for `at-once`.
TRACES: dict[Trace, Callable[[float], tuple[float, float]]] = {
    "ramp": lambda t: (0.0, _up(t, 1, 6)),
    "raise-and-lower": lambda t: (0.0, 1.6 * (_up(t, 1, 5.5) - _up(t, 5.5, 10))),
    "at-once": lambda t: (0.0, 1.6 * (_up(t, 0, 5) - _up(t, 5, 10))),
    "circle": lambda t: (0.4 * np.sin(_round(t)), 0.4 * (1 - np.cos(_round(t)))),
    "figure-8": lambda t: (0.5 * np.sin(_round(t)), 0.3 * np.sin(2 * _round(t))),
}


@final
class _SlidersWorld(gymnasium.Env[Any, Any]):
    def __init__(self, config: KukaSliders, render_mode: str | None) -> None:
        self.config = config
        self.signals = config.spec
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": RATE_HZ}
        self.observation_space = observation_space(self.signals)
        self.action_space = space_of(self.signals.action)
        self._arm = make_arm(config.engine, SCENE)
        self._path_m = config.path_m()
        self._middle = round(config.seconds / 2 * RATE_HZ)
        self._limit = round(config.limit_s * RATE_HZ)
        is_slow = config.disturb == "slow"
        self._most_rad = SLOWER * config.fastest_rad_s() / RATE_HZ if is_slow else np.inf

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Put arm and sliders where the trace begins, or in its middle."""
        super().reset(seed=seed)
        conditions, _ = drawn_from(self.config.world).draw(int(self.np_random.integers(2**31)))
        self._sliders = self._shown(0.0)
        away = self.np_random.uniform(-NUISANCE_RAD, NUISANCE_RAD, JOINTS)
        self._arm.reset(self._sliders + away, SHUT, {}, conditions)
        self._target = self._sliders.copy()
        self._held: Floats | None = None
        self._ticks, self._tape = 0, 0.0
        self._distance_m: list[float] = []
        self._reached = np.zeros(len(self._path_m), np.bool_)
        self._at_end = False
        return self._seen(), {}

    def step(
        self, action: NDArray[Any]
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        """Move the sliders; the arm follows."""
        chain = IIWA.chain
        self._sliders = np.clip(
            np.asarray(action[:JOINTS], np.float64), chain.low_rad, chain.high_rad
        )
        self._tape = float(action[JOINTS])
        self._disturb()
        self._arm.command(self._target if self._held is None else self._held, SHUT)
        self._arm.advance(1 / RATE_HZ)
        self._ticks += 1
        away_m = self._follow()
        is_over = self._ticks >= self._limit
        info: dict[str, Any] = {
            "executed_action": np.array([*self._sliders, self._tape], np.float32)
        }
        if len(self._path_m):
            info |= self.measured() if is_over else {"is_success": False}
        return self._seen(), -1e3 * away_m / RATE_HZ, False, is_over, info

    def measured(self) -> dict[str, Any]:
        """How near the tip has stayed to the path (root mean square), how much of it it has come by, and
        how long after a push it was away; a push's first half second does not count for the first.

        Known once the episode is over, when it is in `info` as well.
        """
        away = np.array(self._distance_m)
        counts = np.ones(len(away), np.bool_)
        recovery_s = 0.0
        if self.config.disturb == "push":
            begin = self._middle
            counts[begin : begin + round(BACK_S * RATE_HZ)] = False
            far = np.flatnonzero(away[begin:] > BACK_M)
            recovery_s = float(far[-1] + 1) / RATE_HZ if len(far) else 0.0
        rms_m = float(np.sqrt(np.mean(np.square(away[counts]))))
        span = float(self._reached.mean())
        least = PUSHED_SPAN if self.config.disturb == "push" else SPAN
        is_there = span >= least and self._at_end
        is_success = bool(rms_m <= NEAR_M and is_there and recovery_s <= BACK_S)
        return {"is_success": is_success, "rms_m": rms_m, "span": span, "recovery_s": recovery_s}

    def expert_action(self) -> NDArray[np.float32]:
        """Where the sliders were moved at this time; raises RuntimeError for a free hand."""
        if self.config.trace == "free":
            raise RuntimeError("nobody knows where a free hand moves the sliders; choose a trace")
        time_s = (self._ticks + 1) / RATE_HZ
        return np.array([*self._shown(time_s), time_s], np.float32)

    def render(self) -> NDArray[np.uint8]:
        """A picture (480, 640, 3)."""
        return self._arm.render("film", 480, 640)

    def close(self) -> None:
        """Give back what the engine holds."""
        self._arm.close()

    def _shown(self, time_s: float) -> Floats:
        return np.zeros(JOINTS) if self.config.trace == "free" else self.config.shown_at(time_s)

    def _disturb(self) -> None:
        """Let happen what is to happen at this tick."""
        kind, since = self.config.disturb, self._ticks - self._middle
        if kind == "push" and since == 0:
            self._arm.shift(np.full(JOINTS, PUSH_RAD) * (np.arange(JOINTS) < 2))
        if kind == "hold" and since == 0:
            self._held = self._arm.joints.copy()
        if kind == "hold" and since == round(HELD_S * RATE_HZ):
            self._held = None
        way = self._sliders - self._target
        self._target = self._target + np.clip(way, -self._most_rad, self._most_rad)

    def _follow(self) -> float:
        """Note how far the tip is from the path, and which part of that it has come by."""
        if not len(self._path_m):
            return 0.0
        away = np.linalg.norm(self._path_m - np.array(self._arm.tool().position_m), axis=1)
        self._distance_m.append(float(away.min()))
        near = away <= 2 * NEAR_M
        self._reached |= near
        self._at_end = bool(near[-1])
        return self._distance_m[-1]

    def _seen(self) -> dict[str, NDArray[Any]]:
        return {
            STATE: self._arm.joints.astype(np.float32),
            ENVIRONMENT_STATE: self._sliders.astype(np.float32),
            TAPE: np.array([self._tape], np.float32),
        }


@final
@dataclass(frozen=True, kw_only=True)
class KukaSliders(TaskConfig):
    """Play back, at 240 Hz, what was shown with the sliders: along the same path, to its end."""

    has_expert: ClassVar[bool] = True
    controls: ClassVar[Controls | None] = Controls(
        begin=(*((ENVIRONMENT_STATE, joint) for joint in range(JOINTS)), 0.0),
        push=turning(JOINTS),
        clock=JOINTS,
        says=("A S D F G H J turn joints one way   Z X C V B N M the other way",),
    )

    trace: Trace = "raise-and-lower"
    """What is shown: one joint raised, raised and lowered (after a second of rest, or at once), a
    circle and a figure-8 of two joints; free: whatever a hand does."""
    disturb: Literal["none", "push", "hold", "slow", "mid-start"] = "none"
    """What happens to the arm: pushed by 0.15 rad in the middle of the time, held still from then for 1 s,
    joints that turn at 80 % of the trace's highest speed, a start three tenths into the trace."""
    seconds: float = SECONDS
    """How long the hands move the sliders; a trace is drawn faster or slower."""
    engine: Engine = "mujoco"
    world: World | Randomisation = "nominal"
    """Nothing is observed with noise here; what else a Randomisation says holds."""

    def __post_init__(self) -> None:
        most_s = LONGEST_S - REST_S - LATE_S
        if not LEAST_S <= self.seconds <= most_s:
            raise ValueError(f"seconds lies in {LEAST_S}..{most_s:g}, got {self.seconds}")
        if self.trace == "free" and self.disturb in ("slow", "mid-start"):
            raise ValueError(f"disturb={self.disturb} needs a trace, a free hand has none")

    @property
    def limit_s(self) -> float:
        """How long an episode lasts."""
        return self.seconds + REST_S + (LATE_S if self.disturb in ("hold", "slow") else 0.0)

    @property
    def spec(self) -> Spec:
        """Joints, sliders and tape in; sliders and tape out."""
        low = tuple(joint.low_rad for joint in IIWA.joints)
        high = tuple(joint.high_rad for joint in IIWA.joints)
        seen = {
            key: Signal((JOINTS,), unit="rad", names=NAMES) for key in (STATE, ENVIRONMENT_STATE)
        }
        seen[TAPE] = Signal((1,), unit="s", names=("tape",))
        action = Signal(
            (JOINTS + 1,), names=(*NAMES, "tape"), low=(*low, 0.0), high=(*high, LONGEST_S)
        )
        return Spec(seen, action, RATE_HZ, "Play back what was shown with the sliders.")

    def shown_at(self, time_s: float) -> Floats:
        """Where the sliders of the trace stand (7,), in radians, at a time of the episode."""
        begin_s = MID * SECONDS if self.disturb == "mid-start" else 0.0
        moved = TRACES[self.trace](begin_s + time_s * SECONDS / self.seconds)
        return np.array([*moved, *np.zeros(JOINTS - 2)])

    def path_m(self) -> Floats:
        """Where the tip comes by (n, 3), without the rests; none for a free hand."""
        if self.trace == "free":
            return np.zeros((0, 3))
        joints = self._trace()
        moves = np.abs(np.diff(joints, axis=0, append=joints[-1:] + 1)).max(1) > 0
        return IIWA.chain.forward(joints[moves])[0]

    def fastest_rad_s(self) -> Floats:
        """Each joint's highest speed (7,)."""
        return np.abs(np.diff(self._trace(), axis=0)).max(0) * RATE_HZ

    def _trace(self) -> Floats:
        times_s = np.arange(0, self.seconds, 1 / RATE_HZ)
        return np.array([self.shown_at(time_s) for time_s in times_s])

    def build(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Build the world; raises ValueError where its engine is not installed."""
        return _SlidersWorld(self, render_mode)
