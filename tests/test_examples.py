"""The examples: short enough to read in one go, and each one runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
HANGS_AFTER_S = 240


def test_examples_are_numbered_without_a_gap():
    assert [file.name[:3] for file in EXAMPLES] == [
        f"{n:02d}_" for n in range(1, len(EXAMPLES) + 1)
    ]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_fits_a_screen(file):
    assert len(file.read_text().splitlines()) < 60


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_runs_in_an_empty_folder(file, tmp_path):
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "MPLBACKEND": "Agg"}
    run = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", file],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
    )
    assert run.returncode == 0, f"{run.stdout[-4000:]}\n{run.stderr[-4000:]}"
