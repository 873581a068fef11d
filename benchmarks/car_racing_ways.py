"""Where a car drives that was cloned from 5 laps, and one that DAgger corrected: the road's middle, its edge, the grass.

    python benchmarks/car_racing_ways.py --folder runs/car

Plays the policies of benchmarks/car_racing.py, which it finds in --folder, and the expert around the first
20 report tracks, with each of three training seeds, and measures at every tick how far the car is from the
middle of the road, whose half is 6.67 m wide; beyond that a car is on the grass. `left_road` is the share of
tracks on which it ever was, `off_road` that of its ticks. Writes docs/dagger-road.svg besides the result file:
a track on which the clone of seed 0 leaves the road, and the distance against the time.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import gymnasium
import matplotlib
import numpy as np
import results
import torch
from car_racing import BLIND, SEEDS, TASK, place_of
from dagger_horizon import save
from matplotlib import pyplot
from matplotlib.axes import Axes
from numpy.typing import NDArray

from understudy.actor import Actor, Expert
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.player import Chunks
from understudy.rollout import rollouts
from understudy.run import newest_checkpoint
from understudy.statistics import Estimate, pooled_mean
from understudy.tasks import make_task
from understudy.tasks.car_racing_expert import Road

TRACKS = range(100_000, 100_020)
HALF_ROAD_M = 40 / 6  # TRACK_WIDTH of gymnasium/envs/box2d/car_racing.py
TICKS = 500  # of an episode at 25 Hz
WORLDS = 4
CASES = {
    "expert": ("the expert", "#3c3c3c"),
    "cloning-5": ("cloned from 5 laps", "#b3472f"),
    "dagger": ("DAgger: 5 laps, and 25 corrected", "#1f6f8b"),
}
Way = NDArray[np.float64]  # (T, 2) metres


@final
class Tracked(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Notes where the car is, and the road."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.ways: dict[int, list[Way]] = {}
        self.roads: dict[int, Way] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a way of its own for each seed."""
        answer = self.env.reset(seed=seed, options=options)
        assert seed is not None
        race: Any = self.unwrapped
        self._way = self.ways[seed] = [np.array(race.car.hull.position)]
        self.roads[seed] = np.array(race.track)
        return answer

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Drive on."""
        answer = self.env.step(action)
        race: Any = self.unwrapped
        self._way.append(np.array(race.car.hull.position))
        return answer


def driven(actor: Actor, task: str) -> tuple[dict[int, Way], dict[int, Way]]:
    """The ways of an actor, and the tracks (P, 4) as Gymnasium keeps them, by seed."""
    worlds = [Tracked(make_task(task).build()) for _ in range(WORLDS)]
    for _ in rollouts(worlds, actor, TRACKS):
        pass
    ways = {seed: np.array(way) for world in worlds for seed, way in world.ways.items()}
    return ways, {seed: road for world in worlds for seed, road in world.roads.items()}


def distances(ways: Mapping[int, Way], roads: Mapping[int, Way]) -> list[NDArray[np.float64]]:
    """Metres from the middle of the road at each tick, a track after the other."""
    found = []
    for seed in TRACKS:
        road = Road([(row[0], row[1], row[2], row[3]) for row in roads[seed]])
        feet = [road.at(np.array([road.nearest(place)]))[0] for place in ways[seed]]
        found.append(np.linalg.norm(ways[seed] - feet, axis=1))
    return found


def mean_over_time(all_distances: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean distance (TICKS,) of the cars that are still driving."""
    table = np.full((len(all_distances), TICKS), np.nan)
    for row, one in zip(table, all_distances, strict=True):
        row[: len(one)] = one[:TICKS]
    return np.nanmean(table, axis=0)


def draw_track(axes: Axes, road: Way, ways: Mapping[str, Way]) -> None:
    """A road from above, and the ways that were driven."""
    middle = np.vstack([road, road[:1]])[:, 2:4]
    across = np.diff(np.vstack([middle[-2:-1], middle]), axis=0)
    across = across[:, ::-1] * [1, -1] / np.linalg.norm(across, axis=1, keepdims=True)
    left, right = (middle + side * HALF_ROAD_M * across for side in (1, -1))
    axes.fill(*np.vstack([left, right[::-1]]).T, color="#d8d8d8", linewidth=0)
    for case, way in ways.items():
        axes.plot(*way.T, color=CASES[case][1], linewidth=1.2)
        axes.plot(*way[-1], "o", color=CASES[case][1], markersize=4)
    axes.set_aspect("equal")
    axes.set_axis_off()


