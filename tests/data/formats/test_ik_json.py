"""Records of inverse kinematics: small sets of our own in the manner of the original's."""

import json

import numpy as np
import pytest

from understudy.cli import main
from understudy.data.formats import detect
from understudy.data.formats.ik_json import export_folder, import_folder
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.spec import ENVIRONMENT_STATE
from understudy.tasks.panda_trace import PandaTrace

DESIRED, ANGLES = "desired_end_effector_position", "joint_angles"
ROWS = [
    {"current_state": None, DESIRED: [0.5, 0.1 * i, 0.25], ANGLES: [0.1 * i, *range(6)]}
    for i in range(3)
]


def written(path, records):
    path.write_text(json.dumps(records))
    return path


def test_positions_and_angles_come_in_and_fit_the_task(tmp_path):
    file = written(tmp_path / "set.json", ROWS)
    assert detect(file) == "ik-json"
    imported = import_folder(file, tmp_path / "set")
    dataset = Dataset.open(tmp_path / "set")
    dataset.spec.require(PandaTrace().spec)
    assert imported.episodes == 1
    np.testing.assert_allclose(dataset.column(ENVIRONMENT_STATE)[:, 1], [0, 0.1, 0.2], rtol=1e-6)
    np.testing.assert_allclose(dataset.column("action")[2], [0.2, *range(6)], rtol=1e-6)
    assert not any("left out" in sentence for sentence in imported.not_carried)


def test_recorded_sets_have_other_names_and_what_is_not_read_is_said(tmp_path):
    rows = [
        {
            "current_joint_angles": row[ANGLES],
            "current_end_effector_position": row[DESIRED],
            "current_state": [0] * 7,
        }
        for row in ROWS
    ]
    imported = import_folder(written(tmp_path / "set.json", rows), tmp_path / "set")
    assert "current_state is left out" in imported.not_carried
    np.testing.assert_allclose(Dataset.open(tmp_path / "set").column("action")[0], [0, *range(6)])


def test_a_folder_is_an_episode_a_file_in_order_of_name(tmp_path):
    (tmp_path / "in").mkdir()
    written(tmp_path / "in" / "b.json", ROWS[:2])
    written(tmp_path / "in" / "a.json", ROWS)
    assert detect(tmp_path / "in") == "ik-json"
    import_folder(tmp_path / "in", tmp_path / "set")
    assert Dataset.open(tmp_path / "set").lengths.tolist() == [3, 2]


def test_out_and_in_again_all_numbers_are_the_same(tmp_path):
    task = PandaTrace(curve="circle")
    with Dataset.create(tmp_path / "set", task.spec) as dataset:
        for episode in Here(worlds=1).rollouts(task, ExpertActor(), range(2)):
            dataset.append(episode)
    assert main(["data", "export", *map(str, (tmp_path / "set", tmp_path / "out")),
                 "--format", "ik-json"]) == 0  # fmt: skip
    assert main(["data", "import", *map(str, (tmp_path / "out", tmp_path / "again"))]) == 0
    before, after = (Dataset.open(tmp_path / name) for name in ("set", "again"))
    for key in (ENVIRONMENT_STATE, "action"):
        np.testing.assert_array_equal(before.column(key), after.column(key))
    np.testing.assert_array_equal(before.lengths, after.lengths)


def test_a_dataset_of_other_signals_is_not_exported(tmp_path):
    from tests import demonstrations

    made = demonstrations.dataset(tmp_path / "set", demonstrations.CONTINUOUS)
    with pytest.raises(ValueError, match="a position .3. and seven angles"):
        export_folder(made, tmp_path / "out")


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ({}, "holds no list"),
        ([], "list of 0"),
        ([{"position": [1, 2, 3]}], "record 0: keys .'position'., expected desired_end"),
        ([*ROWS, 5], "record 3: '5', expected an object"),
        ([*ROWS, {**ROWS[0], ANGLES: [1, 2]}], r"record 3: joint_angles is \[1, 2\], expected 7"),
        ([*ROWS, {DESIRED: [0, 0, 0]}], "record 3: joint_angles is None"),
        ([{**ROWS[0], DESIRED: [0, "1", 0]}], "record 0: .* has 1, expected finite numbers"),
        ([{**ROWS[0], DESIRED: [0, True, 0]}], "expected finite numbers"),
        ([{**ROWS[0], DESIRED: [0, float("nan"), 0]}], "has nan, expected finite numbers"),
        ([{**ROWS[0], DESIRED: [0, 10**400, 0]}], "expected finite numbers"),
    ],
)
def test_records_that_are_not_right_are_refused_with_their_number(records, complaint, tmp_path):
    file = written(tmp_path / "set.json", records)
    with pytest.raises(ValueError, match=complaint):
        import_folder(file, tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("text", ["[", "\x00", "[" * 100_000])
def test_what_is_no_json_is_refused(text, tmp_path):
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(ValueError, match="is not JSON that can be read"):
        import_folder(tmp_path / "set.json", tmp_path / "set")


def test_a_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    import understudy.data.formats.pairs as module

    monkeypatch.setattr(module, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="expected at most"):
        import_folder(written(tmp_path / "set.json", ROWS), tmp_path / "set")


def test_a_folder_of_other_json_is_not_taken_for_records(tmp_path):
    written(tmp_path / "info.json", {"codebase_version": "v3.0"})
    assert detect(tmp_path) is None
    assert detect(tmp_path / "info.json") is None
