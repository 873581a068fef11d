"""`understudy sweep POLICY`: train with many options, measure each on selection starts, keep the best."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import tyro

from understudy.cli.console import Console
from understudy.cli.evaluate import Evaluate, evaluate
from understudy.cli.options import FleetOptions, parse, plural, words_of
from understudy.cli.shares import one_bar
from understudy.cli.standings import (
    conclusion,
    points_of,
    said,
    table,
    write_best,
    write_standings,
)
from understudy.cli.train import Train, defaults_for, planned
from understudy.cli.trial import Trial
from understudy.episode import Lost
from understudy.evaluate.landscape import draw_landscape
from understudy.evaluate.measure import Report, seeds_for
from understudy.fleet import Fleet
from understudy.learn.group import ALONE
from understudy.learn.space import Range, axes_of, drawn, grid
from understudy.learn.sweep import (
    Attempt,
    Listed,
    Search,
    Standing,
    SweepConfig,
    Tried,
    stages,
    sweep,
)
from understudy.policies import find_policy
from understudy.policies.base import PolicyConfig
from understudy.run import Run, versions
from understudy.tasks import make_task

C = TypeVar("C", bound=PolicyConfig)


@dataclass(frozen=True, kw_only=True)
class Sweep(Generic[C]):
    """What to vary, how to choose, and what is the same in all trainings."""

    task: str
    """Name of the task to measure in, with options: mountain-car, pusht:observe=pixels."""
    vary: tuple[str, ...]
    """Options of training and their values, OPTION=VALUE,VALUE... or OPTION=LOW..HIGH, with :log for a wide range."""
    sweep: SweepConfig = field(default_factory=SweepConfig)
    episodes: int = 50
    """Selection starts that each training is measured on."""
    report_episodes: int = 200
    """Other starts that only the best is measured on, once it is chosen; 0: none."""
    player: Literal["chunks", "ensemble"] = "chunks"
    """Play each predicted chunk, or predict at every tick and average."""
    ground: FleetOptions = field(default_factory=FleetOptions)
    train: Train[C]


def main(arguments: Sequence[str]) -> int:
    """Sweep, or go on with one that was stopped."""
    if arguments[0] == "--resume":
        if len(arguments) < 2:
            raise ValueError("usage: understudy sweep --resume FOLDER [--workers N ...]")
        with closing(Run.open(Path(arguments[1]))) as run:
            return _resume(run, arguments[2:])
    options = parsed(arguments)
    _check(arguments[0], options)
    assert options.train.run is not None  # checked
    assert options.train.data is not None  # required
    data = options.train.data.resolve()
    plan = {"sweep": list(arguments), "data": str(data), "versions": versions()}
    with closing(Run.create(options.train.run, plan)) as run:
        return _carry_out(run, arguments[0], _placed(options, run, data))


def _resume(run: Run, further: Sequence[str]) -> int:
    """Go on with what its folder says was asked for, on the ground that is asked for now."""
    plan = run.config
    if "sweep" not in plan or "data" not in plan:
        raise ValueError(f"{run.folder} holds a run, but not of understudy sweep")
    ground = parse(FleetOptions, further, "sweep --resume FOLDER", "Go on with a sweep.")
    options = replace(parsed(plan["sweep"]), ground=ground)
    return _carry_out(run, plan["sweep"][0], _placed(options, run, Path(plan["data"])))


def _placed(options: Sweep[Any], run: Run, data: Path) -> Sweep[Any]:
    """With paths that hold in any working directory, that of a worker elsewhere too."""
    return replace(options, train=replace(options.train, data=data, run=run.folder.resolve()))


def parsed(arguments: Sequence[str]) -> Sweep[Any]:
    """Read the options of `understudy sweep POLICY`."""
    name, rest = arguments[0], arguments[1:]
    config = find_policy(name)
    train = defaults_for(config, rest, None)
    options: Sweep[Any] = parse(
        Sweep[config],
        rest,
        f"sweep {name}",
        f"Train a policy of the kind {name!r} with many options, and choose. {config.__doc__}",
        default=Sweep(task=tyro.MISSING, vary=tyro.MISSING, train=replace(train, threads=1)),
    )
    return options


def _check(name: str, options: Sweep[Any]) -> None:
    """Refuse what cannot be done before there is a folder: data, task, values at the ends of each axis."""
    if options.train.run is None:
        raise ValueError("--run FOLDER says where to keep the sweep")
    if options.train.dry_run or options.train.estimate:
        raise ValueError("--dry-run and --estimate are of one training: understudy train")
    if options.train.source is not None or options.train.freeze:
        raise ValueError("a sweep trains anew: --from and --freeze are of understudy train")
    if options.report_episodes < 0:
        raise ValueError("--report-episodes must not be negative")
    seeds_for("selection", options.episodes)
    task, axes = make_task(options.task), axes_of(options.vary)
    if options.sweep.halving and any(axis.option == "steps" for axis in axes):
        raise ValueError("--halving decides about the steps: they cannot be varied as well")
    _, _, windows, _ = planned(name, options.train, None, ALONE)  # frames are decoded once, here
    windows.spec.require(task.spec)
    if options.sweep.search != "optuna":
        _search(options, options.train.run)
    trial = _trial(name, options)
    for axis in axes:
        for word in axis.ends:
            trial.options(Attempt(0, {axis.option: word}, 0))


def _trial(name: str, options: Sweep[Any]) -> Trial:
    assert options.train.run is not None
    return Trial(
        folder=options.train.run / "trials",
        policy=name,
        base=replace(options.train, run=None, checkpoints=1),
        task=options.task,
        player=options.player,
        episodes=options.episodes,
        worlds=options.ground.worlds,
    )


def _search(options: Sweep[Any], folder: Path) -> tuple[Search, int]:
    """Who proposes configurations, and how many trainings that makes in all."""
    axes, config = axes_of(options.vary), options.sweep
    if config.search == "optuna":
        from understudy.learn.optuna_search import OptunaSearch

        seed, journal = options.train.learn.seed, folder / "optuna.jsonl"
        search = OptunaSearch(axes, config.trials, config.at_once, seed, journal)
        return search, config.trials * config.seeds
    if config.search == "grid":
        choices = grid(axes)
    else:
        choices = drawn(axes, config.trials, options.train.learn.seed)
    plan = stages(len(choices), config.halving)
    return Listed(choices), sum(count for count, _ in plan) * config.seeds


def _carry_out(run: Run, name: str, options: Sweep[Any]) -> int:
    """Do what is not done yet; says how to go on where it is interrupted."""
    try:
        with options.ground.build() as fleet:
            _swept(run, name, options, fleet)
    except KeyboardInterrupt:
        print(f"what is done is kept; go on: understudy sweep --resume {run.folder}")
        raise
    return 0


def _swept(run: Run, name: str, options: Sweep[Any], fleet: Fleet) -> None:
    """Try all, write down what it came to, measure the best."""
    config, trial = options.sweep, _trial(name, options)
    search, count = _search(options, run.folder)
    console = Console(sys.stdout)  # whatever a training here does to stdout
    console.print(f"{plural(count, 'training')} -> {run.folder}", markup=False)
    standings: Sequence[Standing] = []
    with one_bar(console, count) as bar:

        def try_out(attempts: Sequence[Attempt]) -> Iterator[Tried]:
            for result in fleet.each(trial, attempts, bar.watch):
                yield Tried(failure=result.reason) if isinstance(result, Lost) else result
            bar.turn()

        for progress in sweep(search, config, try_out):
            standings = progress.standings
            bar.say(f"{progress.stage}; best: {said(standings[0], config.by)}")
            write_standings(run.folder / "sweep.json", standings, config.by)
    log = [axis.option for axis in axes_of(options.vary) if isinstance(axis, Range) and axis.is_log]
    points, measure = points_of(standings, config.by)
    draw_landscape(run.folder / "sweep.png", points, measure, log)
    console.print(table(standings, config.by))
    best = [Attempt(standings[0].trial, standings[0].choice, n) for n in range(config.seeds)]
    runs = [trial.place(attempt) / "run" for attempt in best]
    reports = _reported(options, runs, fleet) if options.report_episodes else []
    command = _command(name, trial.options(best[0]))
    write_best(run.folder / "best.json", standings[0], config.by, runs, reports, command)
    for line in conclusion(standings, config.by, reports):
        console.print(line, markup=False)
    console.print(f"{run.folder / 'best.json'}: {command}", markup=False, soft_wrap=True)


def _reported(options: Sweep[Any], runs: Sequence[Path], fleet: Fleet) -> list[Report]:
    """What the best does on starts that nothing was chosen on, a report for each of its trainings."""
    measuring = Evaluate(
        task=options.task,
        episodes=options.report_episodes,
        player=options.player,
        videos=0,
    )
    return [evaluate(fleet, str(run), measuring, []) for run in runs]


def _command(name: str, train: Train[Any]) -> str:
    """A training as a command, with what differs from its preset."""
    plain = defaults_for(find_policy(name), ["--preset", train.preset], None)
    words = words_of(replace(train, run=Path("runs") / name, checkpoints=plain.checkpoints), plain)
    return shlex.join(["understudy", "train", name, *words])
