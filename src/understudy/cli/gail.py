"""`understudy gail POLICY`: learn by trying what an expert cannot be told from, with a bar and a way back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from understudy.cli.follow import follow
from understudy.cli.options import FleetOptions, parse, plural
from understudy.config import from_plain, to_plain
from understudy.data.store import Dataset
from understudy.learn.gail import GailConfig, begun, demonstrations_in, gail, seen_in
from understudy.learn.ppo import PpoConfig, Progress
from understudy.learn.recipes import RECIPES, Recipe
from understudy.learn.resume import read_state
from understudy.names import unknown
from understudy.policies import find_policy
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.stochastic import require_stochastic
from understudy.run import Run, find_checkpoint, newest_checkpoint, versions
from understudy.tasks import make_task

C = TypeVar("C", bound=PolicyConfig)


@dataclass(frozen=True, kw_only=True)
class Gail(Generic[C]):
    """What to learn, from whom, and where to try."""

    data: Path
    """Folder of the expert's demonstrations."""
    task: str
    """Name of the task to try in, with options: cart-pole, gym:ENV_ID."""
    run: Path
    """Folder that the run is kept in; must be new."""
    policy: C
    preset: str = ""
    """Values that were found for a task; that of --task by default, if there is one. Options override."""
    source: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Begin with the policy of this run or checkpoint, as cloned by understudy train."""
    gail: GailConfig = field(default_factory=GailConfig)
    practice: PpoConfig = field(default_factory=PpoConfig)
    ground: FleetOptions = field(default_factory=FleetOptions)
    checkpoints: int = 5
    """How many times to save, evenly over the run."""
    keep: int = 3
    """How many checkpoints stay, the newest; 0: all."""

    def __post_init__(self) -> None:
        if self.checkpoints < 1 or self.keep < 0:
            raise ValueError("--checkpoints must be at least 1, --keep at least 0")


def main(arguments: Sequence[str]) -> int:
    """Learn, or go on with a run that was stopped: `gail --resume RUN`."""
    if arguments[0] == "--resume":
        if len(arguments) != 2:
            raise ValueError("usage: understudy gail --resume RUN")
        return _carry_out(Run.open(Path(arguments[1])))
    options = parsed(arguments[0], arguments[1:])
    plan = _plan(arguments[0], options)
    return _carry_out(Run.create(options.run, plan))


def parsed(name: str, arguments: Sequence[str]) -> Gail[Any]:
    """Read the options of `understudy gail NAME`, on top of the recipe that they choose."""
    config = find_policy(name)
    recipe, source = _chosen(arguments)
    there = {key: value for key, value in recipe.policy.items() if hasattr(config(), key)}
    policy = config(**there) if source is None else _loaded(source, name).config
    return parse(
        Gail[config],
        arguments,
        f"gail {name}",
        f"Learn a policy of the kind {name!r} by trying. {config.__doc__}",
        default=Gail(
            data=tyro.MISSING,
            task=tyro.MISSING,
            run=tyro.MISSING,
            policy=policy,
            gail=GailConfig(**recipe.gail),
            practice=PpoConfig(**recipe.practice),
        ),
    )


def _chosen(arguments: Sequence[str]) -> tuple[Recipe, Path | None]:
    """The recipe that --preset or --task names, and the policy to begin with."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default="")
    parser.add_argument("--task", default="")
    parser.add_argument("--from", dest="source", type=Path)
    given = parser.parse_known_args(arguments)[0]
    if given.preset and given.preset not in RECIPES:
        raise unknown("preset", given.preset, RECIPES)
    task = given.task.partition(":")[0]
    return RECIPES.get(given.preset or task, RECIPES["default"]), given.source


def _plan(name: str, options: Gail[Any]) -> dict[str, Any]:
    """What run.json keeps; what cannot be done is refused before there is a run."""
    dataset, task = Dataset.open(options.data), make_task(options.task)
    spec = seen_in(dataset.spec)
    spec.require(task.spec)
    options.ground.build()
    if options.source is None:
        require_stochastic(options.policy.build(spec))
    source = {}
    if options.source is not None:
        folder = find_checkpoint(options.source).resolve()
        loaded = load_checkpoint(folder)
        _require_as_it_is(options, loaded.policy.config)
        source = {"checkpoint": str(folder), "fingerprint": loaded.fingerprint}
    ids = [dataset.ids[int(i)] for i in demonstrations_in(dataset)]
    return {
        "policy": name,
        "config": to_plain(options.policy),
        "gail": to_plain(options.gail),
        "learn": to_plain(options.practice),
        "ground": to_plain(options.ground),
        "task": options.task,
        "data": str(options.data.resolve()),
        "fingerprint": dataset.fingerprint,
        "episodes": {"train": ids, "held_out": []},
        "inputs": list(spec.observations),
        "from": source,
        "checkpoints": options.checkpoints,
        "keep": options.keep,
        "versions": versions(),
    }


