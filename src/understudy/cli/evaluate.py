"""`understudy evaluate ACTOR`: measure on unseen starts, compare, film, and write the report."""

from __future__ import annotations

import datetime
import re
import shlex
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from understudy.cli.console import Console
from understudy.cli.options import FleetOptions, parse, plural
from understudy.cli.shares import one_bar
from understudy.cli.usage import EVALUATE
from understudy.evaluate.compare import Comparison, compare
from understudy.evaluate.film import Film, choose, film, rendering_problem
from understudy.evaluate.measure import Report, begin, go_on, outcome_of, seeds_for
from understudy.evaluate.report import write_report
from understudy.tasks import make_task
from understudy.tasks.base import TaskConfig

if TYPE_CHECKING:  # torch, which comes with these, is not for a --help
    from understudy.fleet import ActorConfig, Fleet

# What is done of a measurement that was interrupted: the actor's, and that of the one it is held against.
UNFINISHED = ("unfinished.json", "unfinished-against.json")
KEEP_S = 0.5  # between two times of writing down what is done, and
KEEP_SHARE = 20  # as many times what that took: a long report takes long
LOST_LISTED = 5


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How to measure."""

    task: str
    """Name of a task, with options: mountain-car, pusht:observe=pixels, gym:ENV_ID."""
    episodes: int = 200
    """How many starts."""
    against: str = ""
    """A second actor on the same starts: expert, random, a run or a checkpoint."""
    out: Path | None = None
    """Folder for report.html and report.json; by default inside the run, or reports/ACTOR-TASK."""
    player: Literal["chunks", "ensemble"] = "chunks"
    """Play each predicted chunk, or predict at every tick and average."""
    execute: int | None = None
    """Actions of each chunk that are played before the next; by default as many as the policy says."""
    decay: float = 0.01
    """Of the ensemble: a prediction i ticks younger than the oldest weighs exp(-decay i)."""
    width: int = 16
    """Rows of every batch that the network sees; part of what makes results repeatable."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's products; bfloat16 reads half as much memory where weights are many."""
    purpose: Literal["report", "selection"] = "report"
    """selection: other starts (seeds 10,000 to 19,999), to choose by; a report's stay unseen."""
    videos: int = 12
    """Rollouts to film for the report, failures first; 0 for none."""
    ground: FleetOptions = field(default_factory=FleetOptions)


def main(arguments: Sequence[str]) -> int:
    """Measure, compare, film, write."""
    if arguments[0].startswith("-"):
        raise ValueError("the actor comes first: understudy evaluate ACTOR --task TASK")
    options = parse(Evaluate, arguments[1:], "evaluate ACTOR", EVALUATE.splitlines()[2])
    command = shlex.join(["understudy", "evaluate", *arguments])
    with options.ground.build() as fleet:
        evaluate(fleet, arguments[0], options, [command])
    return 0


def evaluate(fleet: Fleet, actor: str, options: Evaluate, commands: Sequence[str]) -> Report:
    """Do what `understudy evaluate` does; `commands` are what the report says repeats it."""
    import torch

    torch.set_num_threads(1)  # workers have one, and the bits of a result depend on it
    console = Console()
    task = make_task(options.task)
    configs = {name: _actor(name, options, task) for name in (actor, options.against) if name}
    problem = rendering_problem(task) if options.videos else None
    if problem:
        console.print(f"no videos: {problem}", markup=False)
    out = options.out or _default_folder(actor, options)
    reports = {
        name: measured(fleet, task, config, name, options, out / file)
        for (name, config), file in zip(configs.items(), UNFINISHED, strict=False)
    }
    report, other = reports[actor], reports.get(options.against)
    comparison = compare(report, other) if other and options.against != actor else None
    for line in filter(None, (report, other, comparison)):
        console.print(str(line), markup=False)
    report.to_json(out / "report.json")
    (out / "against.json").unlink(missing_ok=True)  # of an earlier call, with another actor
    if other is not None:
        other.to_json(out / "against.json")
    for file in UNFINISHED:
        (out / file).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        videos: list[Film] = []
        if options.videos and not problem:
            rows = choose(report, options.videos)
            videos = list(film(task, configs[actor], rows, Path(folder)))
        _write(out, report, comparison, videos, configs[actor], commands, problem)
    console.print(f"report: {out / 'report.html'}", markup=False)
    return report


def _actor(name: str, options: Evaluate, task: TaskConfig) -> ActorConfig:
    from understudy.cli.actors import stored
    from understudy.fleet import ExpertActor, PolicyActor, RandomActor

    if name == "expert":
        if not task.has_expert:
            raise ValueError(f"{options.task} has no expert")
        return ExpertActor()
    if name == "random":
        return RandomActor()
    if not Path(name).exists():
        raise ValueError(
            f"{name} does not exist; an actor is a run folder, a checkpoint folder, expert, "
            "random or a zip of stable-baselines3"
        )
    config = stored(name)
    if isinstance(config, PolicyActor):
        config = replace(
            config,
            player=options.player,
            execute=options.execute,
            decay=options.decay,
            width=options.width,
            precision=options.precision,
        )
    config.build(task.spec)  # what does not fit shows up before any work
    return config


