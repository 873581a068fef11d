"""One training of a sweep, from its options to what it does on selection starts; made to be repeated.

TRIALS/007/all-steps/seed-0/run/            the run, as `understudy train` keeps it
TRIALS/007/all-steps/seed-0/train.log       what it printed
TRIALS/007/all-steps/seed-0/selection.json  its report on selection starts; with it the trial is done
TRIALS/007/all-steps/seed-0/failed.json     instead, where training could not go on
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, final

import torch

from understudy.cli.options import parse
from understudy.cli.session import carry_out
from understudy.cli.train import Train, planned
from understudy.evaluate.measure import Report, measure, outcome_of, seeds_for
from understudy.fleet import Here, PolicyActor
from understudy.learn.group import ALONE
from understudy.learn.supervised import DivergedError
from understudy.learn.sweep import Attempt, Tried
from understudy.policies.files import read_json
from understudy.run import Run, find_checkpoint
from understudy.tasks import make_task

MEASURING = 0.1  # of the bar's way


@final
@dataclass(frozen=True, kw_only=True)
class Trial:
    """What all trainings of a sweep have in common; a worker is sent it and an `Attempt`."""

    folder: Path  # of all trials
    policy: str
    base: Train[Any]
    task: str
    player: Literal["chunks", "ensemble"]
    episodes: int  # selection starts
    worlds: int

    def __call__(self, attempt: Attempt, tell: Callable[[float], None]) -> Tried:
        """Train and measure, or go on with it, or say what it came to before.

        Raises KeyboardInterrupt when it is interrupted; what is done is kept.
        """
        place = self.place(attempt)
        report, failed = place / "selection.json", place / "failed.json"
        if not report.exists() and not failed.exists():
            place.mkdir(parents=True, exist_ok=True)
            with (place / "train.log").open("a") as log, redirect_stdout(log):
                try:
                    self._train(attempt, lambda share: tell((1 - MEASURING) * share))
                except DivergedError as error:
                    failed.write_text(json.dumps({"failure": str(error)}))
                else:
                    self._measure(attempt, tell)
        if failed.exists():
            return Tried(failure=str(read_json(failed)["failure"]))
        return _tried(Report.from_json(report), _seconds(place))

    def place(self, attempt: Attempt) -> Path:
        """The folder of one training."""
        stage = "all-steps" if attempt.part == 1 else f"a-{attempt.part}th-of-the-steps"
        return self.folder / f"{attempt.trial:03d}" / stage / f"seed-{attempt.seed}"

    def options(self, attempt: Attempt) -> Train[Any]:
        """What `understudy train` would be asked for; raises ValueError where values do not fit."""
        words = [word for pair in attempt.choice.items() for word in _flag(*pair)]
        chosen = parse(Train[type(self.base.policy)], words, f"train {self.policy}", "", self.base)
        learn = chosen.learn
        return replace(
            chosen,
            run=self.place(attempt) / "run",
            learn=replace(
                learn,
                seed=learn.seed + attempt.seed,
                steps=max(1, learn.steps // attempt.part),
                warmup_steps=learn.warmup_steps // attempt.part,
            ),
        )

    def _train(self, attempt: Attempt, tell: Callable[[float], None]) -> None:
        folder = self.place(attempt) / "run"
        begun = time.monotonic()
        if (folder / "run.json").exists():
            run = Run.open(folder)
        else:
            plan, *_ = planned(self.policy, self.options(attempt), None, ALONE)
            run = Run.create(folder, plan)
        if carry_out(folder, run, ALONE, tell):
            raise KeyboardInterrupt
        timing = folder.parent / "train_s.json"  # of the last sitting, if there were several
        timing.write_text(json.dumps({"train_s": round(time.monotonic() - begun, 1)}))

    def _measure(self, attempt: Attempt, tell: Callable[[float], None]) -> None:
        torch.set_num_threads(1)
        place, task = self.place(attempt), make_task(self.task)
        actor = PolicyActor(checkpoint=find_checkpoint(place / "run"), player=self.player)
        seeds = seeds_for("selection", self.episodes)
        names = {"task_name": self.task, "actor_name": "/".join(place.parts[-3:])}
        rollouts = Here(self.worlds).play(task, actor, seeds, outcome_of)
        report = None
        for report in measure(rollouts, task, actor, seeds, purpose="selection", **names):
            tell(1 - MEASURING + MEASURING * len(report.rows) / len(seeds))
        assert report is not None
        if report.missing:
            lost = report.lost[0].reason if report.lost else "discarded"
            raise RuntimeError(f"{len(report.missing)} rollouts gave no episode: {lost}")
        report.to_json(place / "selection.json")


def _flag(option: str, value: str) -> list[str]:
    """An option as a command has it; on and off are those of switches."""
    return {"on": [f"--{option}"], "off": [f"--no-{option}"]}.get(value, [f"--{option}", value])


def _seconds(place: Path) -> float:
    """How long a trial trained; 0 where that is not known."""
    file = place / "train_s.json"
    return float(read_json(file)["train_s"]) if file.exists() else 0.0


def _tried(report: Report, train_s: float) -> Tried:
    successes = report.successes
    return Tried(
        scores=tuple(float(score) for score in report.scores),
        successes=None if successes is None else tuple(bool(s) for s in successes),
        train_s=train_s,
    )
