"""A training as its run.json has it: from the data to the last checkpoint, alone or with others."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch

from understudy.cli.fine_tune import begun
from understudy.cli.follow import accompany, follow
from understudy.cli.options import plural
from understudy.config import from_plain, to_plain
from understudy.data.store import Dataset
from understudy.data.symmetry import MirrorConfig
from understudy.data.windows import Windows
from understudy.learn.clone import frame_sizes, windows_of
from understudy.learn.group import ALONE, Group
from understudy.learn.resume import read_state
from understudy.learn.supervised import (
    LearnConfig,
    Progress,
    TrainingState,
    averaged_weights,
    learn,
)
from understudy.policies import find_policy
from understudy.policies.base import Policy, PolicyConfig, Remarks
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.files import read_json
from understudy.policies.transfer import freeze
from understudy.run import Run, newest_checkpoint

SMALL_NETWORK = 1_000_000  # weights
KEYS = (
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


def carry_out(
    folder: Path, run: Run | None, group: Group, watch: Callable[[float], None] = lambda share: None
) -> int:
    """Train to the end, or until interrupted; everything needed is in the run's folder.

    `run` is the open folder, None where the group's first process keeps it; it is closed at the end.
    `watch` hears which share of the steps is done.
    """
    with nullcontext() if run is None else closing(run):
        return _carried_out(folder, run, group, watch)


def _carried_out(
    folder: Path, run: Run | None, group: Group, watch: Callable[[float], None]
) -> int:
    group.wait()  # the first has written it
    plan = read_json(folder / "run.json")
    where = str(folder / "run.json")
    missing = [key for key in KEYS if key not in plan]
    if missing:
        raise ValueError(
            f"{where} lacks {', '.join(missing)}: it is damaged, or no run of training"
        )
    if plan.get("deterministic"):
        insist_on_the_same_bits()
    learning = from_plain(LearnConfig, plan["learn"], where)
    config = from_plain(find_policy(plan["policy"]), plan["config"], where)
    with group.one_at_first():  # frames are decoded once
        dataset = Dataset.open(Path(str(plan["data"])))
        windows, held_out = windows_for(plan, config, learning, dataset, group)
    policy, state = _opened(folder, plan, config, learning, windows)
    group.require_same("data", windows.fingerprint + str(len(windows)))
    group.require_same("weights", "", policy.state_dict().values())
    if plan.get("device") == "cuda":
        group.use_gpu()
    policy.to(plan.get("device", "cpu"))
    torch.set_num_threads(threads_for(plan["threads"], policy))
    reports = learn(policy, windows, learning, held_out, state, group)
    if run is None:
        return accompany(reports)
    run.forget_after(state.step if state else 0)
    if plan["tensorboard"]:
        run.write_tensorboard()
    _introduce(plan, policy, windows, folder, state, group)
    return follow(
        run,
        policy,
        reports,
        steps=learning.steps if any(p.requires_grad for p in policy.parameters()) else 0,
        row=_row,
        said=_said,
        weights=lambda report: averaged_weights(policy, report.state),
        again=plan.get("resume", f"understudy train --resume {folder}"),
        watch=watch,
    )


def windows_for(
    plan: dict[str, Any],
    config: PolicyConfig,
    learning: LearnConfig,
    dataset: Dataset,
    group: Group = ALONE,
) -> tuple[Windows, Windows | None]:
    """Training and held-out windows; raises ValueError on data that cannot be learnt from."""
    train, apart = (_numbers(plan, part, dataset) for part in ("train", "held_out"))
    mirror = from_plain(MirrorConfig, plan.get("mirror", {}), "run.json")

    def windows(episodes: list[int], frame_bytes: int) -> Windows:
        return windows_of(
            config,
            dataset,
            inputs=plan["inputs"],
            episodes=episodes,
            mirror=mirror,
            batch_size=learning.batch_size,
            seed=learning.seed,
            past_end=learning.past_end,
            group=group,
            frame_bytes=frame_bytes,
            learn_from=plan.get("learn_from", "labels"),
            progress=_decoding,
        )

    budget = int(plan.get("frames_gb", 0) * 1e9)
    if not apart:
        return windows(train, budget), None
    sizes = frame_sizes(dataset, plan["inputs"], apart) if budget else []
    aside = min(sum(sizes), max(budget // 5, *sizes, 0))
    return windows(train, budget - aside), windows(apart, aside)


def threads_for(asked: int, policy: Policy) -> int:
    """Threads to compute with: for a small network more than one cost more than they give."""
    size = sum(p.numel() for p in policy.parameters())
    return asked or (1 if size < SMALL_NETWORK else torch.get_num_threads())


def insist_on_the_same_bits() -> None:
    """Let torch refuse what may give other bits the next time; a GPU needs to be told before its use."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    torch.backends.cudnn.benchmark = False


