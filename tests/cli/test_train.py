"""The terminal's way to train, as a user takes it: killed, interrupted, misused."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

from tests import demonstrations

OPTIONS = ("--steps", "2000", "--batch-size", "32", "--width", "64", "--depth", "2", "--history",
           "2", "--horizon", "4", "--checkpoints", "40", "--held-out", "0.3")  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "data"
    demonstrations.dataset(folder, demonstrations.CONTINUOUS)
    return folder


def understudy(*arguments):
    return [sys.executable, "-m", "understudy", *map(str, arguments)]


def run(*arguments):
    return subprocess.run(understudy(*arguments), capture_output=True, text=True, check=False)


def weights(folder):
    return load_file(max((folder / "checkpoints").iterdir()) / "model.safetensors")


def wait_for_checkpoint(folder, process):
    for _ in range(600):
        if any((folder / "checkpoints").glob("0*")) or process.poll() is not None:
            return
        time.sleep(0.05)


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    done = run("train", "mlp", "--data", data, "--run", folder, *OPTIONS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(data, unbroken, tmp_path, number):
    folder = tmp_path / "run"
    process = subprocess.Popen(
        understudy("train", "mlp", "--data", data, "--run", folder, *OPTIONS),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for_checkpoint(folder, process)
    os.kill(process.pid, number)
    code = process.wait(60)
    assert code == (-9 if number == signal.SIGKILL else 130)
    resumed = run("train", "--resume", folder)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from step" in resumed.stdout
    before, after = weights(unbroken), weights(folder)
    assert before.keys() == after.keys()
    assert all(before[key].equal(after[key]) for key in before)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))


def test_a_second_process_on_the_same_run_is_refused(data, tmp_path):
    from understudy.run import Run

    folder = tmp_path / "run"
    held = Run.create(folder, {"policy": "mlp"})
    refused = run("train", "--resume", folder)
    held.close()
    assert refused.returncode == 1
    assert f"process {os.getpid()}" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("mpl",), "Did you mean 'mlp'?"),
        (("mlp", "--data", "nowhere", "--run", "r"), "nowhere"),
        (("mlp", "--run", "r"), "--data"),
        (("mlp", "--data", "DATA", "--run", "r", "--step", "5"), "--steps"),
        (("mlp", "--data", "DATA", "--run", "r", "--steps", "many"), "many"),
        (("mlp", "--data", "DATA", "--run", "r", "--inputs", "observation.stat"), "no observation"),
        (("mlp", "--data", "DATA", "--run", "r", "--train-episodes", "9"), "outside 1..2"),
        (("mlp", "--data", "DATA", "--run", "DATA/../taken"), "run already"),
        (("--resume", "nowhere"), "no run"),
    ],
)
def test_misuse_is_told_what_is_wrong_before_any_work(data, tmp_path, arguments, complaint):
    (data.parent / "taken").mkdir(exist_ok=True)
    (data.parent / "taken" / "run.json").write_text("{}")
    given = [str(a).replace("DATA", str(data)) for a in arguments]
    given = [str(tmp_path / a) if a == "r" else a for a in given]
    misused = run("train", *given)
    assert misused.returncode in (1, 2)
    assert complaint in misused.stderr
    assert "Traceback" not in misused.stderr
    assert not (tmp_path / "r").exists()
