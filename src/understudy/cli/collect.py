"""`understudy collect`: record demonstrations of a task, by its expert or by a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from understudy.actor import EXPERT_ACTION
from understudy.cli.options import FleetOptions, parse, plural
from understudy.cli.shares import watched
from understudy.data.store import Dataset
from understudy.episode import Episode, Lost
from understudy.spec import Spec
from understudy.tasks import make_task, task_names
from understudy.tasks.base import TaskConfig

if TYPE_CHECKING:  # a --help needs no devices
    from understudy.cli.teleoperate import Device
    from understudy.fleet import ActorConfig

SEEDS_MOST = 10_000  # demonstrations begin from seeds 0 to 9,999; reports from 100,000


@dataclass(frozen=True, kw_only=True)
class Collect:
    """What to record."""

    task: str
    """Name of a task, with options: mountain-car, pusht:observe=pixels."""
    out: Path
    """Folder of the dataset; one that exists is appended to, if it fits."""
    episodes: int = 100
    """How many to record."""
    seed: int = 0
    """Seed of the first episode, 0..9999; each next one takes the next."""
    device: Literal["expert", "keyboard", "sliders", "bullet-sliders", "gamepad", "draw"] = "expert"
    """Who shows it: the task's expert, a person at the keys, sliders or gamepad of a window, or at the sliders of
    PyBullet's own, or the expert on curves that a person draws."""
    expert: str = ""
    """A run, a checkpoint or a zip of stable-baselines3 whose policy shows it, in the place of the task's expert."""
    script: Path | None = None
    """What hands do, from a file in the place of a window: a JSON list of [moment, what, name, value], such as
    [0, "down", "q"] or [3, "slide", "x", 0.5]."""
    keep: Literal["all", "successes"] = "successes"
    """Which episodes are kept; where a task does not judge, all are."""
    ground: FleetOptions = field(default_factory=FleetOptions)
    codec: Literal["h264", "av1"] = "h264"
    """Of the videos, where the task has cameras."""


def main(arguments: Sequence[str]) -> int:
    """Record as many episodes as asked for and keep those that are to be kept."""
    options = parse(
        Collect,
        arguments,
        "collect",
        f"Record demonstrations of a task. Tasks: {', '.join(task_names())}.",
    )
    task = make_task(options.task)
    if options.device == "expert" and not (options.expert or task.has_expert):
        raise ValueError(
            f"{options.task} has no expert to record; show it yourself with --device keyboard, let a "
            "policy show it with --expert RUN, or bring demonstrations in with `understudy data import`"
        )
    if options.episodes < 1 or not 0 <= options.seed <= SEEDS_MOST - options.episodes:
        raise ValueError(
            f"seeds {options.seed} to {options.seed + options.episodes - 1} are not all within "
            f"0..{SEEDS_MOST - 1}, which is where demonstrations begin"
        )
    if options.device != "expert":
        if options.expert:
            raise ValueError(
                f"either --device {options.device} or --expert {options.expert}: one shows it"
            )
        return _by_hand(options, options.device, task)
    if options.script:
        raise ValueError(
            "--script stands for hands, so it needs a --device for them: keyboard, sliders, gamepad, draw"
        )
    from understudy.fleet import whole  # not for a --help: torch comes with it

    actor = _expert(options, task)
    dataset = _dataset(options, task.spec)
    known = _seeds(dataset)
    clash = sorted(known & set(range(options.seed, options.seed + options.episodes)))
    if clash:
        raise ValueError(
            f"{options.out} has episodes of seeds {clash[0]} to {clash[-1]} already: "
            f"continue with --seed {max(known) + 1}"
        )
    seeds = range(options.seed, options.seed + options.episodes)
    workshop = dataset.workshop() if task.spec.cameras else None
    play = partial(options.ground.build().play, task, actor, seeds, whole, workshop)
    results = watched(f"collecting {options.task}", len(seeds), play)
    episodes, judged = _record(results, dataset, options)
    went = f", {sum(judged)} succeeded" if judged else ""
    print(
        f"{plural(episodes, 'episode')} played{went}; {options.out} now holds "
        f"{plural(len(dataset), 'episode')}, {plural(int(dataset.lengths.sum()), 'tick')}"
    )
    return 0


def _expert(options: Collect, task: TaskConfig) -> ActorConfig:
    """Who shows it; one that cannot act says so before there is a folder."""
    from understudy.cli.actors import stored
    from understudy.fleet import ExpertActor

    if options.expert:
        policy = stored(options.expert)
        policy.build(task.spec)
        return policy
    with closing(task.build()) as world:
        world.reset(seed=options.seed)
        world.get_wrapper_attr(EXPERT_ACTION)()
    return ExpertActor()


def _by_hand(options: Collect, device: Device | Literal["draw"], task: TaskConfig) -> int:
    from understudy.cli.teleoperate import draw, teleoperate

    if options.ground != FleetOptions():
        raise ValueError(
            f"--device {device}: one person leads one world, so no --workers or --worlds"
        )

    def opened() -> tuple[Dataset, list[int]]:
        dataset = _dataset(options, task.spec)
        known = _seeds(dataset)
        return dataset, [seed for seed in range(options.seed, SEEDS_MOST) if seed not in known]

    if device == "draw":
        draw(task, opened, options.episodes, options.keep, options.script)
    else:
        teleoperate(task, device, opened, options.episodes, options.keep, options.script)
    print(f"{options.out} now holds {plural(len(Dataset.open(options.out)), 'episode')}")
    return 0


def _seeds(dataset: Dataset) -> set[int]:
    """The seeds that a dataset has episodes of."""
    return {seed for seed in dataset.seeds if seed is not None}


def _dataset(options: Collect, spec: Spec) -> Dataset:
    if (options.out / "meta").exists():
        dataset = Dataset.open(options.out)
        dataset.spec.require(spec)
        return dataset
    return Dataset.create(options.out, spec, options.codec)


def _record(
    results: Iterator[Episode | Lost], dataset: Dataset, options: Collect
) -> tuple[int, list[bool]]:
    """Append what is to be kept; returns how many were played, and what the world judged of them."""
    episodes, kept = 0, 0
    judged: list[bool] = []
    for result in results:
        if isinstance(result, Lost):
            print(f"seed {result.seed} is lost after {result.attempts} attempts: {result.reason}")
            continue
        episodes += 1
        judged += [] if result.success is None else [result.success]
        if options.keep == "all" or result.success is not False:
            dataset.append(result)
            kept += 1
        else:
            dataset.discard(result)
    if not kept:
        raise RuntimeError(
            f"none of {plural(episodes, 'episode')} succeeded, so none was kept: --keep all keeps what fails"
        )
    return episodes, judged
