"""`understudy collect --device`: what hands in a script do to a dataset, and what is refused."""

import json

import numpy as np
import pytest

from understudy.cli import main
from understudy.cli.teleoperate import controls_of
from understudy.data import annotations
from understudy.data.store import Dataset
from understudy.physics.arms import PANDA
from understudy.spec import STATE
from understudy.tasks import make_task


def collected(tmp_path, events, *options):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(events))
    words = ["collect", "--task", "mountain-car", "--device", "keyboard", "--script", str(file)]
    code = main([*words, "--out", str(tmp_path / "set"), *options])
    assert code == 0
    return Dataset.open(tmp_path / "set")


LEFT_AND_RIGHT = [[0, "down", "q"], [1, "down", "left"], [5, "up", "left"], [6, "down", "right"]]


def test_collect_records_what_is_pressed(tmp_path):
    events = [*LEFT_AND_RIGHT, [12, "down", "e"], [20, "quit"]]
    dataset = collected(tmp_path, events, "--keep", "all")
    (episode,) = (dataset[i] for i in range(len(dataset)))
    assert episode.actions[:, 0].tolist() == [0] * 4 + [1] + [2] * 7
    assert episode.source == "person"


def test_what_did_not_succeed_is_not_kept_unless_asked_for(tmp_path, capsys):
    dataset = collected(tmp_path, [*LEFT_AND_RIGHT, [12, "down", "e"], [20, "quit"]])
    assert len(dataset) == 0
    assert "--keep all" in capsys.readouterr().out


def test_undo_excludes_the_episode_that_was_saved_last(tmp_path):
    events = [
        [0, "down", "q"], [3, "down", "e"], [5, "down", "q"], [9, "down", "e"], [11, "down", "u"],
        [14, "quit"],
    ]  # fmt: skip
    dataset = collected(tmp_path, events, "--keep", "all")
    assert len(dataset) == 2
    ids = [dataset[i].id for i in range(2)]
    assert annotations.read(tmp_path / "set").excluded == {ids[1]}


def test_the_last_episode_can_be_undone_as_well(tmp_path):
    events = [
        [0, "down", "q"],
        [3, "down", "e"],
        [5, "down", "u"],
        [6, "down", "q"],
        [9, "down", "e"],
        [12, "down", "q"],
    ]
    dataset = collected(tmp_path, [*events, [99, "quit"]], "--keep", "all", "--episodes", "1")
    assert len(dataset) == 2
    assert dataset.selected.tolist() == [1]


def test_sliders_lead_any_task_whose_commands_have_limits(tmp_path):
    file = tmp_path / "hands.json"
    file.write_text(json.dumps([[0, "down", "q"], [1, "slide", "action 0", 1.5], [5, "quit"]]))
    words = ["collect", "--task", "gym:Pendulum-v1", "--device", "sliders", "--script", str(file)]
    assert main([*words, "--out", str(tmp_path / "set"), "--keep", "all"]) == 0
    script = json.loads(file.read_text())
    file.write_text(json.dumps([*script[:-1], [3, "down", "e"], [6, "quit"]]))
    assert main([*words, "--out", str(tmp_path / "set"), "--keep", "all"]) == 0
    dataset = Dataset.open(tmp_path / "set")
    np.testing.assert_allclose(dataset[0].actions[:, 0], [1.5, 1.5, 1.5])


@pytest.mark.parametrize("name", ["kuka-sliders", "panda-grasp", "two-arm-transfer"])
def test_hands_that_do_nothing_leave_an_arm_where_it_is_seen(name, tmp_path):
    file = tmp_path / "hands.json"
    file.write_text(json.dumps([[0, "down", "q"], [3, "down", "e"], [9, "quit"]]))
    words = ["collect", "--task", name, "--device", "sliders", "--script", str(file)]
    assert main([*words, "--out", str(tmp_path / "set"), "--keep", "all"]) == 0
    episode = Dataset.open(tmp_path / "set")[0]
    count = episode.observations[STATE].shape[1]
    away = episode.actions[0, :count] - episode.observations[STATE][0]
    assert np.abs(away).max() < 0.002  # the iiwa's joints begin 0.001 rad off their sliders


def test_where_the_arm_is_not_seen_sliders_begin_where_it_waits():
    task = make_task("panda-trace")
    np.testing.assert_array_equal(controls_of(task, "sliders").begin, PANDA.home_rad)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--task", "mountain-car", "--device", "sliders"], "the action here is choices"),
        (
            ["--task", "panda-trace", "--device", "keyboard"],
            "--device draw, sliders or bullet-sliders",
        ),
        (
            ["--task", "gym:Pendulum-v1", "--device", "gamepad"],
            "--device sliders or bullet-sliders",
        ),
        (["--task", "gym:CartPole-v1", "--device", "keyboard"], "no device leads it"),
        (["--task", "kuka-sliders", "--device", "gamepad"], "--device keyboard leads it"),
        (
            ["--task", "pusht", "--device", "keyboard", "--worlds", "2"],
            "one person leads one world",
        ),
    ],
)
def test_a_task_that_a_device_cannot_lead_is_refused(words, complaint, tmp_path, capsys):
    assert main(["collect", *words, "--out", str(tmp_path / "set")]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("words", [["--task", "gym:Pendulum-v1"], ["--task", "cart-pole"]])
def test_a_session_that_cannot_begin_leaves_no_folder(words, tmp_path):
    script = ["--device", "keyboard", "--script", str(tmp_path / "none.json")]
    assert main(["collect", *words, *script, "--out", str(tmp_path / "set")]) == 2
    assert not (tmp_path / "set").exists()


def test_a_script_without_a_keyboard_is_refused(tmp_path, capsys):
    words = ["collect", "--task", "mountain-car", "--script", "keys.json"]
    assert main([*words, "--out", str(tmp_path / "set")]) == 2
    assert "needs a --device" in capsys.readouterr().err


def test_a_second_session_goes_on_with_seeds_that_were_not_shown_yet(tmp_path):
    events = [[0, "down", "q"], [3, "down", "e"], [6, "quit"]]
    collected(tmp_path, events, "--keep", "all")
    dataset = collected(tmp_path, events, "--keep", "all")
    assert [dataset[i].seed for i in range(2)] == [0, 1]


def test_a_dataset_of_which_everything_was_undone_can_still_be_looked_at(tmp_path, capsys):
    events = [[0, "down", "q"], [3, "down", "e"], [5, "down", "u"], [8, "quit"]]
    collected(tmp_path, events, "--keep", "all")
    assert main(["data", "info", str(tmp_path / "set")]) == 0
    assert "excluded by an annotation: 1 episode" in capsys.readouterr().out