def draw(road: Way, ways: Mapping[str, Way], curves: Mapping[str, NDArray[np.float64]]) -> None:
    """A track, and distances against the time."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.0, 3.8), layout="constrained")
    draw_track(left, road, ways)
    for case, curve in curves.items():
        label, colour = CASES[case]
        right.plot(np.arange(TICKS) / 25, curve, color=colour, label=label)
    right.axhline(HALF_ROAD_M, color="#8a8a8a", linewidth=0.8, linestyle="--")
    right.annotate("edge of the road", (20, HALF_ROAD_M), ha="right", va="bottom", color="#6a6a6a")
    right.set(xlabel="seconds", ylabel="metres from the middle", xlim=(0, 20), ylim=(0, None))
    right.legend(frameon=False, fontsize=9, loc="upper left")
    right.spines[["top", "right"]].set_visible(False)
    save(figure, "dagger-road.svg")


def rows_of(case: str, runs: list[list[NDArray[np.float64]]]) -> list[results.Row]:
    """The rows of one case."""

    def pooled(what: Any) -> Estimate:
        return pooled_mean([np.array([float(what(one)) for one in run]) for run in runs])

    seeds = SEEDS if case != "expert" else []
    return [
        results.estimate_row(
            case, "left_road", pooled(lambda d: d.max() > HALF_ROAD_M), "share", seeds
        ),
        results.estimate_row(
            case, "off_road", pooled(lambda d: (d > HALF_ROAD_M).mean()), "share", seeds
        ),
        results.estimate_row(case, "distance_m", pooled(np.mean), "m", seeds),
    ]


@dataclass(frozen=True)
class Driven:
    """One actor on all tracks."""

    ways: dict[int, Way]
    roads: dict[int, Way]
    distances: list[NDArray[np.float64]]

    @property
    def furthest_m(self) -> list[float]:
        """Of each track."""
        return [float(one.max()) for one in self.distances]


def measured(case: str, seed: int, folder: Path) -> Driven:
    """Let one actor drive."""
    actor, task = Expert(), f"{BLIND},hold=2"
    if case != "expert":
        checkpoint = newest_checkpoint(place_of(case, seed, folder) / "run")
        assert checkpoint is not None, f"{case} {seed} is not trained"
        actor, task = Chunks(load_checkpoint(checkpoint).policy, width=WORLDS), TASK
    ways, roads = driven(actor, task)
    found = Driven(ways, roads, distances(ways, roads))
    print(case, seed, np.round(found.furthest_m, 1).tolist(), flush=True)
    return found


def telling_track(cloned: Driven, corrected: Driven) -> int:
    """The first track on which a clone gets lost and a corrected policy does not, or where the clone is furthest."""
    pairs = zip(TRACKS, cloned.furthest_m, corrected.furthest_m, strict=True)
    lost = [seed for seed, far, near in pairs if far > 2 * HALF_ROAD_M > 2 * near]
    return lost[0] if lost else TRACKS[int(np.argmax(cloned.furthest_m))]


def main() -> None:
    """Drive, draw, and write the rows."""
    parser = argparse.ArgumentParser(description="ways of car-racing")
    parser.add_argument("--folder", type=Path, required=True, help="that of car_racing.py")
    folder: Path = parser.parse_args().folder
    torch.set_num_threads(1)
    matplotlib.use("Agg")
    runs = {
        case: [measured(case, seed, folder) for seed in (SEEDS if case != "expert" else [0])]
        for case in CASES
    }
    cloned, corrected = runs["cloning-5"][0], runs["dagger"][0]
    track = telling_track(cloned, corrected)
    draw(
        cloned.roads[track],
        {"cloning-5": cloned.ways[track], "dagger": corrected.ways[track]},
        {
            case: mean_over_time([d for run in all_ for d in run.distances])
            for case, all_ in runs.items()
        },
    )
    rows = [
        row for case, all_ in runs.items() for row in rows_of(case, [r.distances for r in all_])
    ]
    results.write("car_racing_ways", "python benchmarks/car_racing_ways.py --folder runs/car", rows)


if __name__ == "__main__":
    main()
