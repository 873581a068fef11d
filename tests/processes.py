"""Processes of their own for tests, forked from one that has imported torch: two seconds cheaper each.

They share nothing else: each imports the package anew, has its own signals, locks and threads, and
can be killed. What a fresh interpreter does is for `python -m understudy` to prove (tests/cli/test_main.py).
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, final

from understudy.cli import main

# Other people's packages that nearly every process needs; none that asks the environment when imported.
IMPORTED = ["pytest", "torch", "gymnasium", "pyarrow.parquet", "av", "tyro", "rich.progress", "jinja2",
            "matplotlib.figure", "scipy.special", "scipy.interpolate", "scipy.spatial.transform"]  # fmt: skip

FORKS = multiprocessing.get_context("forkserver")
forkserver.set_forkserver_preload(IMPORTED)


@final
class Process:
    """Calls a function in a process of its own, which ends with what it returns as exit code."""

    def __init__(
        self,
        target: Callable[..., Any],
        *arguments: Any,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._files = [tempfile.NamedTemporaryFile() for _ in "12"]  # noqa: SIM115  # gone when this is
        told = (cwd or Path.cwd(), dict(env or os.environ), *(file.name for file in self._files))
        self._process = FORKS.Process(target=_answer, args=(*told, target, arguments))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, None while it runs; it is minus the signal's number if one ended it."""
        return self._process.exitcode

    def wait(self, seconds: float = 240) -> int:
        """Return the exit code; a process that does not end in time is killed, which raises."""
        self._process.join(seconds)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
            raise TimeoutError(f"still running after {seconds} s\n{self.output}\n{self.error}")
        return code

    @property
    def output(self) -> str:
        """What it has written so far."""
        return Path(self._files[0].name).read_text("utf-8", "replace")

    @property
    def error(self) -> str:
        """What it has complained of so far."""
        return Path(self._files[1].name).read_text("utf-8", "replace")

    def done(self, seconds: float = 240) -> subprocess.CompletedProcess[str]:
        """Wait for the end; what it came to, as subprocess.run tells it."""
        return subprocess.CompletedProcess((), self.wait(seconds), self.output, self.error)


def understudy(*words: object, **where: Any) -> Process:
    """Begin `understudy WORDS`."""
    return Process(main, [str(word) for word in words], **where)


def program(text: str) -> None:
    """Run Python as `python -c TEXT` does."""
    exec(text, {"__name__": "__main__"})


def as_program(file: Path) -> None:
    """Run a file as `python FILE` does; what it uses must not be deprecated."""
    warnings.filterwarnings("error", category=DeprecationWarning, module="__main__")
    sys.argv = [str(file)]
    runpy.run_path(str(file), run_name="__main__")


def _answer(
    cwd: Path,
    env: dict[str, str],
    output: str,
    error: str,
    target: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    for number, path in ((1, output), (2, error)):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["understudy"]
    sys.exit(target(*arguments))
