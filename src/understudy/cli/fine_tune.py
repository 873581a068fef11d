"""`train --from`: what a training takes over from a policy that is there already, and says of it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import torch

from understudy.data.store import Dataset
from understudy.data.windows import Windows
from understudy.learn.supervised import LearnConfig
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.checkpoint import Checkpoint, load_checkpoint
from understudy.policies.transfer import freeze, out_of_reach, take_over
from understudy.run import find_checkpoint

LISTED = 12  # weights that did not fit, by name; the rest is counted


@final
@dataclass(frozen=True)
class Source:
    """The checkpoint that a training begins with."""

    folder: Path
    loaded: Checkpoint

    @property
    def config(self) -> Any:
        """Its configuration, without what belongs to its data: tasks, and files of weights."""
        config: Any = replace(self.loaded.policy.config, tasks=())
        if hasattr(config, "vision"):
            config = replace(config, vision=replace(config.vision, pretrained=""))
        return config

    def inputs(self, dataset: Dataset, asked: Sequence[str]) -> tuple[str, ...]:
        """What the policy shall see, what the source sees at first: it knows them by their place.

        Raises ValueError where the data lack one of those, unless it is said which are meant.
        """
        known = tuple(self.loaded.policy.spec.observations)
        missing = [key for key in known if key not in dataset.spec.observations]
        if missing and not asked:
            raise ValueError(
                f"{self.folder} sees {', '.join(missing)}, which the data lack. --inputs says what "
                f"the policy shall see; there is: {', '.join(dataset.spec.observations)}"
            )
        wanted = asked or known
        return (
            *(key for key in known if key in wanted),
            *(key for key in wanted if key not in known),
        )


def source_of(name: str, arguments: Sequence[str]) -> Source | None:
    """Return the policy that --from names, if it does; raises ValueError for another kind."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--from", dest="source", type=Path)
    path = parser.parse_known_args(arguments)[0].source
    if path is None:
        return None
    folder = find_checkpoint(path).resolve()
    loaded = load_checkpoint(folder)
    if loaded.name != name:
        raise ValueError(
            f"--from {path}: it is a policy of the kind {loaded.name!r}, not {name!r}, so its weights "
            f"do not fit; understudy train {loaded.name} goes on with them"
        )
    return Source(folder, loaded)


def taken_from(
    source: Source, policy: Policy, parts: Sequence[str], windows: Windows
) -> dict[str, Any]:
    """Let `policy` take over and freeze what it shall; print what that is, and return it for run.json.

    Raises ValueError where the two do not fit.
    """
    transfer = take_over(policy, source.loaded.policy)
    frozen = freeze(policy, parts, transfer.fresh) if parts else 0
    print(f"from {source.folder}: {transfer.share:.1%} of {transfer.size:,} weights are taken over")
    listed = list(transfer.fresh.items())
    for name, (size, shapes) in listed[:LISTED]:
        print(f"  fresh, {size / transfer.size:.1%}: {name} {shapes}")
    if len(listed) > LISTED:
        rest = sum(size for _, (size, _) in listed[LISTED:]) / transfer.size
        print(f"  fresh, {rest:.1%}: {len(listed) - LISTED} more, see run.json")
    for key, why in transfer.anew.items():
        print(f"  normalised by these data: {key}, {why}")
    for line in out_of_reach(policy, windows):
        print(f"  cannot be commanded with the source's normaliser: {line}")
    rate, before = policy.spec.rate_hz, source.loaded.policy.spec.rate_hz
    if before and rate != before:
        print(f"  the source decides {before:g} times a second, these data {rate:g} times")
    if parts:
        print(f"  frozen, {frozen / transfer.size:.1%}: {', '.join(parts)}")
    return {
        "checkpoint": str(source.folder),
        "fingerprint": source.loaded.fingerprint,
        "share": transfer.share,
        "fresh": {name: shapes for name, (_, shapes) in transfer.fresh.items()},
        "normalised_anew": dict(transfer.anew),
        "freeze": list(parts),
        "frozen_share": frozen / transfer.size,
    }


def begun(
    plan: dict[str, Any], config: PolicyConfig, learning: LearnConfig, windows: Windows
) -> Policy:
    """Return the policy that a training begins with, prepared; raises ValueError for a lost source."""
    torch.manual_seed(learning.seed)
    policy = config.build(windows.spec)
    policy.prepare(windows)
    if plan.get("from"):
        folder = Path(str(plan["from"]["checkpoint"]))
        source = load_checkpoint(folder)
        if source.fingerprint != plan["from"]["fingerprint"]:
            raise ValueError(
                f"{folder} is no longer the policy that this run begins with: begin anew"
            )
        fresh = take_over(policy, source.policy).fresh
        freeze(policy, plan["from"]["freeze"], fresh)
    return policy
