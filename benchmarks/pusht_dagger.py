"""PushT corrected by a stronger policy: a small flow policy of 25 demonstrations, three rounds of DAgger.

    python benchmarks/pusht_dagger.py --folder runs/pusht --out runs/pusht-dagger [--only CASE ...] [--seeds SEED ...]

Needs the runs `episodes-25` (the learner as it is in round 0) and `small-15min-0` (the expert, a policy of 199
episodes and their mirror images) of benchmarks/pusht.py in --folder. In `dagger` the two play 16 episodes a
round; for 16 ticks at a time, a chunk's length, a coin that falls for the expert with 0.7 to the power of
the round decides who acts; the expert's answer is the label of every tick. Each round goes on from the
last one's weights for 200 steps. What else might explain a gain is measured beside it: `cloning` takes the same
steps on the 25 demonstrations alone, `shown` learns from as many episodes in which the expert acts alone,
from the same starts. Nothing was chosen by trying but the coin's 16 ticks, which is the terminal's rule for
chunks. 200 starts from seed 100,000; gains are paired by training seed and start, p is of sign flips over
the starts, each with the mean of its training seeds. What lies in --out is not made again.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import results
import torch
from numpy.typing import NDArray
from terminal import run as understudy

from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.evaluate.measure import Report
from understudy.fleet import Here, PolicyActor
from understudy.learn.dagger import DaggerConfig, MixtureActor, Score, dagger
from understudy.learn.gates import BetaGate, beta
from understudy.policies.files import read_json
from understudy.run import find_checkpoint
from understudy.statistics import Estimate, Interval, mean, pooled_mean, sign_flip
from understudy.tasks import make_task

SEEDS = [0, 1, 2]
STARTS = 200
LOOKS = range(10_000, 10_016)
ROUNDS, EPISODES, STEPS = 3, 16, 200
APART = 100  # between the first starts of two training seeds
LEARNER, EXPERT = "episodes-25", "small-15min-0"
EXPERT_EXECUTES = 6  # of each chunk, as the recipe has it
TASK = make_task("pusht")


@dataclass(frozen=True)
class Case:
    """How the learner goes on."""

    decay: float | None  # of the expert's share, to the power of the round; None: nobody plays


CASES = {"dagger": Case(0.7), "cloning": Case(None), "shown": Case(1.0)}
BASE, ABOVE = "round-0", "expert"  # cases that benchmarks/pusht.py trained and measured


def demonstrations(folder: Path, out: Path, seed: int) -> Path:
    """The episodes that the learner of a training seed has learnt from, in a dataset of their own."""
    if not (done := out.with_suffix(".done")).exists():
        shutil.rmtree(out, ignore_errors=True)
        plan = read_json(folder / f"{LEARNER}-{seed}" / "run" / "run.json")
        source = Dataset.open(folder / "data")
        known = set(plan["episodes"]["train"])
        with Dataset.create(out, TASK.spec) as dataset:
            for number, name in enumerate(source.ids):
                if name in known:
                    dataset.append(source[number])
        done.touch()
    return out


def trained(place: Path, number: int, begin: Path, seed: int) -> Path:
    """The run of a round, which goes on from the weights of `begin`, a run; trained unless it is there."""
    run = place / f"round-{number}"
    if not (done := place / f"round-{number}.done").exists():
        shutil.rmtree(run, ignore_errors=True)  # begun, and stopped before its end
        understudy("train", "flow", "--data", place / "data", "--run", run, "--from", begin,
                   "--steps", STEPS, "--warmup-steps", 20, "--held-out", 0, "--seed", seed,
                   "--threads", 1, "--checkpoints", 1)  # fmt: skip
        done.touch()
    return run


def collected(
    folder: Path, case: Case, number: int, checkpoint: Path, seeds: Sequence[int]
) -> Iterator[Episode]:
    """Episodes of a round, each tick with the expert's label."""
    assert case.decay is not None
    learner = PolicyActor(checkpoint=checkpoint)
    expert = find_checkpoint(folder / EXPERT / "run")
    actor = MixtureActor(
        learner=learner,
        gate=BetaGate(share=beta("exponential", number, case.decay), hold=16),
        expert=PolicyActor(checkpoint=expert, execute=EXPERT_EXECUTES),
    )
    return Here(worlds=16).rollouts(TASK, actor, seeds)


