"""`understudy train POLICY`: learn from demonstrations, with a bar, checkpoints and a way back."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import torch
import tyro

from understudy.cli.fine_tune import Source, begun, source_of, taken_from
from understudy.cli.options import parse, plural
from understudy.cli.rehearse import estimate, rehearse
from understudy.cli.session import (
    carry_out,
    insist_on_the_same_bits,
    threads_for,
    windows_for,
)
from understudy.config import to_plain
from understudy.data.store import Dataset
from understudy.data.symmetry import MirrorConfig
from understudy.data.windows import Windows
from understudy.learn.clone import readable, with_tasks
from understudy.learn.group import ALONE, Group, joined
from understudy.learn.supervised import LearnConfig, native_precision
from understudy.names import unknown
from understudy.policies import find_policy
from understudy.policies.base import PolicyConfig
from understudy.policies.one_step import OneStepConfig
from understudy.run import Run, find_checkpoint, versions

C = TypeVar("C", bound=PolicyConfig)


@dataclass(frozen=True, kw_only=True)
class Train(Generic[C]):
    """What to learn, and from what."""

    data: Annotated[
        Path | None,
        tyro.conf.arg(
            constructor=Path,
            metavar="PATH",
            help_behavior_hint="(default: none, the task's expert shows it)",
        ),
    ]
    """Folder of the dataset."""
    policy: C
    run: Annotated[Path | None, tyro.conf.arg(constructor=Path, metavar="PATH")] = None
    """Folder that the run is kept in; must be new."""
    preset: str = "small"
    """Values that belong together: small (for two cores) or paper (as published); options override."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Begin with the weights of this run or checkpoint; the policy's options are its own unless given."""
    freeze: tuple[str, ...] = ()
    """With --from: parts whose weights stay as they are, such as network or head; a wrong name lists them."""
    learn: LearnConfig = field(default_factory=LearnConfig)
    mirror: MirrorConfig = field(default_factory=MirrorConfig)
    inputs: tuple[str, ...] = ()
    """Observations that the policy sees; all that it can read by default."""
    frames_gb: float = 0
    """Disk for decoded frames; what needs more is decoded anew in each epoch. 0: as much as there is."""
    train_episodes: int | None = None
    """Learn from this many episodes, drawn at random by the seed; the rest is left out."""
    held_out: float = 0.1
    """Share of the episodes that is kept aside to measure the loss on; 0 for none."""
    checkpoints: int = 5
    """How many times to save, evenly over the run."""
    keep: int = 3
    """How many checkpoints stay, the newest; 0: all."""
    threads: int = 0
    """Processor threads; 0: one for small networks, else all."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto: on a GPU if there is one."""
    deterministic: bool = False
    """Take only operations that give the same bits every time; on a processor all do."""
    tensorboard: bool = False
    """Write TensorBoard's files as well."""
    dry_run: bool = False
    """Build everything, train on one batch, save, load and predict, in a folder that is thrown away."""
    estimate: bool = False
    """Say how large the policy is and how long its training would take, and do not train."""

    def __post_init__(self) -> None:
        if not 0 <= self.frames_gb < math.inf:
            raise ValueError(f"--frames-gb {self.frames_gb} must not be negative")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"--held-out {self.held_out} must lie in 0..1, without 1")
        if self.checkpoints < 1 or self.threads < 0 or self.keep < 0:
            raise ValueError(
                "--checkpoints must be at least 1, --threads and --keep must be at least 0"
            )


def main(arguments: Sequence[str]) -> int:
    """Train a policy, or go on with a run that was stopped: `train --resume RUN`."""
    if arguments[0] == "--resume":
        if len(arguments) != 2:
            raise ValueError("usage: understudy train --resume RUN")
        return _resume(Path(arguments[1]))
    name, rest = arguments[0], arguments[1:]
    config = find_policy(name)
    source = source_of(name, rest)
    options: Train[Any] = parse(
        Train[config],
        rest,
        f"train {name}",
        f"Learn a policy of the kind {name!r}. {config.__doc__}",
        default=defaults_for(config, rest, source),
    )
    if options.freeze and source is None:
        raise ValueError("--freeze keeps the weights of another policy: --from says of which")
    with joined() as group:
        if options.dry_run or options.estimate:
            return 0 if group.rank else _try_out(name, options, source, group)
        if options.run is None:
            raise ValueError(
                "--run FOLDER says where to keep the run (only --dry-run and --estimate need none)"
            )
        run = None if group.rank else _created(name, options, source, options.run, group)
        return carry_out(options.run, run, group)


