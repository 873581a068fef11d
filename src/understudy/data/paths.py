"""Paths that come from files: filled from templates, and kept inside the dataset's folder."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import final

_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d)(\..*)?", re.IGNORECASE)


@final
class Tree:
    """The files of one dataset. No path that a file names leads out of its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = folder.resolve()
        self._inside: set[Path] = set()

    def path(self, relative: str) -> Path:
        """The file at `relative`, which need not exist.

        Raises ValueError for an absolute path, `..`, a drive, a device name, or a link that leads
        out of the folder.
        """
        parts = relative.split("/")
        if any(_is_unsafe(part) for part in parts):
            raise ValueError(
                f"{self.folder}: the path {relative!r} is refused; expected names below the folder, "
                "separated by '/', without '..', drives and device names"
            )
        path = self.folder.joinpath(*parts)
        if path.parent not in self._inside:
            self._require_inside(path.parent)
            self._inside.add(path.parent)
        if path.is_symlink():
            self._require_inside(path)
        return path

    def _require_inside(self, path: Path) -> None:
        if not path.resolve().is_relative_to(self._root):
            raise ValueError(
                f"{path} is a link that leads out of the dataset and is not followed; "
                "copy the dataset with its links resolved (cp -rL) and open the copy"
            )


def _is_unsafe(part: str) -> bool:
    return (
        part in ("", ".", "..")
        or any(character in part for character in '\\:\0<>"|?*')
        or any(ord(character) < 32 for character in part)
        or part[-1] in " ."
        or _DEVICES.fullmatch(part) is not None
    )


def fill(template: str, values: Mapping[str, int | str]) -> str:
    """Fill a path template such as `chunk-{chunk_index:03d}`.

    Unlike `str.format` it knows only these names and widths; raises ValueError for anything else.
    """
    filled = []
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError:
        pieces = [("", "", "", "")]
    for text, name, width, conversion in pieces:
        filled.append(text)
        if name is None:
            continue
        value = values.get(name)
        shape = r"(0?\d{1,2})?d?" if isinstance(value, int) else r"s?"
        if value is None or conversion or not re.fullmatch(shape, width or ""):
            raise ValueError(
                f"the path template {template!r} is refused; expected only {list(values)} in "
                "braces, with a width like :03d"
            )
        filled.append(format(value, width or ""))
    return "".join(filled)
