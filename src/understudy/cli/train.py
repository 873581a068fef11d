"""`understudy train POLICY`: learn from demonstrations, with a bar, checkpoints and a way back."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from understudy.cli.options import parse, plural
from understudy.config import from_plain, to_plain
from understudy.data.store import Dataset
from understudy.data.windows import Windows
from understudy.learn import supervised
from understudy.learn.resume import read_state, state_files
from understudy.learn.supervised import DivergedError, LearnConfig, averaged_weights, learn
from understudy.policies import find_policy, policy_names
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.checkpoint import load_checkpoint
from understudy.run import Run, find_checkpoint, versions

C = TypeVar("C", bound=PolicyConfig)


@dataclass(frozen=True, kw_only=True)
class Train(Generic[C]):
    """What to learn, and from what."""

    data: Path
    """Folder of the dataset."""
    run: Path
    """Folder that the run is kept in; must be new."""
    policy: C
    learn: LearnConfig = field(default_factory=LearnConfig)
    inputs: tuple[str, ...] = ()
    """Observations that the policy sees; all that it can read by default."""
    train_episodes: int | None = None
    """Learn from this many episodes, drawn at random by the seed; the rest is left out."""
    held_out: float = 0.1
    """Share of the episodes that is kept aside to measure the loss on; 0 for none."""
    checkpoints: int = 5
    """How many times to save, evenly over the run; the newest three are kept."""
    threads: int = 0
    """Processor threads; 0: one for small networks, else all."""
    tensorboard: bool = False
    """Write TensorBoard's files as well."""


