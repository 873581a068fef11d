"""CarRacing-v3: what drawing costs, the scripted driver, cloning it from pictures, and DAgger.

    python benchmarks/car_racing.py --folder runs/car [--only CASE ...] [--seeds SEED ...]

The demonstrations are laps of the expert, from seeds 0 on, at 25 commands a second: 20 of them, and 5,
as many as the first demonstrations of this kind. The expert is measured on 100 tracks from seed 100,000,
without pictures; what is learnt on the same tracks, with each of three training seeds. DAgger begins
with the 5 laps, and in 5 rounds of 5 laps lets the learner drive and learns what the expert would have
done, each round from the weights of the last; it is compared with cloning those 5 laps, and with cloning
20, by the same tracks (p is that of the paired test, on the means of the training seeds). Minutes are the
processor time of collecting and training on one thread. What lies in --folder is not made again, so that
cases and seeds can run apart; the rows of cases that are whole are written. `recipe.json` beside each
run says how it was trained and at which commit, and a run of another recipe is refused. Drawing is timed
on frames of the expert's first lap, Gymnasium's picture and ours in turn.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results
import torch  # noqa: F401  (its version belongs to the result)
from pusht import understudy

from understudy.data.formats.car_racing import MIRROR, MIRROR_PICTURES
from understudy.evaluate.measure import Report
from understudy.statistics import Estimate, Interval, paired_test, pooled_mean
from understudy.tasks import make_task

BLIND = "car-racing:observe=state"  # draws nothing
TASK = "car-racing:hold=2"
TRACKS = 100
SEEDS = [0, 1, 2]
STEPS = "2000"
NETWORK = ("--inputs", "observation.image", "--mirror", *MIRROR, "--mirror-pictures", MIRROR_PICTURES,
           "--channels", "16", "32", "64", "64", "64", "--threads", "1", "--held-out", "0")  # fmt: skip
FRAMES = 60  # that are drawn for the timing


@dataclass(frozen=True)
class Case:
    """How one row is learnt and measured."""

    learn: str  # nothing, train or dagger
    task: str
    options: tuple[str, ...] = ()
    laps: int = 20
    seeds: tuple[int, ...] = tuple(SEEDS)


CASES = {
    "drawing": Case("nothing", "car-racing", seeds=(0,)),
    "expert": Case("nothing", BLIND, seeds=(0,)),
    "expert-25hz": Case("nothing", f"{BLIND},hold=2", seeds=(0,)),
    "cloning": Case("train", TASK, (*NETWORK, "--steps", STEPS)),
    "cloning-5": Case("train", TASK, (*NETWORK, "--steps", STEPS), laps=5),
    "dagger": Case("dagger", TASK, (*NETWORK, "--steps", STEPS, "--beta", "zero", "--rounds", "5",
                                    "--episodes", "5", "--fine-tune", "--round-steps", "600",
                                    "--starts", "5", "--worlds", "5"), laps=5),
}  # fmt: skip


def demonstrations(laps: int, folder: Path) -> Path:
    """The expert's laps, recorded unless they are there."""
    place = folder / f"laps-{laps}"
    if not minutes_of_collecting(laps, folder).exists():
        used = understudy("collect", "--task", TASK, "--episodes", laps, "--keep", "all",
                          "--worlds", 1, "--out", place, log=folder / f"laps-{laps}.log")  # fmt: skip
        minutes_of_collecting(laps, folder).write_text(json.dumps(used))
    return place


def minutes_of_collecting(laps: int, folder: Path) -> Path:
    """What recording took."""
    return folder / f"laps-{laps}.minutes"


def measure(name: str, seed: int, folder: Path) -> None:
    """Learn and evaluate, unless that is done."""
    case, place = CASES[name], place_of(name, seed, folder)
    place.mkdir(parents=True, exist_ok=True)
    require_same_recipe(case, place)
    if name == "drawing":
        if not (place / "drawing.json").exists():
            (place / "drawing.json").write_text(json.dumps(drawing_ms()))
        return
    actor = "expert"
    if case.learn != "nothing":
        actor = place / "run"
        if not (place / "minutes.json").exists():
            (place / "minutes.json").write_text(json.dumps(learn(case, seed, folder, place)))
    if not report_of(place).exists():
        understudy("evaluate", actor, "--task", case.task, "--episodes", TRACKS, "--videos", 0,
                   "--worlds", 4, "--out", place / "report", log=place / "evaluate.log")  # fmt: skip
    print(name, seed, Report.from_json(report_of(place)).mean_score, flush=True)


def place_of(name: str, seed: int, folder: Path) -> Path:
    """Where a run is kept."""
    return folder / f"{name}-{seed}"


def report_of(place: Path) -> Path:
    """What was measured of a run."""
    return place / "report" / "report.json"


def require_same_recipe(case: Case, place: Path) -> None:
    """Note how a run is made; raises ValueError where one of another recipe lies in its place."""
    recipe = json.loads(json.dumps({"case": asdict(case), "tracks": TRACKS}))
    kept = place / "recipe.json"
    if not kept.exists():
        kept.write_text(json.dumps({**recipe, "commit": results.commit()}, indent=1))
    found = json.loads(kept.read_text())
    if {key: found[key] for key in recipe} != recipe:
        raise ValueError(f"{place} was made otherwise, see its recipe.json: remove it")


def learn(case: Case, seed: int, folder: Path, place: Path) -> float:
    """Train one policy, or go on with it; returns the minutes, of the last call alone if there were several."""
    data, log = demonstrations(case.laps, folder), place / f"{case.learn}.log"
    if (place / "run").exists():
        return understudy(case.learn, "--resume", place / "run", log=log)
    task = ("--task", case.task) if case.learn == "dagger" else ()
    return understudy(case.learn, "cnn", *task, "--data", data, "--run", place / "run",
                      *case.options, "--seed", seed, log=log)  # fmt: skip


