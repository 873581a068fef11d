"""`understudy export`: a policy as another program keeps its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from understudy.cli.options import parse


@dataclass(frozen=True, kw_only=True)
class Export:
    """Where from, and where to."""

    policy: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="POLICY")]
    """A run (its newest checkpoint) or a checkpoint of lerobot_act or lerobot_diffusion."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder to write; must be new."""


def main(arguments: Sequence[str]) -> int:
    """Write a policy's folder in LeRobot's layout."""
    options: Export = parse(
        Export, arguments, "export", "Write a policy as a folder that LeRobot 0.4.4 opens."
    )
    from understudy.policies.checkpoint import load_checkpoint
    from understudy.policies.lerobot_export import export
    from understudy.run import find_checkpoint  # torch, which comes with these, is not for a --help

    if options.out.exists():
        raise ValueError(f"{options.out} is there already; choose a new folder")
    policy = load_checkpoint(find_checkpoint(options.policy)).policy
    export(policy, options.out)
    print(f"written, as LeRobot keeps its policies: {options.out}")
    return 0
