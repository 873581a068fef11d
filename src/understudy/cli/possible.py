"""Whether rounds of DAgger can be carried out, found out before there is a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from understudy.cli.rules import Rules
from understudy.cli.train import Train
from understudy.data.store import Dataset
from understudy.evaluate.measure import PURPOSES
from understudy.learn.dagger import next_seed, require_seeds
from understudy.learn.gates import Scale
from understudy.learn.thrifty import Risk
from understudy.tasks import make_task
from understudy.tasks.base import TaskConfig, judges


def require_possible(rules: Rules, train: Train[Any]) -> None:
    """Raise ValueError for what would fail later, RuntimeError for a person without a screen."""
    if train.dry_run or train.estimate or train.train_episodes is not None:
        raise ValueError(
            "--dry-run, --estimate and --train-episodes are of `understudy train`; try it on the "
            "demonstrations first"
        )
    _require_used(rules, has_data=train.data is not None)
    task = make_task(rules.task)
    _require_expert(rules, task, has_data=train.data is not None)
    shown = None if train.data is None else _opened(train.data, task)
    first = rules.demonstrations if shown is None else next_seed(shown)
    require_seeds(rules.dagger, first)
    _require_measurable(rules, task)
    spec = task.spec
    keys = train.inputs or (
        tuple(spec.observations) if train.policy.reads_cameras else spec.vectors
    )
    if keys:
        train.policy.build(spec.only(keys))
    for require in NEEDS[rules.gate]:
        require(rules, task, shown)


# What an option is for: other options, and the values that they must have.
BELONGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "beta": {"gate": ("beta",)},
    "beta_decay": {"gate": ("beta",), "beta": ("exponential",)},
    "beta_over": {"gate": ("beta",), "beta": ("linear",)},
    "discrepancy": {"gate": ("safe", "ensemble")},
    "doubt": {"gate": ("ensemble",)},
    "members": {"gate": ("ensemble", "thrifty")},
    "intervention_rate": {"gate": ("thrifty",)},
    "hands": {"gate": ("person",)},
    "script": {"gate": ("person",)},
}


def _require_used(rules: Rules, has_data: bool) -> None:
    """Refuse options that would be passed over, unless they have their usual values."""
    usual = Rules(task=rules.task)
    changed = [name for name in BELONGS if getattr(rules, name) != getattr(usual, name)]
    for name in changed:
        for other, values in BELONGS[name].items():
            got = getattr(rules, other)
            if got not in values:
                raise ValueError(
                    f"--{name.replace('_', '-')} goes with --{other} {' or '.join(values)}, not with "
                    f"--{other} {got}: leave it out"
                )
    if has_data and rules.demonstrations != usual.demonstrations:
        raise ValueError(
            "--demonstrations is how often the task is shown where --data names no episodes: leave "
            "one of the two out"
        )
    if has_data and rules.gate == "person" and rules.expert:
        raise ValueError(
            "--expert has nothing to do: --data show the task and, with --gate person, a person corrects"
        )


def _opened(folder: Path, task: TaskConfig) -> Dataset:
    dataset = Dataset.open(folder)
    dataset.spec.require(task.spec)
    if not len(dataset.selected):
        raise ValueError(f"{folder} holds no episodes to begin with")
    return dataset


def _require_expert(rules: Rules, task: TaskConfig, has_data: bool) -> None:
    if rules.gate != "person" and not (rules.expert or task.has_expert):
        raise ValueError(
            f"{rules.task} has no expert to correct a policy; --expert RUN lets a stronger policy do it, "
            "--gate person a person"
        )
    if rules.expert:
        from understudy.cli.actors import stored  # not for a --help

        stored(rules.expert).partner(task.spec)
    elif not (task.has_expert or has_data):
        raise ValueError(
            f"{rules.task} has no expert to show it first: --data names demonstrations, --expert RUN a "
            "policy that shows it"
        )


def _require_measurable(rules: Rules, task: TaskConfig) -> None:
    most = len(PURPOSES["selection"])
    if rules.starts > most:
        raise ValueError(f"--starts must lie in 1..{most:,}, got {rules.starts:,}")
    if rules.dagger.target_success is not None and not judges(task):
        raise ValueError(
            f"--target-success: {rules.task} does not judge what succeeds, so that the target could "
            "never be met; --target-score says what score is enough"
        )


# What gates need, each of the rules, the task, and the demonstrations where there are some already.


def _require_limits(rules: Rules, task: TaskConfig, shown: Dataset | None) -> None:
    Scale(task.spec.action)


def _require_vectors(rules: Rules, task: TaskConfig, shown: Dataset | None) -> None:
    Risk(task.spec)


def _require_judgement(rules: Rules, task: TaskConfig, shown: Dataset | None) -> None:
    if shown is None and not judges(task):
        raise ValueError(
            f"--gate {rules.gate} learns the risk of failing from how episodes ended, and {rules.task} "
            "does not judge that: take another gate, or --data that say it"
        )
    if shown is not None and all(shown[int(i)].success is None for i in shown.selected):
        raise ValueError(
            f"--gate {rules.gate} learns the risk of failing from how episodes ended, and none of "
            f"{shown.folder} says it: take another gate, or other demonstrations"
        )


def _require_hands(rules: Rules, task: TaskConfig, shown: Dataset | None) -> None:
    from understudy.cli.teleoperate import require_hands

    require_hands(task, rules.hands, Path(rules.script) if rules.script else None)


Need = Callable[[Rules, TaskConfig, Dataset | None], None]
NEEDS: Mapping[str, tuple[Need, ...]] = {
    "beta": (),
    "safe": (_require_limits,),
    "ensemble": (_require_limits,),
    "thrifty": (_require_limits, _require_vectors, _require_judgement),
    "person": (_require_hands,),
}