def _require_as_it_is(options: Gail[Any], config: PolicyConfig) -> None:
    """Refuse what would change a policy that is there already: it would be passed over."""
    if options.gail.clone_steps:
        raise ValueError(
            f"either --from {options.source} or --clone-steps {options.gail.clone_steps}: a policy begins "
            "once"
        )
    names = [entry.name for entry in fields(config)]
    changed = [n for n in names if getattr(options.policy, n) != getattr(config, n)]
    if changed:
        flag, value = changed[0].replace("_", "-"), getattr(options.policy, changed[0])
        raise ValueError(
            f"--{flag} {value}: the policy of --from {options.source} is taken as it is, with "
            f"{getattr(config, changed[0])}"
        )


def _carry_out(run: Run) -> int:
    """Learn to the end, or until interrupted; everything needed is in the run's folder."""
    import torch

    torch.set_num_threads(1)  # more cost more than they give in networks of this size
    with closing(run):
        plan, where = run.config, str(run.folder / "run.json")
        if "gail" not in plan:
            raise ValueError(f"{where} is no run of `understudy gail`")
        config = from_plain(GailConfig, plan["gail"], where)
        practice = from_plain(PpoConfig, plan["learn"], where)
        fleet = from_plain(FleetOptions, plan["ground"], where).build()
        dataset, task = Dataset.open(Path(str(plan["data"]))), make_task(str(plan["task"]))
        if dataset.fingerprint != plan["fingerprint"]:
            raise ValueError(f"{plan['data']} has changed since the run began: begin anew")
        newest = newest_checkpoint(run.folder)
        state = None if newest is None else read_state(newest)
        policy = _begun(plan, dataset, config, practice) if newest is None else _at(newest)
        run.forget_after(state.step if state else 0)
        _introduce(plan, policy, practice, state.step if state else 0, run.folder)
        mixed = len(dataset.selected) - len(demonstrations_in(dataset))
        if mixed:
            print(
                f"{plural(mixed, 'episode')} of mixtures left out: only the expert's own are shown"
            )
        adapts = not (config.clone_steps or plan["from"])
        reports = gail(
            policy, dataset, task, config, practice, fleet=fleet, adapts=adapts, resume=state
        )
        return follow(
            run,
            policy,
            reports,
            steps=practice.steps,
            row=_row,
            said=_said,
            weights=lambda _: policy.state_dict(),
            again=f"understudy gail --resume {run.folder}",
        )


def _begun(
    plan: dict[str, Any], dataset: Dataset, config: GailConfig, practice: PpoConfig
) -> Policy:
    """The policy as it begins: another's, cloned, or fresh."""
    if plan["from"]:
        loaded = load_checkpoint(Path(str(plan["from"]["checkpoint"])))
        if loaded.fingerprint != plan["from"]["fingerprint"]:
            raise ValueError(f"{plan['from']['checkpoint']} is no longer what the run begins with")
        return loaded.policy
    kind = from_plain(find_policy(plan["policy"]), plan["config"], "run.json")
    if config.clone_steps:
        print(f"cloning for {plural(config.clone_steps, 'step')}")
    return begun(kind, dataset, config, practice.seed)


def _loaded(source: Path, name: str) -> Policy:
    folder = find_checkpoint(source)
    loaded = load_checkpoint(folder)
    if loaded.name != name:
        raise ValueError(
            f"--from {source}: it is a policy of the kind {loaded.name!r}, not {name!r}"
        )
    require_stochastic(loaded.policy)
    return loaded.policy


def _at(checkpoint: Path) -> Policy:
    return load_checkpoint(checkpoint).policy


def _introduce(
    plan: dict[str, Any], policy: Policy, practice: PpoConfig, step: int, folder: Path
) -> None:
    """Say what begins, or goes on, and whether its steps are known to be enough."""
    if step:
        print(f"going on from step {step:,}")
    size = sum(p.numel() for p in policy.parameters())
    shown = plural(len(plan["episodes"]["train"]), "demonstration")
    print(
        f"{plan['policy']}: {plural(size, 'parameter')}, {shown}, {plural(practice.steps, 'step')} of "
        f"{plan['task']} -> {folder}"
    )
    recipe = RECIPES.get(str(plan["task"]).partition(":")[0])
    if recipe is None or not recipe.needs:
        known = [f"{name} needed {r.needs:,}" for name, r in RECIPES.items() if r.needs]
        print(f"how many steps {plan['task']} needs is not known; {', '.join(known)}")
    elif not (plan["from"] or plan["gail"]["clone_steps"]):
        known = f"{plan['task']} needed {recipe.needs:,} steps with its preset"
        print(known if practice.steps >= recipe.needs else f"too few: {known}")


def _row(report: Progress) -> dict[str, Any]:
    return {
        "step": report.step,
        "return": report.mean_return,
        "length": report.mean_length,
        **({} if report.success is None else {"success": report.success}),
        **report.facts,
        "learning_rate": report.learning_rate,
        "steps_per_s": round(report.steps_per_s),
    }


def _said(report: Progress) -> str:
    told = f"  told apart {report.facts['accuracy']:.0%}"
    return f"return {report.mean_return:.4g}{told}  {report.steps_per_s:,.0f} steps/s"
