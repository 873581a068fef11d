"""The examples: short enough to read in one go, and each one runs."""

import os
import shutil
from pathlib import Path

import pytest

from tests.processes import Process, as_program

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


RECORDED = "mountain-car-demonstrations"  # what example 1 records and the snippets begin with


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    run(EXAMPLES[0], folder)
    return folder / RECORDED


def run(file, folder):
    environment = {**os.environ, "SDL_VIDEODRIVER": "dummy", "MPLBACKEND": "Agg"}
    done = Process(as_program, file, cwd=folder, env=environment).done(HANGS_AFTER_S)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_runs_with_at_most_the_recordings_of_the_first(file, recorded, tmp_path):
    if file != EXAMPLES[0] and RECORDED in file.read_text():
        shutil.copytree(recorded, tmp_path / RECORDED)
    run(file, tmp_path)


@pytest.mark.parametrize("file", EXAMPLES[5:9], ids=lambda file: file.stem)
def test_a_snippet_has_at_most_fifteen_lines(file):
    assert len(file.read_text().splitlines()) <= 15
