"""A policy that shows and corrects in the place of a task's expert, as a user asks for it."""

import json

import numpy as np
import pytest
import torch

from tests.baselines_zip import CART_POLE, layers, saved, weights_of
from understudy.cli import main
from understudy.data.store import Dataset
from understudy.spec import STATE

TINY = ("--rounds", "1", "--episodes", "2", "--starts", "2", "--width", "8", "--depth", "1", "--steps", "2",
        "--beta", "zero")  # fmt: skip


@pytest.fixture(scope="module")
def linear():
    return layers(CART_POLE)


@pytest.fixture(scope="module")
def baseline(linear, tmp_path_factory):
    return saved(tmp_path_factory.mktemp("sb3") / "expert.zip", weights_of("ppo", linear))


def chosen_by(linear, episode):
    values = torch.from_numpy(np.array(episode.observations[STATE]))
    with torch.no_grad():
        for layer in linear[:-1]:
            values = torch.tanh(layer(values))
        return linear[-1](values).argmax(1).numpy()


def test_a_policy_of_stable_baselines_shows_a_task(linear, baseline, tmp_path):
    words = [
        "--task",
        "cart-pole",
        "--out",
        str(tmp_path / "shown"),
        "--episodes",
        "2",
        "--keep",
        "all",
    ]
    assert main(["collect", *words, "--expert", str(baseline)]) == 0
    dataset = Dataset.open(tmp_path / "shown")
    assert set(dataset.sources) == {"stable-baselines3 expert.zip"}
    for episode in (dataset[i] for i in range(2)):
        np.testing.assert_array_equal(episode.actions[:, 0], chosen_by(linear, episode))


def test_it_shows_and_corrects_in_dagger_where_the_task_has_no_expert(
    linear, baseline, tmp_path, monkeypatch
):
    monkeypatch.chdir(baseline.parent)
    run = tmp_path / "run"
    words = ["--task", "gym:CartPole-v1", "--demonstrations", "1", *TINY, "--run", str(run)]
    assert main(["dagger", "mlp", *words, "--expert", "expert.zip"]) == 0
    dataset = Dataset.open(run / "data")
    assert dataset.sources[0] == "stable-baselines3 expert.zip"
    for episode in (dataset[i] for i in range(1, 3)):
        assert episode.source.startswith("mixture of stable-baselines3 expert.zip, ")
        np.testing.assert_array_equal(episode.labels[:, 0], chosen_by(linear, episode))
    kept = json.loads((run / "run.json").read_text())
    assert str(baseline) in json.dumps(kept), "a run is gone on with from any folder"


def test_who_shows_it_is_one_and_fits(baseline, tmp_path, capsys):
    out = str(tmp_path / "out")
    cases = [
        (["--task", "cart-pole", "--device", "keyboard"], baseline, "--expert"),
        (["--task", "mountain-car"], baseline, "maps 4 numbers to 2"),
        (["--task", "cart-pole"], tmp_path / "none", "none does not exist"),
        (["--task", "pusht"], "", "--expert RUN"),
    ]
    for words, expert, complaint in cases:
        assert main(["collect", "--out", out, *words, "--expert", str(expert)]) == 2
        assert complaint in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
