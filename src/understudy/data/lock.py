"""The right to write to a folder, which dies with its holder."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import final


@final
class Lock:
    """The right to write to a folder. The system takes it back when the process dies.

    Raises BlockingIOError, naming the holder, if another process (or another object of this one)
    has it, and OSError where the lock file cannot be written, as on a read-only disk.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._close = weakref.finalize(self, os.close, self._file)
        try:
            _lock(self._file)
        except (BlockingIOError, PermissionError):
            holder = _holder(self._file)
            self.release()
            raise BlockingIOError(
                f"{path.parent} is being written to by {holder}; close that one first, or wait"
            ) from None
        except OSError:
            self.release()
            raise
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
            self._sign()

    def _sign(self) -> None:
        details = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, json.dumps(details).encode())

    @property
    def is_held(self) -> bool:
        """Whether it was not released."""
        return self._close.alive

    def release(self) -> None:
        """Let others write; harmless when done twice."""
        self._close()


def _lock(file: int) -> None:
    """Take the exclusive lock of an open file, or raise OSError at once."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, 4096, os.SEEK_SET)  # beyond the details, which others read meanwhile
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(file: int) -> str:
    os.lseek(file, 0, os.SEEK_SET)
    try:
        details = json.loads(os.read(file, 4096))
        return f"process {details['process']} on {details['host']} since {details['since']}" + (
            " (this very process)" if details["process"] == os.getpid() else ""
        )
    except (ValueError, KeyError, TypeError):
        return "a process that has not said who it is"