def drawing_ms() -> dict[str, list[float]]:
    """Processor milliseconds of each of FRAMES pictures and of the physics, by what draws."""
    world = make_task(CASES["drawing"].task).build()
    blind = make_task(BLIND).build()
    times: dict[str, list[float]] = {"gymnasium": [], "ours": [], "physics": [], "expert": []}
    for one in (world, blind):
        one.reset(seed=0)
    race: Any = world.unwrapped
    picture = world.get_wrapper_attr("_picture")
    for _ in range(10 * FRAMES):
        action = _timed(times["expert"], blind.get_wrapper_attr("expert_action"))
        _timed(times["physics"], lambda: blind.step(action))  # noqa: B023  (called at once)
        world.step(action)
        if len(times["expert"]) % 10 == 0:
            _timed(times["gymnasium"], lambda: type(race)._render(race, "state_pixels"))
            _timed(times["ours"], picture.paint)
    return times


def _timed(times: list[float], call):
    began = time.process_time()
    answer = call()
    times.append(1000 * (time.process_time() - began))
    return answer


def rows_of(name: str, folder: Path) -> list[results.Row]:
    """Rows of a case, none unless all of its seeds are there."""
    case = CASES[name]
    places = [place_of(name, seed, folder) for seed in case.seeds]
    if name == "drawing":
        return drawing_rows(places[0] / "drawing.json")
    if not all(report_of(place).exists() for place in places):
        return []
    reports = [Report.from_json(report_of(place)) for place in places]
    learnt = list(case.seeds) if case.learn != "nothing" else []
    returns = pooled_mean([report.scores for report in reports])
    laps = pooled_mean([np.asarray(report.successes) for report in reports])
    rows = [
        results.estimate_row(name, "return", returns, "return", learnt),
        results.estimate_row(name, "lap_rate", laps, "share", learnt),
    ]
    if not learnt:
        return rows
    minutes = [minutes_of(name, seed, folder) for seed in case.seeds]
    rows.append(results.median_row(name, "train_minutes", minutes, "min", learnt))
    return [*rows, *compared(name, returns, folder)]


def minutes_of(name: str, seed: int, folder: Path) -> float:
    """Of collecting the demonstrations and of learning."""
    return sum(
        json.loads(file.read_text())
        for file in (
            minutes_of_collecting(CASES[name].laps, folder),
            place_of(name, seed, folder) / "minutes.json",
        )
    )


def compared(name: str, returns: Estimate, folder: Path) -> list[results.Row]:
    """The share of the expert's return, and what DAgger returns above cloning."""
    rows = []
    expert = report_of(place_of("expert-25hz", 0, folder))
    if expert.exists():
        whole = Report.from_json(expert).mean_score.value  # whose own interval is 5 wide
        low, high = returns.interval.low / whole, returns.interval.high / whole
        share = Estimate(returns.value / whole, Interval(low, high), returns.n)
        rows.append(results.estimate_row(name, "share_of_expert", share, "share", SEEDS))
    for other in ("cloning-5", "cloning") if name == "dagger" else ():
        files = [report_of(place_of(other, seed, folder)) for seed in SEEDS]
        if all(file.exists() for file in files):
            rows += above(name, other, folder)
    return rows


def above(name: str, other: str, folder: Path) -> list[results.Row]:
    """What one case returns above another on the same tracks, and the paired test."""
    mine, theirs = (
        [Report.from_json(report_of(place_of(case, seed, folder))).scores for seed in SEEDS]
        for case in (name, other)
    )
    metric = f"return_above_{other.replace('-', '_')}"
    difference = pooled_mean([a - b for a, b in zip(mine, theirs, strict=True)])
    p = paired_test(np.mean(mine, axis=0), np.mean(theirs, axis=0))
    return [
        results.estimate_row(name, metric, difference, "return", SEEDS),
        results.estimate_row(name, f"{metric}_p", Estimate(p, Interval(p, p), TRACKS), "p", SEEDS),
    ]


def drawing_rows(file: Path) -> list[results.Row]:
    """Milliseconds by part, and how many times quicker the picture is."""
    if not file.exists():
        return []
    times = json.loads(file.read_text())
    rows = [
        results.median_row("drawing", f"{part}_ms", values, "ms", [])
        for part, values in times.items()
    ]
    ratios = [old / new for old, new in zip(times["gymnasium"], times["ours"], strict=True)]
    return [*rows, results.median_row("drawing", "ratio_to_gymnasium", ratios, "ratio", [])]


def commits_of(name: str, folder: Path) -> str:
    """The commit, or commits, at which a case was measured."""
    files = [place_of(name, seed, folder) / "recipe.json" for seed in CASES[name].seeds]
    return ", ".join(sorted({json.loads(file.read_text())["commit"] for file in files}))


def main() -> None:
    """Make what is missing and write the rows of what is whole."""
    parser = argparse.ArgumentParser(description="car-racing")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=SEEDS)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        for seed in CASES[name].seeds:
            if seed in given.seeds:
                measure(name, seed, given.folder)
    found = {name: rows_of(name, given.folder) for name in given.only}
    commits = {name: commits_of(name, given.folder) for name in found if found[name]}
    rows = [row for part in found.values() for row in part]
    if rows:
        command = "python benchmarks/car_racing.py --folder runs/car"
        results.write("car_racing", command, rows, list(CASES), commits)


if __name__ == "__main__":
    main()
