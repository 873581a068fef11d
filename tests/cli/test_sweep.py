"""Sweeps as a user runs them: on several grounds, killed, misused; and what may be done with the best."""

import json
import shlex
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

from understudy.cli import main
from understudy.run import checkpoints

SMALL = ("--task", "cart-pole", "--depth", "1", "--batch-size", "32", "--steps", "60", "--seeds",
         "2", "--episodes", "4", "--report-episodes", "0", "--warmup-steps", "10")  # fmt: skip
GRID = ("--search", "grid", "--vary", "width=2,16")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "data"
    assert main(["collect", "--task", "cart-pole", "--out", str(folder), "--episodes", "3"]) == 0
    return folder


def asked(data, folder, *further):
    return ["sweep", "mlp", "--data", str(data), "--run", str(folder), *SMALL, *further]


def table(folder):
    """All that was found, but for how long it took."""
    found = json.loads((folder / "sweep.json").read_text())
    for trial in found["trials"]:
        for training in trial["trainings"]:
            del training["train_s"]
    return found


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "sweep"
    assert main(asked(data, folder, *GRID)) == 0
    return folder


def test_every_configuration_is_trained_with_every_seed_and_the_best_is_first(unbroken):
    found = table(unbroken)["trials"]
    assert {trial["trial"]: trial["choice"] for trial in found} == {
        0: {"width": "2"},
        1: {"width": "16"},
    }
    assert all(len(trial["trainings"]) == 2 for trial in found)
    assert all(len(training["scores"]) == 4 for t in found for training in t["trainings"])
    values = [(trial["success"]["value"], trial["score"]["value"]) for trial in found]
    assert values == sorted(values, reverse=True)
    assert values[0] > values[-1]
    assert (unbroken / "sweep.png").stat().st_size > 5_000


def test_workers_find_the_same(data, unbroken, tmp_path):
    assert main(asked(data, tmp_path / "sweep", *GRID, "--workers", "2")) == 0
    assert table(tmp_path / "sweep") == table(unbroken)


def test_one_that_was_killed_goes_on_to_the_same_and_does_nothing_twice(data, unbroken, tmp_path):
    folder = tmp_path / "sweep"
    words = asked(data.name, folder, *GRID)  # a path that holds in one working directory alone
    command = [sys.executable, "-m", "understudy", *words]
    process = subprocess.Popen(command, cwd=data.parent, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not [*folder.glob("trials/*/*/*/selection.json")] and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/*/*/selection.json")}
    assert 1 <= len(done) < 4
    assert main(["sweep", "--resume", str(folder)]) == 0
    assert table(folder) == table(unbroken)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_the_command_in_best_json_trains_the_best_once_more(data, unbroken, tmp_path):
    best = json.loads((unbroken / "best.json").read_text())
    assert best["trial"] == table(unbroken)["trials"][0]["trial"]
    words = shlex.split(best["command"])[1:]
    words[words.index("--run") + 1] = str(tmp_path / "run")
    assert main(words) == 0
    first, again = (
        load_file([*checkpoints(folder)][-1] / "model.safetensors")
        for folder in (unbroken / "trials" / f"{best['trial']:03d}" / "all-steps/seed-0/run",
                       tmp_path / "run")
    )  # fmt: skip
    assert all(first[name].equal(again[name]) for name in first)


def test_halving_trains_most_for_a_part_and_the_best_is_measured_on_other_starts(
    data, tmp_path, capsys
):
    halving = ("--halving", "3", "--seeds", "1", "--vary", "width=2,4,16", "--search", "grid")
    assert main(asked(data, tmp_path / "sweep", *halving, "--report-episodes", "5")) == 0
    stages = {path.parent.name for path in (tmp_path / "sweep" / "trials").glob("*/*/seed-0")}
    assert stages == {"a-3th-of-the-steps", "all-steps"}
    whole = [*(tmp_path / "sweep" / "trials").glob("*/all-steps/seed-0/run/run.json")]
    assert [json.loads(path.read_text())["learn"]["steps"] for path in whole] == [60]
    parts = [*(tmp_path / "sweep" / "trials").glob("*/a-3th*/seed-0/run/run.json")]
    learn = [json.loads(path.read_text())["learn"] for path in parts]
    assert [(part["steps"], part["warmup_steps"]) for part in learn] == [(20, 3)] * 3
    said = " ".join(capsys.readouterr().out.split())
    assert "on 5 starts that nothing was chosen on, 1 training" in said
    best = json.loads((tmp_path / "sweep" / "best.json").read_text())
    assert best["on_report_starts"]["n"] == 5


def test_optuna_proposes_as_many_as_asked_for(data, tmp_path):
    further = ("--search", "optuna", "--trials", "3", "--at-once", "2", "--seeds", "1")
    further += ("--vary", "width=2..16", "learning-rate=1e-4..1e-2:log")
    assert main(asked(data, tmp_path / "sweep", *further)) == 0
    found = table(tmp_path / "sweep")["trials"]
    assert len(found) == 3
    assert all(2 <= int(trial["choice"]["width"]) <= 16 for trial in found)


def test_a_training_that_diverges_is_named_and_last(data, tmp_path, capsys):
    further = ("--search", "grid", "--vary", "learning-rate=1e30,0.01", "--skips-allowed", "0")
    assert main(asked(data, tmp_path / "sweep", *further, "--gradient-clip", "1e30")) == 0
    found = table(tmp_path / "sweep")["trials"]
    assert [trial["choice"]["learning-rate"] for trial in found] == ["0.01", "1e30"]
    assert "not finite" in found[1]["failure"]
    assert found[1]["success"] is None
    assert "1 configuration failed; sweep.json says why" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--vary", "width=2..8", "--search", "grid"), "a grid takes lists, and width has a range"),
        (("--vary", "width=2..8", "--search", "optuna", "--halving", "3"), "long and short"),
        (("--vary", "steps=10,20", "--halving", "2"), "halving decides about the steps"),
        (("--vary", "width=0..8"), "width and depth must be at least 1"),
        (("--vary", "widht=2,8"), "--width"),
        (("--vary", "width=2,8", "--dry-run"), "are of one training"),
        (("--vary", "width=2,8", "--task", "mountain-car"), "observation.state"),
        (("--vary", "width=2,8", "--episodes", "0"), "0 seeds for selection"),
    ],
)
def test_what_cannot_be_done_is_refused_before_there_is_a_folder(
    data, tmp_path, capsys, words, said
):
    try:
        code = main(asked(data, tmp_path / "sweep", *words))
    except SystemExit as error:  # what the reading of options found
        code = error.code
    assert code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "sweep").exists()


def test_a_folder_with_a_sweep_is_gone_on_with_on_request_alone(data, unbroken, tmp_path, capsys):
    assert main(asked(data, unbroken, *GRID)) == 1
    assert "--resume goes on with it" in capsys.readouterr().err
    assert main(["sweep", "--resume", str(tmp_path)]) == 2
    assert "there is no run.json in it" in capsys.readouterr().err
