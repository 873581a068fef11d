"""`understudy dagger`, as a user takes it: to the target, killed, interrupted, misused."""

import json
import os
import signal
import time
from contextlib import suppress

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.processes import understudy
from understudy.cli import main
from understudy.data.store import Dataset
from understudy.policies import POLICIES
from understudy.policies.checkpoint import load_checkpoint
from understudy.spec import STATE

SMALL = ("--task", "mountain-car", "--rounds", "2", "--episodes", "4", "--starts", "20", "--width", "16",
         "--depth", "1", "--steps", "60", "--batch-size", "32")  # fmt: skip
SHOWN = ("--demonstrations", "2")


def dagger(folder, *arguments):
    shown = () if "--data" in arguments else SHOWN
    return main(["dagger", "mlp", "--run", str(folder), *SMALL, *shown, *arguments])


def outcome(folder):
    """What a run came to: the ids of its data, its weights, its rounds."""
    weights = load_file(folder / "checkpoints" / "000002" / "model.safetensors")
    rounds = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return Dataset.open(folder / "data").ids, {k: v.tolist() for k, v in weights.items()}, rounds


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dagger") / "run"
    assert dagger(folder) == 0
    return folder


def test_rounds_add_up_and_the_run_stands_for_its_last_policy(unbroken, tmp_path, capsys):
    dataset = Dataset.open(unbroken / "data")
    assert dataset.seeds == tuple(range(10))
    assert [row["episodes"] for row in outcome(unbroken)[2]] == [2, 6, 10]
    assert sorted(p.name for p in (unbroken / "checkpoints").iterdir()) == [
        "000000",
        "000001",
        "000002",
    ]
    words = ["--task", "mountain-car", "--episodes", "3", "--videos", "0", "--out", str(tmp_path)]
    assert main(["evaluate", str(unbroken), *words]) == 0
    provenance = json.loads((unbroken / "checkpoints" / "000002" / "provenance.json").read_text())
    assert provenance["dagger"]["step"] == 2
    assert len(provenance["run"]["episodes"]["train"]) == 10
    assert main(["dagger", "--resume", str(unbroken)]) == 0
    assert "done already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("number", "awaited"),
    [
        (signal.SIGKILL, "data/data/chunk-000/file-003.parquet"),  # in round 1's collecting
        (signal.SIGTERM, "rounds/01/policy/metrics.jsonl"),  # in its training
        (signal.SIGKILL, "rounds/01/policy/checkpoints/000060"),  # in its evaluation
    ],
)
def test_a_run_that_was_stopped_goes_on_to_the_same(unbroken, tmp_path, number, awaited):
    folder = tmp_path / "run"
    process = understudy("dagger", "mlp", "--run", folder, *SMALL, *SHOWN)
    while process.poll() is None and not (folder / awaited).exists():
        time.sleep(0.002)
    os.kill(process.pid, number)
    process.wait()
    done = understudy("dagger", "--resume", folder).done()
    assert done.returncode == 0, done.stderr
    assert outcome(folder) == outcome(unbroken)


def test_it_begins_with_the_demonstrations_that_are_given_and_stops_at_the_target(tmp_path, capsys):
    shown = tmp_path / "shown"
    words = ["collect", "--task", "mountain-car", "--out", str(shown), "--episodes", "3"]
    assert main([*words, "--seed", "50"]) == 0
    target = ["--data", str(shown), "--target-score", "-200", "--gate", "safe"]
    assert dagger(tmp_path / "run", *target) == 0
    data = Dataset.open(tmp_path / "run" / "data")
    assert data.seeds == (50, 51, 52)
    assert data.ids == Dataset.open(shown).ids
    assert "the target is met in round 0" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["expert", "None"])
def test_a_dataset_may_have_any_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["collect", "--task", "mountain-car", "--out", name, "--episodes", "1", "--seed", "50"]
    assert main(words) == 0
    assert dagger(tmp_path / "run", "--data", name, "--rounds", "0") == 0
    assert Dataset.open(tmp_path / "run" / "data").seeds == (50,)


def test_an_expert_that_does_not_succeed_shows_as_often_as_asked(tmp_path):
    words = ["--run", str(tmp_path / "run"), "--demonstrations", "2"]
    words += ["--task", "panda-trace:demonstrations=mixed,spacing_m=0.05"]
    small = ["--rounds", "0", "--steps", "5", "--width", "16", "--starts", "1"]
    assert main(["dagger", "mlp", *words, *small]) == 0
    shown = Dataset.open(tmp_path / "run" / "data")
    assert shown.seeds == (0, 1)
    assert shown[0].success is False


