"""`understudy data info|import|export|view`: look at demonstrations, bring them in, or take them out."""

from __future__ import annotations

import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.table import Table

from understudy.cli.console import Console
from understudy.cli.options import parse, plural
from understudy.cli.usage import DATA
from understudy.data.doctor import verify
from understudy.data.store import Dataset
from understudy.names import unknown
from understudy.physics.arms import ArmName


@dataclass(frozen=True, kw_only=True)
class Info:
    """What to look at."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder of a dataset: LeRobot v3.0, v2.1 or v2.0."""
    arm: Literal["none", ArmName] = "none"
    """An arm whose joint angles are commanded: check positions, limits and continuity as well."""


@dataclass(frozen=True, kw_only=True)
class Import:
    """What to bring in."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """What to read."""
    destination: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DESTINATION")]
    """Folder of the new dataset."""
    format: str = ""
    """Name of the format; recognised by default."""
    cameras: bool = False
    """Bring the pictures along, as videos."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """What to write."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder of a dataset."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DESTINATION")]
    """Folder to write; must be new."""
    format: str
    """Name of the format: grasp-sheet, ik-json or text-table."""


@dataclass(frozen=True, kw_only=True)
class View:
    """What to show."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder of a dataset."""
    out: Path = Path("view.html")
    """Page to write."""
    episodes: tuple[int, ...] = ()
    """Episodes to show in full; the first, shortest, longest and most jerky by default."""
    open: bool = False
    """Open the page in a browser."""


def main(arguments: Sequence[str]) -> int:
    """Do one of the verbs."""
    console = Console()
    verb, rest = arguments[0], arguments[1:]
    if verb == "info":
        return _info(parse(Info, rest, "data info", DATA[verb]), console)
    if verb == "import":
        return _import(parse(Import, rest, "data import", DATA[verb]), console)
    if verb == "export":
        return _export(parse(Export, rest, "data export", DATA[verb]), console)
    if verb == "view":
        return _view(parse(View, rest, "data view", DATA[verb]), console)
    raise unknown("verb of data", verb, DATA)


def _info(options: Info, console: Console) -> int:
    """Print a summary; returns 1 when a file is damaged, or the angles of an arm are faulty."""
    dataset = Dataset.open(options.folder)
    spec, lengths = dataset.spec, dataset.lengths
    console.print(
        f"{options.folder}: LeRobot {dataset.version}, {plural(len(dataset), 'episode')}, "
        f"{plural(int(lengths.sum()), 'tick')}, {spec.rate_hz:g} Hz, "
        f"{lengths.sum() / spec.rate_hz / 60:.1f} min",
        markup=False,
    )
    if len(dataset):
        console.print(f"ticks per episode: {lengths.min()} to {lengths.max()}", markup=False)
    for task in sorted(set(dataset.tasks)):
        console.print(f"task: {task}", markup=False)
    console.print(f"fingerprint: {dataset.fingerprint}", markup=False)
    excluded = len(dataset) - len(dataset.selected)
    if excluded:
        console.print(f"excluded by an annotation: {plural(excluded, 'episode')}", markup=False)
    if len(dataset) > excluded:
        console.print(_statistics(dataset))
    for problem in dataset.problems:
        console.print(f"note: {problem}", markup=False)
    damage = verify(options.folder)
    for finding in damage:
        console.print(f"damaged: {finding}", markup=False)
    faults = () if options.arm == "none" else _arm_faults(dataset, options.arm, console)
    return 1 if damage or faults else 0


def _arm_faults(dataset: Dataset, arm: str, console: Console) -> tuple[str, ...]:
    """Print what is wrong with an arm's angles, and return it."""
    from understudy.physics.arms import ARMS
    from understudy.tasks.diagnosis import diagnose_dataset

    found = diagnose_dataset(dataset, ARMS[arm])
    for note in found.notes:
        console.print(f"note: {note}", markup=False)
    for fault in found.faults:
        console.print(f"fault: {fault}", markup=False)
    if not found.faults:
        console.print(f"{arm}: positions, limits and continuity are right", markup=False)
    return found.faults


def _statistics(dataset: Dataset) -> Table:
    """One line for each number that is seen or commanded."""
    table = Table(box=None, pad_edge=False)
    for column in ("signal", "unit", "min", "mean", "max", "std"):
        table.add_column(column, justify="left" if column in ("signal", "unit") else "right")
    for key in (*dataset.spec.vectors, "action"):
        signal = dataset.spec.action if key == "action" else dataset.spec.observations[key]
        found = dataset.statistics(key)
        for i in range(signal.size):
            name = f"{key}: {signal.names[i]}" if signal.names else f"{key}[{i}]"
            values = (float(found[what].reshape(-1)[i]) for what in ("min", "mean", "max", "std"))
            table.add_row(name, signal.unit, *(f"{value:.5g}" for value in values))
    for key in dataset.spec.cameras:
        size = "x".join(str(n) for n in dataset.spec.observations[key].shape)
        table.add_row(key, f"video {size}", "", "", "", "")
    return table


def _import(options: Import, console: Console) -> int:
    from understudy.data.formats import FORMATS, GROUP, detect
    from understudy.names import lookup

    name = options.format or detect(options.source)
    if name is None:
        inside = options.source.iterdir() if options.source.is_dir() else []
        found = next((child for child in sorted(inside) if detect(child)), None)
        hint = f"Did you mean {found}?" if found else f"Known: {', '.join(sorted(FORMATS))}"
        raise ValueError(f"{options.source} is in no format that is known. {hint}")
    imported = lookup("format", name, FORMATS, GROUP)(
        options.source, options.destination, options.cameras
    )
    console.print(f"{plural(imported.episodes, 'episode')} -> {options.destination}", markup=False)
    for loss in imported.not_carried:
        console.print(f"not carried over: {loss}", markup=False)
    return 0


def _export(options: Export, console: Console) -> int:
    from understudy.data.formats import EXPORTS, GROUP_OUT
    from understudy.names import lookup

    if options.out.exists():
        raise ValueError(f"{options.out} is there already; choose a new folder")
    dataset = Dataset.open(options.folder)
    lost = lookup("format", options.format, EXPORTS, GROUP_OUT)(dataset, options.out)
    console.print(f"{plural(len(dataset), 'episode')} -> {options.out}", markup=False)
    for loss in lost:
        console.print(f"not carried over: {loss}", markup=False)
    return 0


def _view(options: View, console: Console) -> int:
    from understudy.data.view import write_view

    dataset = Dataset.open(options.folder)
    unknown = [i for i in options.episodes if not 0 <= i < len(dataset)]
    if unknown:
        raise ValueError(f"no episode {unknown[0]}: there are {plural(len(dataset), 'episode')}")
    write_view(dataset, options.out, options.episodes or None)
    console.print(f"view: {options.out}", markup=False)
    if options.open:
        webbrowser.open(options.out.resolve().as_uri())
    return 0
