"""Ours against a peer's, each run in a process of its own, in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import results

PEERS = Path(__file__).parent / "peers"
Run = tuple[float, float]  # a figure, and the peak of memory in GiB


def ours(file: str, arguments: Any) -> Run:
    """What a benchmark of ours measures in a new process: `python FILE JSON`."""
    return _printed([sys.executable, file, json.dumps(arguments)])


def theirs(python: Path, script: str, arguments: Any) -> Run:
    """What a script of `peers` measures with the peer's interpreter."""
    return _printed([str(python), str(PEERS / script), json.dumps(arguments)])


def _printed(words: list[str]) -> Run:
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=quiet)
    if done.returncode:
        raise RuntimeError(f"{words[1]} failed:\n{done.stderr[-3000:]}")
    value, memory = json.loads(done.stdout.splitlines()[-1])
    return value, memory


def rows(
    found: Mapping[str, Sequence[Run]],
    peer: str,
    metric: str,
    unit: str,
    *,
    less_is_faster: bool = False,
    memory: bool = True,
) -> list[results.Row]:
    """A row for each case: its figure, its memory, and if it is ours the ratio to `peer`.

    The peer's cases are those whose names begin with `peer`.
    """
    made: list[results.Row] = []
    for case, runs in found.items():
        if not case.startswith(peer):
            pairs = zip(runs, found[peer], strict=True)
            ratios = [t[0] / m[0] if less_is_faster else m[0] / t[0] for m, t in pairs]
            made.append(results.median_row(case, "ratio_to_peer", ratios, "ratio", [0]))
        made.append(results.median_row(case, metric, [value for value, _ in runs], unit, [0]))
        if memory:
            peaks = [gib for _, gib in runs]
            made.append(results.median_row(case, "peak_memory", peaks, "GiB", [0]))
    return made
