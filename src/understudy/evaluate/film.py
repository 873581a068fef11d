"""Chosen rollouts once more, with a camera: what was measured is what is seen."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import av
import gymnasium
import numpy as np
from av.video.reformatter import Interpolation
from numpy.typing import NDArray

from understudy.data.video import VideoWriter
from understudy.evaluate.measure import Report, Row, row_of
from understudy.rollout import rollouts, world_spec
from understudy.tasks.base import TaskConfig

if TYPE_CHECKING:  # the fleet brings torch, which the trial of rendering does not need
    from understudy.fleet import ActorConfig

LARGEST_BYTES = 150_000  # of one video; a report holds a dozen
SIDES = (320, 240, 160, 96)  # longest side in pixels, tried in turn until the video is small enough
MOST_FRAMES = 150
SMOOTH_HZ = 15.0  # frames per second are enough
KEYFRAMES = 60  # frames between two: nobody seeks in a few seconds
LAST_S = 0.8  # how long the outcome stays in view

_GL = "apt install libegl1 libgl1-mesa-dri (Debian, Ubuntu)"
_PYGAME = "pip install 'understudy[classic]'"


@final
@dataclass(frozen=True)
class Film:
    """The video of one measured episode."""

    path: Path
    row: Row  # as measured
    differs: str = ""  # how the filmed episode differs from the measured one; "" if it does not


@final
class Filmed(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Keeps pictures of the running episode: at most `MOST_FRAMES`, evenly spaced.

    `frames` are (Y, X, 3) uint8 and show `frames_hz` of each second. The world's rate is taken from
    its Spec; its `render()` must give (Y, X, 3) uint8.
    """

    def __init__(self, world: gymnasium.Env[Any, Any]) -> None:
        super().__init__(world)
        self._rate_hz = world_spec(world).rate_hz
        self._begin()

    @property
    def frames_hz(self) -> float:
        """Kept frames per second of the world's time."""
        return self._rate_hz / self._stride

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode and a new film."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._begin()
        self.frames.append(self._picture())
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the world; keep the picture if its turn has come, and always the last one."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._tick += 1
        if self._tick % self._stride == 0:
            self.frames.append(self._picture())
            if len(self.frames) > MOST_FRAMES:
                self.frames = self.frames[::2]
                self._stride *= 2
        elif terminated or truncated:
            self.frames.append(self._picture())
        return observation, float(reward), bool(terminated), bool(truncated), info

    def _begin(self) -> None:
        self.frames: list[NDArray[np.uint8]] = []
        self._stride = max(1, round(self._rate_hz / SMOOTH_HZ))
        self._tick = 0

    def _picture(self) -> NDArray[np.uint8]:
        return _resized(_rendered(self.env), SIDES[0])


