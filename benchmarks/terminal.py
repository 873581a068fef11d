"""A command of the terminal, run and timed in this process."""

from __future__ import annotations

import time

from understudy.cli import main as understudy


def run(*arguments: object) -> float:
    """Run `understudy` with these arguments; returns its seconds, and ends the program if it fails."""
    began = time.perf_counter()
    code = understudy([str(argument) for argument in arguments])
    if code:
        raise SystemExit(code)
    return time.perf_counter() - began
