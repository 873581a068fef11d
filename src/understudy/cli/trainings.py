"""The trainings of DAgger's rounds: each a run like any other, planned as the first one is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from understudy.cli.fine_tune import Source, source_of, taken_from
from understudy.cli.rules import Rules
from understudy.cli.session import carry_out, windows_for
from understudy.cli.train import Train, planned
from understudy.config import from_plain
from understudy.data.store import Dataset
from understudy.learn.dagger import next_seed
from understudy.learn.group import ALONE
from understudy.learn.resume import FACTS
from understudy.learn.supervised import LearnConfig
from understudy.policies import find_policy
from understudy.policies.base import PolicyConfig
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.files import read_json
from understudy.run import Run, find_checkpoint, newest_checkpoint


class Stopped(Exception):
    """A training was interrupted; it is saved."""


@final
class Trainings:
    """What a run of DAgger trains: in each round as many policies as its gate asks for.

    `options` are asked for once, before the first round.
    """

    def __init__(
        self, run: Run, rules: Rules, name: str, options: Callable[[], Train[Any]]
    ) -> None:
        self._run, self._rules, self._name, self._options = run, rules, name, options
        self._data = run.folder / "data"

    @property
    def members(self) -> int:
        """How many policies are trained in each round; the first one is the learner."""
        return self._rules.members if self._rules.gate in ("ensemble", "thrifty") else 1

    @property
    def are_planned(self) -> bool:
        """Whether there is a plan that all of them follow."""
        return (self.place(0) / "run.json").exists()

    @property
    def first_seed(self) -> int:
        """The first seed that is played in a round."""
        return int(self.plan_of(0)["first_seed"])

    def place(self, number: int, member: int = 0) -> Path:
        """The folder of a training."""
        name = f"member-{member}" if member else "policy"
        return self._run.folder / "rounds" / f"{number:02d}" / name

    def plan_of(self, number: int) -> dict[str, Any]:
        """What the first training of a round did, or is to do."""
        return read_json(self.place(number) / "run.json")

    def plan(self) -> None:
        """Plan the first training, now that the demonstrations are there."""
        shutil.rmtree(self.place(0), ignore_errors=True)
        Run.create(self.place(0), self._planned(0, 0)).close()

    def carry_out(self, number: int) -> Path:
        """Train the round's policies, or go on with them; returns the checkpoint of the first.

        Raises Stopped.
        """
        for member in range(self.members):
            folder = self.place(number, member)
            if not (folder / "run.json").exists():
                shutil.rmtree(folder, ignore_errors=True)  # begun, and killed before it was there
                run = Run.create(folder, self._planned(number, member))
            elif _is_finished(folder):
                continue
            else:
                run = Run.open(folder)
            if carry_out(folder, run, ALONE):
                raise Stopped
        return find_checkpoint(self.place(number))

    def _planned(self, number: int, member: int) -> dict[str, Any]:
        """What a training's run.json keeps."""
        dataset = Dataset.open(self._data)
        plan = self.plan_of(0) if number or member else self._first(dataset)
        plan["learn"]["seed"] += member
        train, held_out = dataset.split(plan["held_out"], plan["learn"]["seed"])
        plan["episodes"] = {
            "train": [dataset.ids[i] for i in train],
            "held_out": [dataset.ids[i] for i in held_out],
        }
        plan["fingerprint"] = dataset.fingerprint
        if number and self._rules.round_steps:
            plan["learn"]["steps"] = self._rules.round_steps
        if number and self._rules.fine_tune:
            plan["from"] = _last_weights(plan, dataset, self.place(number - 1, member))
        return plan

    def _first(self, dataset: Dataset) -> dict[str, Any]:
        options = replace(self._options(), data=self._data)
        source = source_of(self._name, self._run.config["arguments"])
        plan, *_ = planned(self._name, options, source, ALONE)
        first_seed = next_seed(dataset)
        if not self._run.config["data"]:
            first_seed = max(first_seed, self._rules.demonstrations)
        return plan | {
            "learn_from": self._rules.learn_from,
            "first_seed": first_seed,
            "resume": f"understudy dagger --resume {self._run.folder}",
        }


def _last_weights(plan: dict[str, Any], dataset: Dataset, run: Path) -> dict[str, Any]:
    """Begin with the weights of the last round; what is frozen stays so."""
    where = str(run / "run.json")
    config: PolicyConfig = from_plain(find_policy(plan["policy"]), plan["config"], where)
    windows, _ = windows_for(plan, config, from_plain(LearnConfig, plan["learn"], where), dataset)
    folder = find_checkpoint(run).resolve()
    frozen = plan.get("from", {}).get("freeze", ())
    source = Source(folder, load_checkpoint(folder))
    return taken_from(source, config.build(windows.spec), frozen, windows)


def _is_finished(folder: Path) -> bool:
    """Whether a training came to its last step; one without weights has none."""
    newest = newest_checkpoint(folder)
    if newest is None:
        return False
    step = int(read_json(newest / FACTS)["step"])
    steps = int(read_json(folder / "run.json")["learn"]["steps"])
    return step >= steps or not any(True for _ in load_checkpoint(newest).policy.parameters())
