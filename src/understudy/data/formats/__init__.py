"""Datasets in formats of others: which ones are known, and which one a path holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

GROUP = "understudy.formats"  # entry points of installed packages that add formats
GROUP_OUT = "understudy.exports"

# name -> where the function lives that imports it; it is looked up when it is asked for.
FORMATS: dict[str, str] = {
    "car-racing": "understudy.data.formats.car_racing:import_folder",
    "grasp-sheet": "understudy.data.formats.grasp_sheet:import_folder",
    "ik-json": "understudy.data.formats.ik_json:import_folder",
    "text-table": "understudy.data.formats.text_table:import_folder",
    "zarr": "understudy.data.formats.zarr:import_folder",
}
# Those that can be written as well.
EXPORTS: dict[str, str] = {
    "grasp-sheet": "understudy.data.formats.grasp_sheet:export_folder",
    "ik-json": "understudy.data.formats.ik_json:export_folder",
    "text-table": "understudy.data.formats.text_table:export_folder",
}


@final
@dataclass(frozen=True)
class Imported:
    """What an import has made, and what of the source it could not carry over."""

    dataset_folder: Path
    episodes: int
    not_carried: tuple[str, ...]  # a sentence each, to be shown


def detect(path: Path) -> str | None:
    """Return the name in FORMATS of the dataset at `path`, or None; nothing in it is decoded."""
    if (path / ".zgroup").is_file() or (path / "meta" / "episode_ends" / ".zarray").is_file():
        return "zarr"
    if path.suffix == ".xlsx" or (path.is_dir() and any(path.glob("*.xlsx"))):
        return "grasp-sheet"
    if path.suffix in (".pkl", ".pickle"):
        return "car-racing"
    listed = [path] if path.suffix == ".json" else path.glob("*.json") if path.is_dir() else []
    if any(_begins_a_list(file) for file in listed):
        return "ik-json"
    if path.suffix in (".txt", ".csv", ".dat") or (path.is_dir() and any(path.glob("states*.*"))):
        return "text-table"
    return None


def _begins_a_list(file: Path) -> bool:
    """Whether a file's first sign is that of a JSON list."""
    if not file.is_file():
        return False
    with file.open("rb") as content:
        return content.read(64).lstrip().startswith(b"[")
