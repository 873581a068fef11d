"""Whether rounds of DAgger can be carried out, found out before there is a run."""

from __future__ import annotations

from typing import Any

from understudy.cli.rules import Rules
from understudy.cli.train import Train
from understudy.data.store import Dataset
from understudy.learn.dagger import next_seed, require_seeds
from understudy.learn.gates import Scale
from understudy.tasks import make_task
from understudy.tasks.base import TaskConfig


def require_possible(rules: Rules, train: Train[Any]) -> None:
    """Raise ValueError for what would fail later."""
    if train.dry_run or train.estimate or train.train_episodes is not None:
        raise ValueError(
            "--dry-run, --estimate and --train-episodes are of `understudy train`; try it on the "
            "demonstrations first"
        )
    task = make_task(rules.task)
    _require_expert(rules, task, has_data=train.data is not None)
    first = rules.demonstrations
    if train.data is not None:
        dataset = Dataset.open(train.data)
        dataset.spec.require(task.spec)
        if not len(dataset.selected):
            raise ValueError(f"{train.data} holds no episodes to begin with")
        first = next_seed(dataset)
    require_seeds(rules.dagger, first)
    spec = task.spec
    keys = train.inputs or (
        tuple(spec.observations) if train.policy.reads_cameras else spec.vectors
    )
    if keys:
        train.policy.build(spec.only(keys))
    if rules.gate in ("safe", "ensemble", "thrifty"):
        Scale(spec.action)


def _require_expert(rules: Rules, task: TaskConfig, has_data: bool) -> None:
    if rules.gate == "person":
        from understudy.cli.teleoperate import controls_of

        controls_of(task, rules.hands)
    elif not (rules.expert or task.has_expert):
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