def looked_at(number: int, checkpoint: Path) -> Score:
    """A glance at selection starts, by which nothing is chosen."""
    episodes = list(Here(worlds=16).rollouts(TASK, PolicyActor(checkpoint=checkpoint), LOOKS))
    score = mean([float(episode.rewards.max()) for episode in episodes])
    print(f"  round {number}: score {score} on selection starts", flush=True)
    return Score(None, score)


def learnt(name: str, seed: int, folder: Path, out: Path) -> Path:
    """Do all rounds of a case; returns the last round's run."""
    case, place = CASES[name], out / f"{name}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    begin = folder / f"{LEARNER}-{seed}" / "run"
    data = demonstrations(folder, place / "data", seed)
    last = place / f"round-{ROUNDS}"
    if (place / f"round-{ROUNDS}.done").exists():
        return last
    if case.decay is None:
        for number in range(1, ROUNDS + 1):
            begin = trained(place, number, begin, seed)
        return last

    def train(number: int) -> Path:
        before = place / f"round-{number - 1}" if number > 1 else begin
        return find_checkpoint(trained(place, number, before, seed) if number else begin)

    with Dataset.open(data) as dataset:
        list(dagger(
            dataset, DaggerConfig(rounds=ROUNDS, episodes=EPISODES), train=train, evaluate=looked_at,
            collect=partial(collected, folder, case), first_seed=seed * APART,
        ))  # fmt: skip
    return last


def reported(name: str, seed: int, folder: Path, out: Path) -> Report:
    """What a case came to, measured unless that is done."""
    if name in (BASE, ABOVE):
        kept = EXPERT if name == ABOVE else f"{LEARNER}-{seed}"
        return Report.from_json(folder / kept / "report" / "report.json")
    run, place = learnt(name, seed, folder, out), out / f"{name}-{seed}" / "report"
    if not (place / "report.json").exists():
        understudy("evaluate", run, "--task", "pusht", "--episodes", STARTS, "--videos", 0,
                   "--out", place)  # fmt: skip
        print(f"{name}-{seed}: {Report.from_json(place / 'report.json')}", flush=True)
    return Report.from_json(place / "report.json")


def gained(
    over: str, ours: list[Report], theirs: list[Report], seeds: list[int]
) -> list[results.Row]:
    """What DAgger has on top of another case, in score and points of success, with the paired tests."""
    score = [a.scores - b.scores for a, b in zip(ours, theirs, strict=True)]
    success = [100 * (judged(a) - judged(b)) for a, b in zip(ours, theirs, strict=True)]
    rows = []
    for metric, unit, differences in (("score", "1", score), ("success", "points", success)):
        p = sign_flip(np.mean(differences, axis=0))
        chance = Estimate(p, Interval(p, p), STARTS)
        name = f"{metric}_above_{over.replace('-', '_')}"
        rows += [
            results.estimate_row("dagger", name, pooled_mean(differences), unit, seeds),
            results.estimate_row("dagger", f"{name}_p", chance, "p", seeds),
        ]
    return rows


def judged(report: Report) -> NDArray[np.float64]:
    """Successes (STARTS,) as 0 and 1."""
    return np.asarray(report.successes, np.float64)


def main() -> None:
    """Make what is missing and write the rows."""
    parser = argparse.ArgumentParser(description="DAgger on PushT, corrected by a policy")
    parser.add_argument("--folder", type=Path, required=True, help="runs of benchmarks/pusht.py")
    parser.add_argument("--out", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", type=int, choices=SEEDS, nargs="+", default=SEEDS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {
        name: [reported(name, seed, given.folder, given.out) for seed in given.seeds]
        for name in (BASE, *given.only)
    }
    rows = []
    for name, reports in {**found, ABOVE: [reported(ABOVE, 0, given.folder, given.out)]}.items():
        seeds = [] if name == ABOVE else given.seeds
        success = pooled_mean([judged(report) for report in reports])
        score = pooled_mean([report.scores for report in reports])
        rows += [
            results.estimate_row(name, "score", score, "1", seeds),
            results.estimate_row(name, "success_rate", success, "share", seeds),
        ]
        if name == "dagger":
            for over in (BASE, *(case for case in given.only if case != name)):
                rows += gained(over, reports, found[over], seeds)
    command = "python benchmarks/pusht_dagger.py --folder runs/pusht --out runs/pusht-dagger"
    if given.only != list(CASES):
        command += f" --only {' '.join(given.only)}"
    if given.seeds != SEEDS:
        command += f" --seeds {' '.join(map(str, given.seeds))}"
    results.write("pusht_dagger", command, rows)


if __name__ == "__main__":
    main()