def _opened(
    folder: Path,
    plan: dict[str, Any],
    config: PolicyConfig,
    learning: LearnConfig,
    windows: Windows,
) -> tuple[Policy, TrainingState | None]:
    """The policy with its newest checkpoint's weights and state, or as it begins."""
    newest = newest_checkpoint(folder)
    if newest is None:
        return begun(plan, config, learning, windows), None
    policy = load_checkpoint(newest).policy
    if plan.get("from"):
        freeze(policy, plan["from"]["freeze"])
    return policy, read_state(newest)


def _introduce(
    plan: dict[str, Any],
    policy: Policy,
    windows: Windows,
    folder: Path,
    state: TrainingState | None,
    group: Group,
) -> None:
    """Say what begins, or goes on."""
    if state is not None:
        print(f"going on from step {state.step:,}")
        began = plan.get("processes", 1)
        if began != group.size:
            print(
                f"processes: {began} when the run began, {group.size} now. The samples of a step are "
                "the same, its noise and rounding are not"
            )
    size = sum(p.numel() for p in policy.parameters())
    steps = plural(plan["learn"]["steps"], "step")
    with_whom = f" on {group.size} processes" if group.size > 1 else ""
    frozen = size - sum(p.numel() for p in policy.parameters() if p.requires_grad)
    still = f", {frozen:,} of them frozen" if frozen else ""
    print(
        f"{plan['policy']}: {plural(size, 'parameter')}{still}, {_recorded(plan)}, "
        f"{plural(len(windows), 'window')}, "
        f"{steps + with_whom if size else 'nothing to optimise, the data are kept'} -> {folder}"
    )
    for remark in policy.remarks if isinstance(policy, Remarks) else ():
        print(f"note: {remark}")


def _recorded(plan: dict[str, Any]) -> str:
    """How many episodes a run learns from, in words."""
    plain = to_plain(MirrorConfig())
    count = plural(len(plan["episodes"]["train"]), "episode")
    return f"{count} and their mirror images" if plan.get("mirror", plain) != plain else count


def _decoding(done: int, total: int) -> None:
    """Say how far the decoding of frames is, on one line of a terminal."""
    if sys.stdout.isatty():
        print(
            f"\rdecoding frames {done:,}/{total:,}", end="\n" if done == total else "", flush=True
        )


def _numbers(plan: dict[str, Any], part: str, dataset: Dataset) -> list[int]:
    """Numbers of the episodes that a run pinned by id; raises ValueError when one is gone."""
    numbers = {id: i for i, id in enumerate(dataset.ids)}
    wanted = plan["episodes"][part]
    gone = [id for id in wanted if id not in numbers]
    if gone:
        raise ValueError(
            f"{plan['data']} no longer holds {plural(len(gone), 'episode')} that the run began with, "
            f"the first is {gone[0]}: a run goes on only with the data that it began with"
        )
    return [numbers[id] for id in wanted]


def _row(report: Progress) -> dict[str, Any] | None:
    """A report as a line of metrics.jsonl, where it is one for the record."""
    if not report.is_due:
        return None
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


def _said(report: Progress) -> str:
    losses = "  ".join(f"{name} {value:.4g}" for name, value in report.losses.items())
    waits = f", waits {report.waiting:.0%}" if report.waiting >= 0.005 else ""  # for data
    return f"{losses}  {report.samples_per_s:,.0f} samples/s{waits}"