def choose(report: Report, count: int = 12) -> tuple[Row, ...]:
    """Rows worth seeing: failures first (at most two thirds), then others from worst to best.

    Where the world does not judge, all are spread from the worst score to the best.
    """
    ranked = sorted(report.rows, key=report.score_of)
    failed = [row for row in ranked if row.success is False]
    others = [row for row in ranked if row.success is not False]
    shown = _spread(failed, max(2 * count // 3, count - len(others)))
    return (*shown, *_spread(others, count - len(shown)))


def film(task: TaskConfig, actor: ActorConfig, rows: Sequence[Row], folder: Path) -> Iterator[Film]:
    """Run the episodes of `rows` again, one by one, and yield each as a video in `folder`.

    Results do not depend on company, so each must repeat itself; where it does not, its film says
    how. Videos are h264, play at the world's own speed and stay below `LARGEST_BYTES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world = Filmed(task.build(render_mode="rgb_array"))
    try:
        player = actor.build(task.spec)
        for row in rows:
            for episode in rollouts([world], player, [row.seed]):
                path = folder / f"{row.seed}.mp4"
                write_video(path, world.frames, world.frames_hz)
                yield Film(path, row, _difference(row, row_of(episode)))
    finally:
        world.close()


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], rate_hz: float) -> None:
    """Write frames (Y, X, 3) as large as fits into `LARGEST_BYTES`, the last one held for a moment."""
    held = [frames[-1]] * round(LAST_S * rate_hz)
    for side in SIDES:
        small = [_resized(frame, side) for frame in frames]
        writer = VideoWriter(path, small[0].shape, rate_hz, gop=KEYFRAMES)
        for frame in [*small, *(_resized(frame, side) for frame in held)]:
            writer.write(frame)
        writer.close()
        if path.stat().st_size <= LARGEST_BYTES:
            return


def rendering_problem(task: TaskConfig, timeout_s: float = 60.0) -> str | None:
    """A sentence on why `task` cannot be drawn on this machine and what to install; None if it can.

    Found out in a process of its own: a missing graphics library may end or hang the process that
    asks for it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    trial = context.Process(target=_try_rendering, args=(task, theirs), daemon=True)
    trial.start()
    theirs.close()
    try:
        if not ours.poll(timeout_s):
            return f"Drawing one picture took longer than {timeout_s:g} s."
        return ours.recv_bytes().decode() or None
    except EOFError:
        trial.join()
        return f"Drawing a picture ended its process ({trial.exitcode}). Remedy: {_GL}."
    finally:
        trial.kill()
        trial.join()
        ours.close()


def _try_rendering(task: TaskConfig, answer: Connection) -> None:
    """In the process that may be lost: draw one picture, answer "" or what went wrong."""
    try:
        world = task.build(render_mode="rgb_array")
        world.reset(seed=0)
        _rendered(world)
        world.close()
        problem = ""
    except Exception as error:
        problem = remedy(error)
    answer.send_bytes(problem.encode())


def remedy(error: Exception) -> str:
    """What to install when drawing raised `error`, as a sentence."""
    text = f"{type(error).__name__}: {error}".strip()
    lower = text.lower()
    if "pygame" in lower:
        return f"Drawing needs pygame. Remedy: {_PYGAME}. ({text})"
    if any(
        word in lower for word in ("egl", "opengl", "glfw", "osmesa", "libgl", "glget", "display")
    ):
        return f"Drawing needs OpenGL without a screen. Remedy: {_GL}. ({text})"
    if isinstance(error, ModuleNotFoundError):
        return f"Drawing needs {error.name}. Remedy: pip install {error.name}. ({text})"
    return f"Drawing failed: {text}"


def _rendered(world: gymnasium.Env[Any, Any]) -> NDArray[np.uint8]:
    picture: Any = world.render()
    if not (
        isinstance(picture, np.ndarray)
        and picture.dtype == np.uint8
        and picture.ndim == 3
        and picture.shape[2] == 3
    ):
        raise ValueError(f"render() of {world} gave {type(picture)}, expected uint8 (Y, X, 3)")
    return picture


def _resized(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """Shrink (Y, X, 3) so that no side exceeds `longest`; sides are even, as players want them."""
    scale = min(1.0, longest / max(picture.shape[:2]))
    height, width = (max(2, 2 * round(side * scale / 2)) for side in picture.shape[:2])
    if (height, width) == picture.shape[:2]:
        return np.array(picture)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    shrunk = frame.reformat(width, height, "rgb24", interpolation=Interpolation.AREA)
    return np.asarray(shrunk.to_ndarray(), np.uint8)


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """At most `count` of the rows, evenly spaced, the first and the last among them."""
    if count >= len(rows):
        return list(rows)
    places = np.linspace(0, len(rows) - 1, max(0, count)).round().astype(int)
    return [rows[place] for place in places]


def _difference(measured: Row, filmed: Row) -> str:
    if measured.initial_state_hash != filmed.initial_state_hash:
        return "it began in another state than the measured one"
    parts = [
        f"{name} {a:.6g} measured, {b:.6g} filmed"
        for name, a, b in (
            ("length", measured.length, filmed.length),
            ("return", measured.return_, filmed.return_),
        )
        if abs(a - b) > 1e-9 * max(1.0, abs(a))
    ]
    return "; ".join(parts)
