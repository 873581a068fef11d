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
from understudy.run import Run, checkpoints, find_checkpoint, versions

C = TypeVar("C", bound=PolicyConfig)
RUN_KEYS = (
    "policy",
    "config",
    "learn",
    "data",
    "episodes",
    "inputs",
    "checkpoints",
    "threads",
    "tensorboard",
)


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

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < 1:
            raise ValueError(f"--held-out {self.held_out} must lie in 0..1, without 1")
        if self.checkpoints < 1 or self.threads < 0:
            raise ValueError("--checkpoints must be at least 1 and --threads at least 0")


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
    # What is wrong with the data or the options shows up before there is a run.
    windows, _ = _windows(run_config, options.policy, options.learn, dataset)
    options.policy.build(windows.spec)
    run = Run.create(options.run, run_config)
    return _train(run, dataset)


def _help() -> str:
    lines = [f"  {name:<12}{_summary(name)}" for name in policy_names()]
    return (
        "usage: understudy train POLICY --data DATASET --run FOLDER [OPTIONS]\n"
        "       understudy train --resume RUN\n\n"
        "Learn a policy from demonstrations.\n\npolicies:\n"
        + "\n".join(lines)
        + "\n\nunderstudy train POLICY --help lists the options of a policy and of training."
    )


def _summary(name: str) -> str:
    """First line of a policy's description; one that does not load is no reason to show none."""
    try:
        return (find_policy(name).__doc__ or "").partition("\n")[0]
    except (ImportError, AttributeError) as error:
        return f"does not load: {error}"


def _readable(config: PolicyConfig, dataset: Dataset) -> list[str]:
    """Observations that the policy can read."""
    spec = dataset.spec
    return list(spec.observations if config.reads_cameras else spec.vectors)


def _episodes(options: Train[Any], dataset: Dataset) -> dict[str, list[str]]:
    """Ids of the episodes to learn from and to hold out."""
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
    return {
        "train": [dataset.ids[i] for i in train],
        "held_out": [dataset.ids[i] for i in held_out],
    }


def _windows(
    run: dict[str, Any], config: PolicyConfig, learning: LearnConfig, dataset: Dataset
) -> tuple[Windows, Windows | None]:
    """Training and held-out windows; raises ValueError on data that cannot be learnt from."""
    train, apart = (_numbers(run, part, dataset) for part in ("train", "held_out"))
    spec = dataset.spec.only(run["inputs"])
    if not spec.observations:
        raise ValueError(f"{run['policy']} can read none of {list(dataset.spec.observations)}")
    frames = None
    if spec.cameras:
        from understudy.data.frames import FrameCache

        frames = FrameCache.build(dataset, spec.cameras, episodes=[*train, *apart])

    def windows(episodes: list[int]) -> Windows:
        return Windows(
            dataset,
            history=config.history,
            horizon=config.horizon,
            spec=spec,
            episodes=episodes,
            batch_size=learning.batch_size,
            seed=learning.seed,
            frames=frames,
        )

    return windows(train), windows(apart) if apart else None


def _numbers(run: dict[str, Any], part: str, dataset: Dataset) -> list[int]:
    """Numbers of the episodes that a run pinned by id; raises ValueError when one is gone."""
    numbers = {id: i for i, id in enumerate(dataset.ids)}
    wanted = run["episodes"][part]
    gone = [id for id in wanted if id not in numbers]
    if gone:
        raise ValueError(
            f"{run['data']} no longer holds {plural(len(gone), 'episode')} that the run began with, "
            f"the first is {gone[0]}: a run goes on only with the data that it began with"
        )
    return [numbers[id] for id in wanted]


def _resume(folder: Path) -> int:
    """Go on from the newest checkpoint, or from the beginning if there is none yet."""
    run = Run.open(folder)
    return _train(run, Dataset.open(Path(str(run.config.get("data", "")))))


def _train(run: Run, dataset: Dataset) -> int:
    """Train to the end, or until interrupted; everything needed is in the run folder."""
    config = run.config
    where = str(run.folder / "run.json")
    missing = [key for key in RUN_KEYS if key not in config]
    if missing:
        raise ValueError(
            f"{where} lacks {', '.join(missing)}: it is damaged, or no run of training"
        )
    learning = from_plain(LearnConfig, config["learn"], where)
    policy_config = from_plain(find_policy(config["policy"]), config["config"], where)
    windows, held_out = _windows(config, policy_config, learning, dataset)
    torch.manual_seed(learning.seed)
    policy = policy_config.build(windows.spec)
    state = None
    newest = next(reversed([*checkpoints(run.folder)]), None)
    if newest is None:
        run.forget_after(0)
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
    todo = plural(learning.steps, "step") if size else "nothing to optimise, the data are kept"
    print(
        f"{config['policy']}: {plural(size, 'parameter')}, {plural(windows.episode_count, 'episode')}, "
        f"{plural(len(windows), 'window')}, {todo} -> {run.folder}"
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
        trains = any(p.requires_grad for p in policy.parameters())
        line = bar.add_task("", total=learning.steps, loss="", visible=trains)
        try:
            for last in reports:
                bar.update(line, completed=last.step, loss=_line(last))
                if last.is_due:
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
