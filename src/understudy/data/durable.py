"""Files that appear whole or not at all, and files that notice a flipped byte."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, final

LARGEST_JSON = 2**28  # bytes
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_file(path: Path, content: bytes) -> None:
    """Create or overwrite `path` and return when the disk has it; the name itself may be lost."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)


def sync_file(path: Path) -> None:
    """Return when the disk has what was written to `path`."""
    file = os.open(path, os.O_RDWR)  # Windows flushes only what is open for writing
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sync_folder(folder: Path) -> None:
    """Return when the disk has the names in `folder`; Windows does so by itself."""
    if sys.platform == "win32":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents where they are missing, and make their names durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    os.mkdir(folder)
    sync_folder(folder.parent)


def replace_file(path: Path, content: bytes, staging: Path) -> None:
    """Give `path` new content in one step: a reader sees the old or the new, and so does a crash.

    `staging` is a folder on the same disk where the new file waits.
    """
    make_folder(staging)
    waiting = staging / path.name
    try:
        write_file(waiting, content)
        os.replace(waiting, path)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def replace_text(path: Path, text: str) -> None:
    """Give `path` a new text in one step: a reader sees the old or the new. A crash may lose the new."""
    waiting = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        waiting.write_text(text, "utf-8")
        os.replace(waiting, path)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise


@final
class Transaction:
    """New files that appear together or not at all.

    They wait in `staging`, on the same disk, until `commit` renames them, group after group; each
    group is on the disk before the next begins. When anything fails, all is as it was.
    """

    def __init__(self, staging: Path) -> None:
        self._staging = staging
        self._groups: list[list[tuple[Path, Path]]] = [[]]
        make_folder(staging)

    def write(self, target: Path, content: bytes) -> None:
        """Let `target` have this content."""
        waiting = self._staging / f"{sum(map(len, self._groups))}.waiting"
        write_file(waiting, content)
        self._groups[-1].append((waiting, target))

    def move(self, waiting: Path, target: Path) -> None:
        """Let the finished file `waiting` become `target`."""
        sync_file(waiting)
        self._groups[-1].append((waiting, target))

    def then(self) -> None:
        """Begin the next group."""
        self._groups.append([])

    def commit(self) -> None:
        """Rename all files into place."""
        done: list[tuple[Path, bytes | None]] = []
        try:
            for group in self._groups:
                for waiting, target in group:
                    make_folder(target.parent)
                    done.append((target, target.read_bytes() if target.exists() else None))
                    os.replace(waiting, target)
                for folder in {target.parent for _, target in group}:
                    sync_folder(folder)
        except BaseException:
            _undo(done, self._staging)
            raise


def _undo(done: list[tuple[Path, bytes | None]], staging: Path) -> None:
    """Take renamed files back, the last first, up to one that cannot be removed: what came before
    it then belongs to a whole that stands. Totals that stay wrong are rebuilt at the next opening.
    """
    for target, before in reversed(done):
        if before is not None:
            with contextlib.suppress(OSError):
                replace_file(target, before, staging)
            continue
        try:
            target.unlink(missing_ok=True)
            sync_folder(target.parent)
        except OSError:
            return


@final
class DiskFull(OSError):
    """An episode was refused for want of room; everything that was saved before is untouched."""


def refuse(error: OSError, staging: Path, needed: int) -> NoReturn:
    """Raise what tells the user why an episode that waits in `staging` is not saved.

    DiskFull says how many bytes are free without it and how many it needs; another `error` is
    raised as it is.
    """
    waiting = sum(file.stat().st_size for file in staging.glob("*"))
    free = shutil.disk_usage(staging.parent).free + waiting
    if isinstance(error, DiskFull) or not (free < needed or _codes(error) & _NO_ROOM):
        raise error
    raise DiskFull(
        errno.ENOSPC,
        f"the episode is not saved, the disk is full: {free} bytes are free in "
        f"{staging.parent.parent}, at least {max(needed, waiting + 1)} are needed. Earlier "
        "episodes are safe; free some room and record it again",
    ) from error


def _codes(error: BaseException | None) -> set[int | None]:
    """The system's numbers of an error and of what caused it."""
    found: set[int | None] = set()
    while error is not None:
        found.add(getattr(error, "errno", None))
        error = error.__cause__
    return found


def digest(content: bytes | memoryview) -> str:
    """The checksum that our files carry: BLAKE2b, 128 bits, hexadecimal."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def digest_file(path: Path) -> str:
    """The checksum of a file's content."""
    running = hashlib.blake2b(digest_size=16)
    with open(path, "rb") as file:
        while block := file.read(2**20):
            running.update(block)
    return running.hexdigest()


def seal_json(facts: Mapping[str, Any]) -> bytes:
    """JSON with a checksum of itself inside; `open_json` reads it back."""
    body = json.dumps(facts, sort_keys=True, allow_nan=False)
    sealed = {**facts, "digest": digest(body.encode())}
    return json.dumps(sealed, sort_keys=True, allow_nan=False, indent=4).encode()


def open_json(path: Path) -> dict[str, Any]:
    """Read what `seal_json` made. Raises ValueError if a single byte of it has changed."""
    content = read_limited(path, LARGEST_JSON)
    facts: dict[str, Any] = {}
    try:
        facts = json.loads(content)
        del facts["digest"]
        intact = seal_json(facts) == content
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        raise ValueError(f"{path} is damaged: its content does not fit its checksum")
    return facts


def read_limited(path: Path, largest: int) -> bytes:
    """The content of `path`; raises ValueError, before reading, if it is larger than `largest`."""
    size = path.stat().st_size
    if size > largest:
        raise ValueError(f"{path} has {size} bytes, expected at most {largest}")
    return path.read_bytes()