def measured(
    fleet: Fleet,
    task: TaskConfig,
    actor: ActorConfig,
    name: str,
    options: Evaluate,
    unfinished: Path,
) -> Report:
    """Play all starts, with a bar that shows how many are done and how they went.

    What is done is kept in the file `unfinished`, from which the same measurement goes on, by the same code.
    """
    from understudy.run import versions

    with closing(task.build()) as world:  # its class may be neither ours nor the task's
        made_with = versions(type(task), type(actor), type(world.unwrapped))
    begun = begin(
        task,
        actor,
        seeds_for(options.purpose, options.episodes),
        task_name=options.task,
        actor_name=name,
        purpose=options.purpose,
        versions=made_with,
    )
    report = begun = _gone_on(begun, unfinished, actor.build(task.spec).source)
    due, console = time.monotonic() + KEEP_S, Console()
    done = len(report.rows)
    with one_bar(console, len(report.seeds), done, Path(name).name) as bar:
        outcomes = fleet.play(task, actor, begun.missing, outcome_of, watch=bar.watch)
        try:
            for report in go_on(begun, outcomes):
                now = time.monotonic()
                if now > due:
                    bar.tell(_went(report))
                    _keep(report, unfinished)
                    taken_s = time.monotonic() - now
                    due = time.monotonic() + max(KEEP_S, KEEP_SHARE * taken_s)
            bar.tell(_went(report))
        except KeyboardInterrupt:
            _keep(report, unfinished)
            kept = plural(len(report.rows), "rollout")
            bar.say(f"{kept} kept; the same command goes on from there")
            raise
    if not report.rows:
        raise RuntimeError(f"{name} played no episode to its end")
    _keep(report, unfinished)
    for lost in report.lost[:LOST_LISTED]:
        print(f"seed {lost.seed} is lost after {lost.attempts} attempts: {lost.reason}")
    return report


def _keep(report: Report, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    report.to_json(file)


def _gone_on(report: Report, unfinished: Path, source: str) -> Report:
    """The same measurement as far as it had come, if it was begun before, and nothing has changed since."""
    if not unfinished.exists():
        return report
    before = Report.from_json(unfinished)
    begun = replace(before, source="", rows=(), lost=(), versions=report.versions)
    if begun != report or before.source != source:
        return report
    done, others = plural(len(before.rows), "rollout"), _changed(before.versions, report.versions)
    if others:
        print(f"beginning anew: {done} were played with another {', '.join(others)}")
        return report
    print(f"going on: {done} of {len(report.seeds)} are done")
    return replace(before, lost=())


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What has another version; of a commit the code says more, which it may have left as it was."""
    names = (before.keys() | now.keys()) - {"commit"}
    return sorted(name for name in names if before.get(name) != now.get(name))


def _went(report: Report) -> str:
    judged = report.rows and report.rows[-1].success is not None
    succeeded = sum(bool(row.success) for row in report.rows)
    went = f"{succeeded} of {len(report.rows)} succeeded" if judged else ""
    return f"{went} {len(report.lost)} lost" if report.lost else went


def _default_folder(actor: str, options: Evaluate) -> Path:
    """A folder for each way of measuring, so that one report does not take another's place."""
    words = [re.sub(r"[^\w.-]+", "-", options.task)]
    words += [options.purpose] if options.purpose != "report" else []
    words += [options.player] if options.player != "chunks" else []
    words += [f"execute-{options.execute}"] if options.execute else []
    words += [options.precision] if options.precision != "float32" else []
    path = Path(actor)
    if (path / "run.json").is_file():
        return path / "-".join(["evaluation", *words])
    if path.parent.name == "checkpoints":
        return path.parent.parent / "-".join(["evaluation", path.name, *words])
    return Path("reports") / "-".join([path.name, *words])


def _write(
    out: Path,
    report: Report,
    comparison: Comparison | None,
    videos: Sequence[Film],
    actor: ActorConfig,
    commands: Sequence[str],
    problem: str | None,
) -> None:
    from understudy.fleet import PolicyActor
    from understudy.policies.checkpoint import load_checkpoint
    from understudy.run import read_metrics

    run: Mapping[str, Any] = {}
    curves: list[dict[str, Any]] = []
    if isinstance(actor, PolicyActor):
        provenance = load_checkpoint(actor.checkpoint).provenance
        run = provenance.get("run", {})
        curves = read_metrics(actor.checkpoint.parent.parent)
    write_report(
        out / "report.html",
        report,
        comparison=comparison,
        curves=curves,
        videos=videos,
        data_summary=_data_summary(run),
        provenance={
            "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **report.versions,
            **{key: run[key] for key in ("policy", "config", "learn") if key in run},
        },
        commands=commands,
        notes=[f"There are no videos: {problem}"] if problem else [],
    )


def _data_summary(run: Mapping[str, Any]) -> dict[str, Any]:
    """What the policy was trained on, as its run recorded it."""
    if "episodes" not in run:
        return {}
    return {
        "dataset": Path(str(run["data"])).name,
        "fingerprint": run["fingerprint"],
        "episodes learnt from": len(run["episodes"]["train"]),
        "episodes held out": len(run["episodes"]["held_out"]),
        "observations": ", ".join(run["inputs"]),
        **({"begun with": run["from"]["fingerprint"]} if run.get("from") else {}),
    }
