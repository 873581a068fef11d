"""`understudy demo`: from demonstrations to an honest report, with an arm that grasps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from understudy.cli.console import Console
from understudy.cli.options import parse


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Where to put it."""

    out: Path = Path("runs/demo")
    """Folder for the demonstrations, the run and the report; a number is added if it exists."""
    episodes: int = 200
    """Starts to measure on."""


TASK = "panda-grasp:pose=random"


def main(arguments: Sequence[str]) -> int:
    """Collect 100 expert demonstrations, train, evaluate against the expert, write the report."""
    options = parse(Demo, arguments, "demo", "From demonstrations to an honest report.")
    if options.episodes < 1:
        raise ValueError(f"--episodes must be at least 1, got {options.episodes}")
    from understudy.cli import collect, evaluate, train  # not for a --help

    folder = _new(options.out)
    demonstrations, run = folder / "demonstrations", folder / "run"
    steps = [
        ["collect", "--task", TASK, "--out", str(demonstrations), "--episodes", "100"],
        ["train", "mlp", "--data", str(demonstrations), "--run", str(run), "--horizon", "8",
         "--steps", "4000"],
        ["evaluate", str(run), "--task", TASK, "--against", "expert",
         "--episodes", str(options.episodes), "--out", str(folder)],
    ]  # fmt: skip
    console = Console()
    for verb, step in zip((collect, train, evaluate), steps, strict=True):
        console.print(f"\n$ understudy {' '.join(step)}", markup=False, style="bold")
        code = verb.main(step[1:])
        if code:
            return code
    return 0


def _new(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3 ... that does not exist yet."""
    number, chosen = 1, folder
    while chosen.exists():
        number += 1
        chosen = folder.with_name(f"{folder.name}-{number}")
    return chosen
