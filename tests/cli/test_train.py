"""The terminal's way to train, as a user takes it: killed, interrupted, misused."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from tests import demonstrations
from tests.learn.test_taught import helped
from tests.processes import understudy
from understudy.cli import main as understudy_main
from understudy.data.store import Dataset
from understudy.run import checkpoints

OPTIONS = ("--steps", "1000", "--batch-size", "32", "--width", "64", "--depth", "2", "--history",
           "2", "--horizon", "4", "--checkpoints", "20", "--held-out", "0.3")  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "data"
    demonstrations.dataset(folder, demonstrations.CONTINUOUS)
    return folder


def run(*arguments):
    return understudy(*arguments).done()


def weights(folder):
    return load_file(max((folder / "checkpoints").iterdir()) / "model.safetensors")


def wait_for_checkpoint(folder, process):
    for _ in range(6000):
        if any((folder / "checkpoints").glob("0*")) or process.poll() is not None:
            return
        time.sleep(0.01)


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    done = run("train", "mlp", "--data", data, "--run", folder, *OPTIONS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(data, unbroken, tmp_path, number):
    folder = tmp_path / "run"
    process = understudy("train", "mlp", "--data", data, "--run", folder, *OPTIONS)
    wait_for_checkpoint(folder, process)
    os.kill(process.pid, number)
    assert process.wait() == (-9 if number == signal.SIGKILL else 130)
    resumed = run("train", "--resume", folder)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from step" in resumed.stdout
    before, after = weights(unbroken), weights(folder)
    assert before.keys() == after.keys()
    assert all(before[key].equal(after[key]) for key in before)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew(data, unbroken, tmp_path):
    folder = tmp_path / "run"
    options = (*OPTIONS, "--checkpoints", "1")
    process = understudy("train", "mlp", "--data", data, "--run", folder, *options)
    for _ in range(6000):
        if (folder / "metrics.jsonl").exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "checkpoints").exists()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 99')
    resumed = run("train", "--resume", folder)
    assert resumed.returncode == 0, resumed.stderr
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(set(steps))
    assert steps[-1] == 1000
    before, after = weights(unbroken), weights(folder)
    assert all(before[key].equal(after[key]) for key in before)


def test_a_run_goes_on_when_the_data_has_grown_and_not_when_it_has_shrunk(tmp_path, capsys):
    demonstrations.dataset(tmp_path / "data", demonstrations.CONTINUOUS)
    code, _, error = main(capsys, "mlp", "--data", tmp_path / "data", "--run", tmp_path / "run",
                          "--steps", "20", "--width", "8")  # fmt: skip
    assert code == 0, error
    with Dataset.open(tmp_path / "data") as grown:
        grown.append(demonstrations.made_up(demonstrations.CONTINUOUS, 9, 12))
    code, _, error = main(capsys, "--resume", tmp_path / "run")
    assert code == 0, error
    config = json.loads((tmp_path / "run" / "run.json").read_text())
    config["episodes"]["train"][0] = "0" * 32
    (tmp_path / "run" / "run.json").write_text(json.dumps(config))
    code, _, error = main(capsys, "--resume", tmp_path / "run")
    assert code == 2
    assert "no longer holds 1 episode" in error


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
        (("mlp", "--data", "DATA", "--run", "r", "--held-out", "1"), "--held-out"),
        (("mlp", "--data", "DATA", "--run", "r", "--frames-gb", "-1"), "--frames-gb"),
        (("mlp", "--data", "EMPTY", "--run", "r"), "collect or import"),
        (("mlp", "--data", "DATA", "--run", "r", "--width", "0"), "width"),
        (("knn", "--data", "DATA", "--run", "r", "--k", "0"), "k must be"),
        (("mlp", "--data", "DATA", "--run", "r", "--learning-rate", "-1"), "learning_rate"),
        (("mlp", "--data", "DATA", "--run", "DATA/../taken"), "run already"),
        (("--resume", "nowhere"), "no run"),
    ],
)
def test_misuse_is_told_what_is_wrong_before_any_work(data, tmp_path, arguments, complaint, capsys):
    if not (data.parent / "empty").exists():
        Dataset.create(data.parent / "empty", demonstrations.CONTINUOUS)
    (data.parent / "taken").mkdir(exist_ok=True)
    (data.parent / "taken" / "run.json").write_text("{}")
    empty = str(data.parent / "empty")
    given = [str(a).replace("DATA", str(data)).replace("EMPTY", empty) for a in arguments]
    given = [str(tmp_path / a) if a == "r" else a for a in given]
    code, _, error = main(capsys, *given)
    assert code in (1, 2)
    assert complaint in error
    assert not (tmp_path / "r").exists()


def main(capsys, *arguments):
    """What `understudy train` answers in this process: exit code, output, error."""
    try:
        code = understudy_main(["train", *map(str, arguments)])
    except SystemExit as ended:  # options that cannot be read
        code = ended.code
    shown = capsys.readouterr()
    return code, shown.out, shown.err


SMALL_FLOW = ("--network", "residual", "--width", "16", "--depth", "1", "--horizon", "4")


def test_a_dry_run_trains_one_batch_saves_loads_predicts_and_leaves_nothing(data, tmp_path, capsys):
    before = sorted(data.rglob("*"))
    code, shown, _ = main(capsys, "flow", "--data", data, "--dry-run", *SMALL_FLOW)
    assert code == 0
    assert "one batch of" in shown
    assert "saved and loaded" in shown
    assert "nothing was kept" in shown
    assert sorted(data.rglob("*")) == before
    assert not list(tmp_path.iterdir())


def test_an_estimate_says_size_and_time_and_does_not_train(data, capsys):
    code, shown, _ = main(
        capsys, "flow", "--data", data, "--estimate", *SMALL_FLOW, "--steps", "123456"
    )
    assert code == 0
    for words in ("parameters", "one step", "whole run", "one prediction", "123,456 steps"):
        assert words in shown


def test_a_preset_gives_values_that_options_override(data, tmp_path, capsys):
    options = ("--preset", "paper", "--steps", "2", "--width", "8", "--held-out", "0")
    code, _, error = main(capsys, "mlp", "--data", data, "--run", tmp_path / "run", *options)
    assert code == 0, error
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    assert kept["config"]["loss"] == "l2"
    assert kept["learn"]["learning_rate"] == 1e-4
    assert (kept["config"]["width"], kept["learn"]["steps"]) == (8, 2)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("mlp", "--preset", "papr"), "Did you mean 'paper'"),
        (("mlp", "--preset=papr"), "Did you mean 'paper'"),
        (("mlp",), "--run FOLDER"),
        (("one_step", "--dry-run", *SMALL_FLOW), "--teacher RUN"),
        (("cnn", "--dry-run"), "cnn reads cameras"),
    ],
)
def test_what_cannot_begin_says_why(data, arguments, complaint, capsys):
    code, _, error = main(capsys, *arguments, "--data", data)
    assert code == 2
    assert complaint in error


def test_data_of_several_tasks_make_a_policy_that_tells_them_apart(tmp_path, capsys):
    made = tmp_path / "data"
    demonstrations.dataset(made, demonstrations.CONTINUOUS, tasks=("push", "pull"))
    code, shown, _ = main(capsys, "mlp", "--data", made, "--run", tmp_path / "run", "--steps", "2")
    assert code == 0
    assert "tells apart 2 tasks: pull, push" in shown
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    assert kept["config"]["tasks"] == ["pull", "push"]


def test_a_run_keeps_the_mirror_that_it_learns_in(tmp_path, capsys):
    made, run = tmp_path / "data", tmp_path / "run"
    named = replace(demonstrations.CONTINUOUS.action, names=("across", "up"))
    demonstrations.dataset(made, replace(demonstrations.CONTINUOUS, action=named), (20, 30))
    options = ("--held-out", "0", "--steps", "2", "--width", "8", "--mirror", "across = -across")
    code, shown, error = main(capsys, "mlp", "--data", made, "--run", run, *options)
    assert code == 0, error
    assert "2 episodes and their mirror images, 100 windows" in shown
    code, shown, _ = main(capsys, "--resume", run)
    assert (code, "100 windows" in shown) == (0, True)
    code, _, error = main(
        capsys, "mlp", "--data", made, "--run", tmp_path / "2", *options[:-1], "left = 1"
    )
    assert code == 2
    assert "cannot read 'left = 1'" in error
    assert not (tmp_path / "2").exists()


def test_on_a_processor_a_deterministic_run_has_the_bits_of_any_other(data, unbroken, tmp_path):
    folder = tmp_path / "run"
    done = run("train", "mlp", "--data", data, "--run", folder, *OPTIONS, "--deterministic")
    assert done.returncode == 0, done.stderr
    before, after = weights(unbroken), weights(folder)
    assert all(before[key].equal(after[key]) for key in before)


def test_a_run_that_streams_its_frames_goes_on_to_the_same_weights(tmp_path, monkeypatch, capsys):
    cache = tmp_path / "cache"
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(cache))
    demonstrations.dataset(tmp_path / "data", demonstrations.CAMERA, (6, 4, 5, 6, 5, 4))
    options = ("--steps", "12", "--report-every", "6", "--checkpoints", "2", "--batch-size", "4",
               "--width", "8", "--held-out", "0.3", "--frames-gb", "0.00008")  # fmt: skip
    made = tmp_path / "data", "--run", tmp_path / "run"
    code, _, error = main(capsys, "mlp", "--data", *made, *options)
    assert code == 0, error
    assert not list(cache.glob("frames/*/*.npy"))
    assert not list(cache.glob("stream-*"))
    whole = weights(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "000012")
    assert main(capsys, "--resume", tmp_path / "run")[0] == 0
    assert all(whole[key].equal(value) for key, value in weights(tmp_path / "run").items())


@pytest.mark.parametrize(("keep", "kept"), [("2", [6, 8]), ("0", [2, 4, 6, 8])])
def test_as_many_checkpoints_stay_as_asked_for(data, tmp_path, capsys, keep, kept):
    options = (
        "--steps",
        "8",
        "--width",
        "8",
        "--report-every",
        "2",
        "--checkpoints",
        "4",
        "--keep",
        keep,
    )
    code, _, error = main(capsys, "mlp", "--data", data, "--run", tmp_path / "run", *options)
    assert code == 0, error
    assert [int(p.name) for p in checkpoints(tmp_path / "run")] == kept


def test_a_student_learns_from_the_newest_checkpoint_of_a_run(data, tmp_path, capsys):
    small = (*SMALL_FLOW, "--steps", "3", "--batch-size", "8")
    teacher = tmp_path / "teacher"
    assert main(capsys, "flow", "--data", data, "--run", teacher, *small)[0] == 0
    code, _, error = main(
        capsys, "one_step", "--data", data, "--run", tmp_path / "run", *small, "--teacher", teacher
    )
    assert code == 0, error
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    assert kept["config"]["teacher"].endswith("teacher/checkpoints/000003")


def test_of_a_persons_corrections_only_what_they_said_is_learnt(tmp_path, capsys):
    helped(tmp_path / "data")
    words = ("train", "mlp", "--data", tmp_path / "data", "--run", tmp_path / "run", "--steps", 2,
             "--width", 8, "--held-out", 0)  # fmt: skip
    assert understudy_main([str(word) for word in words]) == 0
    assert "2 episodes, 5 windows" in capsys.readouterr().out  # of 3 + 6 ticks
