"""What cannot be played back from what is seen: rests, and paths that run back on themselves."""

import numpy as np
import pytest

from understudy.cli import main
from understudy.policies.crossings import crossings


def episodes(*paths):
    """Rows of paths (T, F) one after the other, and the last row of each row's episode."""
    ends = np.cumsum([len(path) for path in paths]) - 1
    last = np.concatenate([np.full(len(p), end) for p, end in zip(paths, ends, strict=True)])
    return np.concatenate(paths).astype(np.float32), last


def straight(ticks=100):
    return np.linspace(0, 1, ticks)[:, None] * [1.0, 0.5]


def test_a_path_that_goes_on_is_nothing_to_remark():
    found = crossings(*episodes(straight(), straight() + np.array([0, 0.3])))
    assert (found.resting, found.parting, found.remarks) == (0.0, 0.0, ())


def test_a_path_that_runs_back_on_itself_parts_at_nearly_every_tick():
    there_and_back = np.concatenate([straight(), straight()[::-1]])
    found = crossings(*episodes(there_and_back))
    assert found.parting > 0.75
    assert "the other way" in found.remarks[0]


def test_two_demonstrations_in_opposite_directions_part_too():
    assert crossings(*episodes(straight(), straight()[::-1])).parting > 0.9


def test_what_tells_the_two_ways_apart_ends_the_remark():
    there_and_back = np.concatenate([straight(), straight()[::-1]])
    clock = np.linspace(0, 2, len(there_and_back))[:, None]
    assert crossings(*episodes(np.hstack([there_and_back, clock]))).parting == 0.0


def test_a_rest_counts_where_movement_follows_and_not_at_the_end():
    rest = np.zeros((50, 2))
    before = crossings(*episodes(np.concatenate([rest, straight()])))
    assert before.resting == pytest.approx(40 / 150, abs=0.05)
    assert "rest at" in before.remarks[0]
    assert (
        crossings(*episodes(np.concatenate([straight(), rest + np.array([1, 0.5])]))).resting == 0.0
    )


def test_trembling_about_one_place_is_neither_rest_nor_parting():
    trembling = 0.1 * (-1.0) ** np.arange(200)[:, None] * [1.0, 0.5]
    assert crossings(*episodes(trembling)).remarks == ()


@pytest.mark.parametrize("rows", [1, 5])
def test_few_rows_say_nothing(rows):
    assert crossings(*episodes(straight(100)[:rows])).remarks == ()
    assert crossings(*episodes(np.zeros((rows, 2)))).remarks == ()


def test_training_says_that_raise_and_lower_needs_more_than_joints(tmp_path, capsys):
    data = str(tmp_path / "shown")
    task = "kuka-sliders:trace=raise-and-lower,seconds=2"
    assert main(["collect", "--task", task, "--out", data, "--episodes", "1", "--keep", "all"]) == 0
    joints = ["--inputs", "observation.state", "--scale", "together"]
    assert main(["train", "knn", "--data", data, "--run", str(tmp_path / "a"), *joints]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "note: demonstrations rest at" in said
    assert "went the other way" in said
    assert "--feature phase" in said
    whole = [
        "--scale",
        "together",
        "--emphasis",
        "observation.environment_state=3",
        "observation.tape=2",
    ]
    assert main(["train", "knn", "--data", data, "--run", str(tmp_path / "b"), *whole]) == 0
    assert "note:" not in capsys.readouterr().out