def test_the_help_says_who_shows_it_where_no_data_are_named(capsys):
    with pytest.raises(SystemExit):
        main(["dagger", "mlp", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--data PATH Folder of the dataset. (default: none, the task's expert shows it)" in shown
    assert "--run PATH Folder that the run is kept in; must be new. (required)" in shown


def test_fine_tuning_begins_with_the_last_rounds_weights(tmp_path, capsys):
    options = ["--rounds", "1", "--fine-tune", "--round-steps", "20", "--gate", "ensemble"]
    assert dagger(tmp_path / "run", *options, "--members", "2", "--doubt", "0.3") == 0
    plan = json.loads((tmp_path / "run" / "rounds" / "01" / "policy" / "run.json").read_text())
    assert plan["from"]["checkpoint"].endswith("rounds/00/policy/checkpoints/000060")
    assert plan["learn"]["steps"] == 20
    other = json.loads((tmp_path / "run" / "rounds" / "01" / "member-1" / "run.json").read_text())
    assert other["learn"]["seed"] == plan["learn"]["seed"] + 1
    assert "100.0% of" in capsys.readouterr().out


def test_a_stronger_policy_corrects_in_the_place_of_the_expert(unbroken, tmp_path):
    run = tmp_path / "run"
    words = (
        "--rounds",
        "1",
        "--beta",
        "zero",
        "--seed",
        "2",
        "--steps",
        "2",
        "--expert",
        str(unbroken),
    )
    assert dagger(run, *words) == 0
    dataset = Dataset.open(run / "data")
    stronger = load_checkpoint(unbroken / "checkpoints" / "000002")
    learner = load_checkpoint(run / "checkpoints" / "000000")
    assert set(dataset.sources[2:]) == {f"mixture of {stronger.fingerprint}, {learner.fingerprint}"}
    differed = 0
    for episode in (dataset[i] for i in range(2, len(dataset))):
        seen = {STATE: torch.from_numpy(np.array(episode.observations[STATE]))[:, None]}
        with torch.inference_mode():
            said = stronger.policy.predict(seen, torch.zeros(len(episode), 0))[:, 0]
        assert (episode.labels == said.numpy()).all()
        differed += (episode.actions != episode.labels).sum()
    assert differed > 0


def test_a_person_takes_over_and_only_their_labels_are_learnt_from(tmp_path):
    moments = [[0, "down", "q"], [1, "down", "t"], [3, "down", "right"], [20, "down", "t"]]
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps([*moments, [30, "down", "e"]]))
    options = ["--rounds", "1", "--episodes", "1", "--gate", "person", "--script", str(keys)]
    assert dagger(tmp_path / "run", *options) == 0
    dataset = Dataset.open(tmp_path / "run" / "data")
    episode = dataset[2]
    assert episode.intervention.sum() == 19
    assert (episode.labels == episode.labels).sum() == 19
    assert episode.source.startswith("mixture of person, ")


@pytest.mark.parametrize("policy", sorted({*POLICIES}))
def test_the_options_of_every_policy_go_with_those_of_the_rounds(policy, tmp_path):
    words = [
        "dagger",
        policy,
        "--task",
        "mountain-car",
        "--run",
        str(tmp_path / "run"),
        "--rounds",
        "0",
    ]
    with pytest.raises(SystemExit):
        main([*words, "--no-such-option"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["mpl", "--task", "cart-pole", "--run", "r"], "Did you mean 'mlp'?"),
        (["mlp", "--task", "cart-pool", "--run", "r"], "Did you mean 'cart-pole'?"),
        (["mlp", "--task", "cart-pole"], "--run"),
        (["mlp", "--task", "pusht", "--run", "r"], "--expert RUN lets a stronger policy do it"),
        (["mlp", "--task", "pusht", "--run", "r", "--expert", "nowhere"], "nowhere"),
        (
            ["mlp", "--task", "pusht", "--run", "r", "--gate", "person", "--hands", "sliders"],
            "--data",
        ),
        (["mlp", "--task", "hopper", "--run", "r", "--gate", "person"], "has no keys"),
        (["mlp", "--task", "cart-pole", "--run", "r", "--data", "nowhere"], "nowhere"),
        (["mlp", "--task", "cart-pole", "--run", "r", "--rounds", "600"], "fewer rounds"),
        (["mlp", "--task", "cart-pole", "--run", "r", "--demonstrations", "0"], "at least 1"),
        (["mlp", "--task", "cart-pole", "--run", "r", "--target-success", "95"], "in 0..1"),
        (["mlp", "--task", "cart-pole", "--run", "r", "--beta-decay", "2"], "--beta-decay"),
        (["mlp", "--task", "cart-pole", "--run", "r", "--dry-run"], "understudy train"),
        (["--resume", "nowhere"], "holds no run"),
    ],
)
def test_misuse_is_told_what_is_wrong_before_there_is_a_run(
    arguments, complaint, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with suppress(SystemExit):  # of options that cannot be read
        assert main(["dagger", *arguments]) in (1, 2)
    assert complaint in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "r").exists()


def test_a_policy_without_weights_is_corrected_as_well(tmp_path, capsys):
    words = ["--task", "mountain-car", "--demonstrations", "2", "--rounds", "1", "--episodes", "2"]
    folder = str(tmp_path / "run")
    assert main(["dagger", "knn", "--run", folder, *words, "--starts", "5"]) == 0
    (tmp_path / "run" / "metrics.jsonl").write_text(
        ""
    )  # killed before it was noted that a round is done
    assert main(["dagger", "--resume", folder]) == 0
    assert len(Dataset.open(tmp_path / "run" / "data")) == 4
