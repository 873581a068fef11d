"""`understudy dagger POLICY`: rounds of acting, being corrected and learning, with a way back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import tyro

from understudy.cli.fine_tune import source_of
from understudy.cli.options import parse
from understudy.cli.rules import Rules
from understudy.cli.train import Train, defaults_for
from understudy.config import from_plain, to_plain
from understudy.policies import find_policy
from understudy.policies.base import PolicyConfig
from understudy.run import Run, versions

C = TypeVar("C", bound=PolicyConfig)


@dataclass(frozen=True, kw_only=True)
class Dagger(Generic[C]):
    """The rules, and how the policy is trained in each round."""

    rules: Rules
    train: Train[C]


def main(arguments: Sequence[str]) -> int:
    """Do all rounds, or go on with those of a run that was stopped: `dagger --resume RUN`."""
    if arguments[0] == "--resume":
        if len(arguments) != 2:
            raise ValueError("usage: understudy dagger --resume RUN")
        return _carry_out(Run.open(Path(arguments[1])))
    from understudy.cli.possible import require_possible  # not for a --help

    name, rest = arguments[0], arguments[1:]
    options = parsed(name, rest)
    assert options.train.run is not None  # required
    require_possible(options.rules, options.train)
    rules = options.rules
    if rules.expert:  # which is found again wherever the run is gone on with
        rules = replace(rules, expert=str(Path(rules.expert).absolute()))
    plan = {
        "dagger": name,
        "rules": to_plain(rules),
        "arguments": list(rest),
        "data": "" if options.train.data is None else str(options.train.data.absolute()),
        "versions": versions(),
    }
    return _carry_out(Run.create(options.train.run, plan))


def parsed(name: str, arguments: Sequence[str]) -> Dagger[Any]:
    """Read the options of `understudy dagger NAME`; training has its own, all data are learnt from."""
    config = find_policy(name)
    source = source_of(name, arguments)
    train: Any = defaults_for(config, arguments, source)
    return parse(
        Dagger[config],
        arguments,
        f"dagger {name}",
        f"Teach a policy of the kind {name!r} by correcting it. {config.__doc__}",
        default=Dagger(
            rules=Rules(task=tyro.MISSING),
            train=replace(train, data=None, run=tyro.MISSING, held_out=0.0, keep=1),
        ),
    )


def _carry_out(run: Run) -> int:
    """All rounds that are not done; everything needed is in the run's folder."""
    from understudy.cli.rounds import Rounds
    from understudy.cli.trainings import Stopped  # all that is needed to play is not for a --help

    again = f"understudy dagger --resume {run.folder}"
    with closing(run):
        plan = run.config
        where = str(run.folder / "run.json")
        if not {"dagger", "rules", "arguments", "data"} <= plan.keys():
            raise ValueError(f"{where} is damaged, or no run of DAgger")
        rules = from_plain(Rules, plan["rules"], where)
        name, rest = str(plan["dagger"]), list(plan["arguments"])
        rounds = Rounds(run, rules, name, lambda: parsed(name, rest).train)
        try:
            return rounds.carry_out()
        except Stopped:
            return 130  # training has said how to go on
        except KeyboardInterrupt:
            print(f"interrupted; what was done is kept. Go on: {again}")
            return 130
