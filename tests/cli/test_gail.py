"""The terminal's way to learn by trying: begun, stopped, gone on with, refused."""

import json
import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from tests import demonstrations
from tests.processes import understudy
from understudy.actor import MIXTURE
from understudy.cli import main as understudy_main
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.run import checkpoints
from understudy.tasks import make_task

OPTIONS = ("--task", "cart-pole", "--steps", "3000", "--steps-per-round", "200", "--epochs", "2",
           "--updates", "2", "--width", "16", "--checkpoints", "30")  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    task = make_task("cart-pole")
    made = Dataset.create(tmp_path_factory.mktemp("gail") / "data", task.spec)
    for episode in Here().rollouts(task, ExpertActor(), range(3)):
        made.append(episode)
    made.close()
    return made.folder


def run(*arguments):
    return understudy(*arguments).done()


def test_a_run_that_was_killed_goes_on_to_the_same_weights(data, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = run("gail", "mlp", "--data", data, "--run", whole, *OPTIONS)
    assert done.returncode == 0, done.stderr
    assert re.search(r"too few: cart-pole needed [\d,]+ steps", done.stdout)
    process = understudy("gail", "mlp", "--data", data, "--run", broken, *OPTIONS)
    while process.poll() is None and not any((broken / "checkpoints").glob("0*")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    resumed = run("gail", "--resume", broken)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from step" in resumed.stdout
    for name in ("model.safetensors", "training.safetensors"):
        before, after = (load_file([*checkpoints(run)][-1] / name) for run in (whole, broken))
        assert before.keys() == after.keys()
        assert all(before[key].equal(after[key]) for key in before)
    rows = [json.loads(line) for line in (broken / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows]
    assert steps == sorted(set(steps))
    assert {"return", "length", "success", "accuracy", "steps_per_s"} <= rows[0].keys()
    assert (
        run("evaluate", whole, "--task", "cart-pole", "--episodes", 3, "--videos", 0).returncode
        == 0
    )


def test_it_begins_with_a_policy_that_was_trained_before(data, tmp_path, capsys):
    train = ("train", "mlp", "--data", data, "--run", tmp_path / "cloned", "--steps", 50,
             "--width", 16, "--held-out", 0)  # fmt: skip
    assert understudy_main([str(word) for word in train]) == 0
    go_on = ("gail", "mlp", "--data", data, "--task", "cart-pole", "--run", tmp_path / "run",
             "--from", tmp_path / "cloned", "--steps", 300)  # fmt: skip
    assert understudy_main([str(word) for word in go_on]) == 0
    for changed, said in (
        ("--clone-steps", "either --from"),
        ("--width", "is taken as it is, with 16"),
    ):
        asked = [str(word) for word in go_on] + ["--run", str(tmp_path / "other"), changed, "100"]
        assert understudy_main(asked) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "other").exists()
    plan = json.loads((tmp_path / "run" / "run.json").read_text())
    assert plan["config"]["width"] == 16
    assert plan["from"]["fingerprint"]
    scales = [
        load_file([*checkpoints(tmp_path / name)][-1] / "model.safetensors")
        for name in ("cloned", "run")
    ]
    key = "input.vectors.encoders.0.scale"
    assert scales[0][key].equal(scales[1][key])  # what was cloned keeps its normalisers
    assert not scales[0]["head.last.weight"].equal(scales[1]["head.last.weight"])


def test_a_pool_learns_the_same_to_the_bit(data, tmp_path, capsys):
    learnt = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        words = ("gail", "mlp", "--data", data, "--run", folder, *OPTIONS, "--steps", 600,
                 "--workers", workers, "--worlds", 4 * workers)  # fmt: skip
        assert understudy_main([str(word) for word in words]) == 0
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for row in rows:
            row["steps_per_s"] = None
        learnt.append((rows, load_file([*checkpoints(folder)][-1] / "training.safetensors")))
    (rows, state), (again, same) = learnt
    assert again == rows
    assert len(rows) > 2
    assert all(state[key].equal(same[key]) for key in state)


def test_episodes_of_mixtures_are_left_out_and_that_is_said(data, tmp_path, capsys):
    shown, task = Dataset.open(data), make_task("cart-pole")
    with Dataset.create(tmp_path / "data", task.spec) as mixed:
        mixed.append(shown[0])
        mixed.append(replace(shown[1], source=f"{MIXTURE}person, 0123"))
    words = ("gail", "mlp", "--data", tmp_path / "data", "--task", "cart-pole", "--run",
             tmp_path / "run", "--steps", 100, "--steps-per-round", 100)  # fmt: skip
    assert understudy_main([str(word) for word in words]) == 0
    assert "1 demonstration, " in (said := capsys.readouterr().out)
    assert "1 episode of mixtures left out" in said
    plan = json.loads((tmp_path / "run" / "run.json").read_text())
    assert plan["episodes"]["train"] == [shown.ids[0]]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("mlp", "--task", "mountain-car"), "do not fit together"),
        (("gaussian", "--task", "cart-pole", "--horizon", "4"), "with horizon 1"),
        (("act", "--task", "cart-pole"), "take gaussian"),
        (("mlp", "--task", "cart-pole", "--preset", "cart-pol"), "Did you mean 'cart-pole'"),
        (("mlp", "--task", "cart-pole", "--from", "nowhere"), "nowhere holds no checkpoint"),
        (("mlp", "--task", "cart-pole", "--address", "auto"), "needs --fleet ray"),
        (("mlp", "--task", "cart-pole", "--batch-size", "1"), "batch_size must be at least 2"),
    ],
)
def test_what_cannot_be_done_is_refused_before_there_is_a_run(
    data, tmp_path, capsys, words, complaint
):
    folder = tmp_path / "run"
    with suppress(SystemExit):  # of options that cannot be read
        assert understudy_main(["gail", *words, "--data", str(data), "--run", str(folder)]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
    assert not folder.exists()


def test_what_was_really_played_is_said(data, tmp_path, capsys):
    words = ("gail", "mlp", "--data", data, "--task", "cart-pole", "--run", tmp_path / "run",
             "--steps", 50, "--steps-per-round", 400)  # fmt: skip
    assert understudy_main([str(word) for word in words]) == 0
    (row,) = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert f"{json.loads(row)['step']:,}/50 " in capsys.readouterr().out
    assert json.loads(row)["step"] > 50


def test_pictures_alone_are_refused(tmp_path, capsys):
    spec = demonstrations.CAMERA.only(demonstrations.CAMERA.cameras)
    demonstrations.dataset(tmp_path / "data", spec, lengths=(3,))
    words = ["--data", str(tmp_path / "data"), "--task", "car-racing", "--run", str(tmp_path / "r")]
    assert understudy_main(["gail", "gaussian", *words]) == 2
    assert "GAIL leaves pictures out and needs vectors" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