def _resume(folder: Path) -> int:
    """Go on from the newest checkpoint, or from the beginning if there is none yet."""
    with joined() as group:
        return carry_out(folder, None if group.rank else Run.open(folder), group)


def _try_out(name: str, options: Train[Any], source: Source | None, group: Group) -> int:
    """Answer --dry-run and --estimate."""
    group.part(options.learn.batch_size)
    if group.size > 1:
        print(f"one process does all of it here, not {group.size}")
    if options.deterministic:
        insist_on_the_same_bits()
    plan, options, windows, held_out = planned(name, options, source, ALONE)
    policy = begun(plan, options.policy, options.learn, windows)
    torch.set_num_threads(threads_for(options.threads, policy))
    policy.to(options.device)
    if options.dry_run:
        rehearse(name, policy, windows, options.learn, held_out)
    if options.estimate:
        estimate(name, policy, windows, options.learn)
    return 0


def _created(
    name: str, options: Train[Any], source: Source | None, folder: Path, group: Group
) -> Run:
    """Begin a run; what is wrong with the data or the options shows up before there is one."""
    plan, *_ = planned(name, options, source, group)
    return Run.create(folder, plan)


def planned(
    name: str, options: Train[C], source: Source | None, group: Group
) -> tuple[dict[str, Any], Train[C], Windows, Windows | None]:
    """What run.json keeps, the options resolved, and the windows; what cannot be done is refused."""
    assert options.data is not None  # only the rounds of DAgger may do without, and fill it in
    dataset = Dataset.open(options.data)
    options = _resolved(options, dataset)
    if source is not None:
        options = replace(options, inputs=source.inputs(dataset, options.inputs))
    plan = _plan(name, options, dataset, group)
    windows, held_out = windows_for(plan, options.policy, options.learn, dataset, group)
    policy = options.policy.build(windows.spec)
    if source is not None:
        plan["from"] = taken_from(source, policy, options.freeze, windows)
    return plan, options, windows, held_out


def _plan(name: str, options: Train[Any], dataset: Dataset, group: Group) -> dict[str, Any]:
    """What run.json keeps: all that the training does."""
    return {
        "policy": name,
        "config": to_plain(options.policy),
        "learn": to_plain(options.learn),
        "data": str(dataset.folder.resolve()),
        "fingerprint": dataset.fingerprint,
        "episodes": _episodes(options, dataset),
        "inputs": list(options.inputs or readable(options.policy, dataset)),
        "mirror": to_plain(options.mirror),
        "frames_gb": options.frames_gb,
        "held_out": options.held_out,
        "checkpoints": options.checkpoints,
        "keep": options.keep,
        "threads": options.threads,
        "device": options.device,
        "deterministic": options.deterministic,
        "tensorboard": options.tensorboard,
        "processes": group.size,
        "versions": versions(),
    }


def defaults_for(config: type[C], arguments: Sequence[str], source: Source | None) -> Train[C]:
    """Options as the preset that `arguments` name has them, of the policy as its source has them.

    Raises ValueError for an unknown preset.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default="small")
    name = parser.parse_known_args(arguments)[0].preset
    if name not in config.presets:
        raise unknown("preset", name, config.presets)
    preset = config.presets[name]
    return Train(
        data=tyro.MISSING,
        policy=source.config if source else config(**preset.policy),
        preset=name,
        learn=replace(LearnConfig(), **preset.learn),
    )


def _resolved(options: Train[C], dataset: Dataset) -> Train[C]:
    """Say what follows from the machine and the data: device, precision, tasks, the teacher's folder."""
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("--device cuda: this machine has no CUDA GPU that torch can use; try cpu")
    learning, policy = options.learn, with_tasks(options.policy, dataset)
    if learning.precision == "auto":
        learning = replace(learning, precision=native_precision(torch.device(device)))
    if policy.tasks:
        print(
            f"the policy tells apart {plural(len(policy.tasks), 'task')}: {', '.join(policy.tasks)}"
        )
    if isinstance(policy, OneStepConfig) and policy.teacher:
        policy = replace(policy, teacher=str(find_checkpoint(Path(policy.teacher)).resolve()))
    return replace(options, device=device, learn=learning, policy=policy)


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