def main(arguments: Sequence[str]) -> int:
    """Train a policy, or go on with a run that was stopped: `train --resume RUN`."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] == "--resume":
        if len(arguments) != 2:
            raise ValueError("usage: understudy train --resume RUN")
        return _resume(Path(arguments[1]))
    name, rest = arguments[0], arguments[1:]
    config = find_policy(name)
    options: Train[Any] = parse(
        Train[config],
        rest,
        f"train {name}",
        f"Learn a policy of the kind {name!r}. {config.__doc__}",
    )
    dataset = Dataset.open(options.data)
    run_config = {
        "policy": name,
        "config": to_plain(options.policy),
        "learn": to_plain(options.learn),
        "data": str(options.data.resolve()),
        "fingerprint": dataset.fingerprint,
        "episodes": _episodes(options, dataset),
        "inputs": list(options.inputs) or _readable(options.policy, dataset),
        "held_out": options.held_out,
        "checkpoints": options.checkpoints,
        "threads": options.threads,
        "tensorboard": options.tensorboard,
        "versions": versions(),
    }
    _windows(run_config, options.policy, options.learn, dataset)  # what is wrong shows up here
    run = Run.create(options.run, run_config)
    return _train(run, dataset)


def _help() -> str:
    lines = [
        f"  {name:<12}{(find_policy(name).__doc__ or '').splitlines()[0]}"
        for name in policy_names()
    ]
    return (
        "usage: understudy train POLICY --data DATASET --run FOLDER [OPTIONS]\n"
        "       understudy train --resume RUN\n\n"
        "Learn a policy from demonstrations.\n\npolicies:\n"
        + "\n".join(lines)
        + "\n\nunderstudy train POLICY --help lists the options of a policy and of training."
    )


def _readable(config: PolicyConfig, dataset: Dataset) -> list[str]:
    """Observations that the policy can read."""
    spec = dataset.spec
    return list(spec.observations if config.reads_cameras else spec.vectors)


def _episodes(options: Train[Any], dataset: Dataset) -> dict[str, list[int]]:
    """Numbers of the episodes to learn from and to hold out."""
    train, held_out = dataset.split(options.held_out, options.learn.seed)
    if options.train_episodes is not None:
        if not 1 <= options.train_episodes <= len(train):
            raise ValueError(
                f"--train-episodes {options.train_episodes} outside 1..{len(train)}, which is what "
                f"--held-out {options.held_out} leaves of {plural(len(dataset), 'episode')}"
            )
        order = torch.randperm(
            len(train), generator=torch.Generator().manual_seed(options.learn.seed)
        )
        train = sorted(int(train[i]) for i in order[: options.train_episodes])
    return {"train": [int(i) for i in train], "held_out": [int(i) for i in held_out]}


def _windows(
    run: dict[str, Any], config: PolicyConfig, learning: LearnConfig, dataset: Dataset
) -> tuple[Windows, Windows | None]:
    """Training and held-out windows; raises ValueError on data that cannot be learnt from."""
    if dataset.fingerprint != run["fingerprint"]:
        raise ValueError(
            f"{run['data']} has changed since the run began: fingerprint {dataset.fingerprint}, "
            f"then {run['fingerprint']}. A run goes on only with the data that it began with"
        )
    spec = dataset.spec.only(run["inputs"])
    if not spec.observations:
        raise ValueError(f"{run['policy']} can read none of {list(dataset.spec.observations)}")
    chosen = [*run["episodes"]["train"], *run["episodes"]["held_out"]]
    frames = None
    if spec.cameras:
        from understudy.data.frames import FrameCache

        frames = FrameCache.build(dataset, spec.cameras, episodes=chosen)
    made = [
        Windows(
            dataset,
            history=config.history,
            horizon=config.horizon,
            spec=spec,
            episodes=episodes,
            batch_size=learning.batch_size,
            seed=learning.seed,
            frames=frames,
        )
        for episodes in (run["episodes"]["train"], run["episodes"]["held_out"])
        if episodes
    ]
    return made[0], made[1] if len(made) > 1 else None


def _resume(folder: Path) -> int:
    """Go on from the newest checkpoint, or from the beginning if there is none yet."""
    run = Run.open(folder)
    return _train(run, Dataset.open(Path(run.config["data"])))


def _train(run: Run, dataset: Dataset) -> int:
    """Train to the end, or until interrupted; everything needed is in the run folder."""
    config = run.config
    where = str(run.folder / "run.json")
    learning = from_plain(LearnConfig, config["learn"], where)
    policy_config = from_plain(find_policy(config["policy"]), config["config"], where)
    windows, held_out = _windows(config, policy_config, learning, dataset)
    torch.manual_seed(learning.seed)
    policy = policy_config.build(windows.spec)
    state = None
    try:
        newest = find_checkpoint(run.folder)
    except ValueError:
        policy.prepare(windows)
    else:
        policy = load_checkpoint(newest).policy
        state = read_state(newest)
        run.forget_after(state.step)
        print(f"going on from step {state.step:,}")
    size = sum(p.numel() for p in policy.parameters())
    torch.set_num_threads(config["threads"] or (1 if size < 1_000_000 else torch.get_num_threads()))
    if config["tensorboard"]:
        run.write_tensorboard()
    print(
        f"{config['policy']}: {plural(size, 'parameter')}, {plural(windows.episode_count, 'episode')}, "
        f"{plural(len(windows), 'window')}, {plural(learning.steps, 'step')} -> {run.folder}"
    )
    reports = learn(policy, windows, learning, held_out, state)
    return _follow(run, config, policy, learning, reports)


def _follow(
    run: Run,
    config: dict[str, Any],
    policy: Policy,
    learning: LearnConfig,
    reports: Iterator[supervised.Progress],
) -> int:
    """Log, save and draw what the learner reports."""
    every = max(1, learning.steps // max(1, config["checkpoints"]))
    saved, last = -1, None

    def save(report: supervised.Progress) -> None:
        weights = averaged_weights(policy, report.state)
        run.save(report.step, config["policy"], policy, weights, state_files(report.state))

    with _bar() as bar, _interruptible() as interrupted:
        line = bar.add_task("", total=learning.steps, loss="")
        try:
            for last in reports:
                bar.update(line, completed=last.step, loss=_line(last))
                if last.held_out is not None or last.step % learning.report_every == 0:
                    run.log(_row(last))
                if last.step // every > max(saved, 0) // every or interrupted:
                    save(last)
                    saved = last.step
                if interrupted:
                    break
        except DivergedError:
            run.close()
            raise
    if last is not None and saved != last.step:
        save(last)
    run.close()
    if interrupted and last is not None and last.step < learning.steps:
        print(
            f"interrupted at step {last.step:,}; saved. Go on: understudy train --resume {run.folder}"
        )
        return 130
    print(f"done: {find_checkpoint(run.folder)}")
    return 0


def _row(report: supervised.Progress) -> dict[str, Any]:
    held_out = {f"held_out_{name}": value for name, value in (report.held_out or {}).items()}
    return {
        "step": report.step,
        **report.losses,
        **held_out,
        "learning_rate": report.learning_rate,
        "samples_per_s": round(report.samples_per_s),
        "waiting": round(report.waiting, 3),
        "skipped": report.state.skipped,
    }


def _line(report: supervised.Progress) -> str:
    losses = "  ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    return f"{losses}  {report.samples_per_s:,.0f} samples/s"


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        BarColumn(),
        TextColumn("{task.fields[loss]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Within, a first Ctrl+C (or SIGTERM) fills the list that is given; a second one interrupts."""
    received: list[int] = []

    def note(number: int, _: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    before = {n: signal.signal(n, note) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
