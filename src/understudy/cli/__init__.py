"""The door for the terminal: `understudy VERB ...`. The only place where names become objects."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from understudy import __version__
from understudy.names import unknown

VERBS = {
    "data": "look at demonstrations, or bring them in from another format",
    "collect": "record demonstrations of a task, an expert's or a person's",
    "train": "learn a policy from demonstrations",
    "dagger": "let a policy act, have an expert correct it, learn from that, in rounds",
    "gail": "learn by trying what an expert cannot be told from",
    "sweep": "train with many options, measure each, and keep the best",
    "evaluate": "measure a policy on starts that it has not seen, and write a report",
    "export": "write a policy as LeRobot keeps its own",
    "demo": "all of it with an arm that grasps, in a minute or two",
}

USAGE = """usage: understudy VERB [OPTIONS]

Turn demonstrations into robot policies that people can trust.

verbs:
{verbs}

understudy VERB --help explains a verb. A first tour: understudy demo"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code: 0 done, 1 failed, 2 misused, 130 interrupted."""
    try:
        try:
            return _answer(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor complain at exit
        return 141


def _answer(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        lines = (f"  {verb:<10}{text}" for verb, text in VERBS.items())
        print(USAGE.format(verbs="\n".join(lines)))
        return 0
    if given[0] in ("-V", "--version"):
        print(f"understudy {__version__}")
        return 0
    verb, rest = given[0], given[1:]
    if verb not in VERBS:
        return _fail(str(unknown("verb", verb, VERBS)), 2)
    if not rest or rest[0] in ("-h", "--help"):
        from understudy.cli.usage import usage

        text = usage(verb)
        if text:
            print(text)
            return 0
    return _run(verb, rest)


def _run(verb: str, rest: list[str]) -> int:
    try:
        return int(import_module(f"understudy.cli.{verb}").main(rest) or 0)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except BrokenPipeError:
        raise
    except (ValueError, TypeError, OSError, RuntimeError, ModuleNotFoundError) as error:
        if os.environ.get("UNDERSTUDY_TRACEBACK"):
            raise
        return _fail(f"{error}", 2 if isinstance(error, ValueError) else 1)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
