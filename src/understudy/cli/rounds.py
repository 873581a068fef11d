"""The rounds of `understudy dagger`, each stage of which goes on with what it finds in the run's folder.

RUN/data/                       the one dataset: demonstrations, then each round's episodes
RUN/rounds/02/policy/           the training of round 2, a run like any other
RUN/rounds/02/member-1/         of another policy that was trained alike, for gates that doubt
RUN/rounds/02/selection.json    what it was measured to be
RUN/checkpoints/000002/         its policy: the last one is what the run's folder stands for
RUN/metrics.jsonl               one line a round
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from rich.progress import track

from understudy.cli import collect as collecting
from understudy.cli.actors import stored
from understudy.cli.evaluate import Evaluate, measured
from understudy.cli.options import FleetOptions, plural, words_of
from understudy.cli.rules import Rules
from understudy.cli.shares import watched
from understudy.cli.train import Train
from understudy.cli.trainings import Trainings
from understudy.data.store import Dataset
from understudy.episode import Episode, Lost
from understudy.evaluate.measure import Report
from understudy.fleet import ExpertActor, PolicyActor, whole
from understudy.learn.dagger import MixtureActor, Round, Score, dagger, next_seed
from understudy.learn.gates import BetaGate, EnsembleGate, GateConfig, SafeGate, beta
from understudy.learn.thrifty import calibrated, fit_risk, save_risk
from understudy.policies.checkpoint import fingerprint, load_checkpoint, save_checkpoint
from understudy.run import Run, find_checkpoint, read_metrics
from understudy.tasks import make_task

PILOT = range(19_980, 20_000)  # selection starts at which ThriftyDAgger's thresholds are taken


@final
class Rounds:
    """One run of DAgger, begun or gone on with."""

    def __init__(
        self, run: Run, rules: Rules, name: str, options: Callable[[], Train[Any]]
    ) -> None:
        self.run, self.rules, self.folder = run, rules, run.folder
        self._trainings = Trainings(run, rules, name, options)
        self._task = make_task(rules.task)
        self._fleet = rules.ground.build()
        self._width = 16  # rows of every batch that a network sees in play

    def carry_out(self) -> int:
        """Do what is left to do, and say of each round what it came to."""
        rows = read_metrics(self.folder)
        done = len(rows)
        self.run.forget_after(done - 1 if done else -1)
        if rows and (rows[-1]["is_enough"] or done > self.rules.dagger.rounds):
            print(f"done already: {find_checkpoint(self.folder)}")
            return 0
        self._begin()
        with self._fleet, Dataset.open(self.folder / "data") as dataset:
            self._dataset = dataset
            rounds = dagger(
                dataset,
                self.rules.dagger,
                collect=self.collect,
                train=self._trainings.carry_out,
                evaluate=self.evaluate,
                first_seed=self._trainings.first_seed,
                done=done,
            )
            last = None
            for last in rounds:
                self._keep(last)
                print(_said(last))
        self._conclude(last)
        return 0

    # the stages of a round

    def collect(
        self, number: int, checkpoint: Path, seeds: Sequence[int]
    ) -> Iterator[Episode | Lost]:
        """Play the last round's policy, corrected."""
        torch.set_num_threads(1)  # the bits of what is played depend on it
        if self.rules.gate == "person":
            from understudy.cli.teleoperate import correct

            return correct(self._task, self.rules.hands, self._learner(checkpoint), seeds,
                           Path(self.rules.script) if self.rules.script else None)  # fmt: skip
        actor = self._mixture(checkpoint, self._gate(number, checkpoint))
        actor.build(self._task.spec)  # what does not fit shows up before any work
        workshop = self._dataset.workshop() if self._task.spec.cameras else None
        play = partial(self._fleet.play, self._task, actor, seeds, whole, workshop)
        return watched(f"round {number}: collecting", len(seeds), play)

    def evaluate(self, number: int, checkpoint: Path) -> Score:
        """Measure a policy on selection starts, or read what was measured."""
        torch.set_num_threads(1)
        file = self._trainings.place(number).parent / "selection.json"
        report = Report.from_json(file) if file.exists() else None
        if report is None or report.source != fingerprint(checkpoint) or report.missing:
            options = Evaluate(
                task=self.rules.task, episodes=self.rules.starts, purpose="selection"
            )
            actor = self._learner(checkpoint)
            name = f"round {number}: measuring"
            report = measured(self._fleet, self._task, actor, name, options, file)
        return Score(report.success_rate, report.mean_score)

    # inside

    def _mixture(self, checkpoint: Path, gate: GateConfig) -> MixtureActor:
        expert = stored(self.rules.expert) if self.rules.expert else ExpertActor()
        return MixtureActor(learner=self._learner(checkpoint), gate=gate, expert=expert)

    def _learner(self, checkpoint: Path) -> PolicyActor:
        return PolicyActor(checkpoint=checkpoint, width=self._width)

    def _begin(self) -> None:
        """See to it that the demonstrations are there, and the plan of the first training."""
        if self._trainings.are_planned:
            return
        data = self.folder / "data"
        if self.run.config["data"]:
            self._copy(Dataset.open(Path(self.run.config["data"])), data)
        else:
            self._demonstrate(data)
        self._trainings.plan()

    def _copy(self, demonstrations: Dataset, folder: Path) -> None:
        """Copy the demonstrations that are not there yet."""
        if not (folder / "meta").exists():
            Dataset.create(folder, self._task.spec).close()
        with Dataset.open(folder) as data:
            rest = demonstrations.selected[len(data) :]
            for i in track(rest, "copying demonstrations") if len(rest) else rest:
                data.append(demonstrations[int(i)])

    def _demonstrate(self, folder: Path) -> None:
        """Let the expert show the task as often as asked for, or as is left: also where it fails, it labels."""
        rules = self.rules
        start = next_seed(Dataset.open(folder)) if (folder / "meta").exists() else 0
        if start < rules.demonstrations:
            words = ["--task", rules.task, "--out", folder, "--seed", start, "--episodes",
                     rules.demonstrations - start, "--keep", "all",
                     *words_of(rules.ground, FleetOptions())]  # fmt: skip
            words += ["--expert", rules.expert] if rules.expert else []
            collecting.main([str(word) for word in words])

    def _gate(self, number: int, checkpoint: Path) -> GateConfig:
        rules = self.rules
        if rules.gate == "safe":
            return SafeGate(discrepancy=rules.discrepancy)
        if rules.gate == "beta":
            share = beta(rules.beta, number, rules.beta_decay, rules.beta_over)
            return BetaGate(share=share, hold=load_checkpoint(checkpoint).policy.config.horizon)
        trainings = self._trainings
        before = (trainings.place(number - 1, member) for member in range(trainings.members))
        members = tuple(find_checkpoint(folder) for folder in before)
        if rules.gate == "thrifty":
            return self._thrifty(number, checkpoint, members)
        return EnsembleGate(
            members=members,
            discrepancy=rules.discrepancy,
            doubt=rules.doubt,
            width=self._width,
        )

    def _thrifty(self, number: int, checkpoint: Path, members: tuple[Path, ...]) -> GateConfig:
        """Learn the risk and set the thresholds, in episodes that the learner plays alone."""
        spec = self._task.spec
        plan = self._trainings.plan_of(number - 1)
        known = {id for part in plan["episodes"].values() for id in part}
        before = [i for i, id in enumerate(self._dataset.ids) if id in known]
        risk = fit_risk(self._dataset, before, spec, plan["learn"]["seed"])
        file = save_risk(risk, self._trainings.place(number - 1).parent / "risk.safetensors")
        alone = self._mixture(checkpoint, BetaGate(share=0.0))
        episodes = list(self._fleet.rollouts(self._task, alone, PILOT))
        rate = self.rules.intervention_rate
        return calibrated(members, file, episodes, spec, rate, self._width)

    def _keep(self, found: Round) -> None:
        """Put the round's policy where the run's newest is looked for, then note the round."""
        loaded = load_checkpoint(found.checkpoint)
        row = _row(found)
        save_checkpoint(
            self.folder / "checkpoints" / f"{found.number:06d}",
            loaded.name,
            loaded.policy,
            {**loaded.provenance, "dagger": row},
        )
        self.run.log(row)

    def _conclude(self, last: Round | None) -> None:
        config = self.rules.dagger
        aims = config.target_success is not None or config.target_score is not None
        if last is not None and aims:
            print(
                f"the target is met in round {last.number}"
                if last.is_enough
                else f"the target is not met after {plural(config.rounds, 'round')}"
            )
        print(f"done: {find_checkpoint(self.folder)}")


def _row(found: Round) -> dict[str, Any]:
    """A round as a line of metrics.jsonl."""
    row: dict[str, Any] = {
        "step": found.number,
        "episodes": found.episodes,
        "ticks": found.ticks,
        "is_enough": found.is_enough,
    }
    for name, estimate in (
        ("interventions", found.interventions),
        ("success", found.score.success),
        ("score", found.score.score),
    ):
        if estimate is not None:
            low, high = estimate.interval.low, estimate.interval.high
            row[name] = estimate.value
            if math.isfinite(low) and math.isfinite(high):  # few episodes leave everything open
                row |= {f"{name}_low": low, f"{name}_high": high}
    return row


def _said(found: Round) -> str:
    parts = [f"{plural(found.episodes, 'episode')}, {plural(found.ticks, 'tick')}"]
    if found.interventions is not None:
        parts.append(f"of an episode the expert acted at {found.interventions}")
    if found.score.success is not None:
        parts.append(f"success {found.score.success}")
    parts.append(f"score {found.score.score}")
    parts += [f"lost, {lost.reason}: seed {lost.seed}" for lost in found.lost]
    return f"round {found.number}: " + "; ".join(parts)
