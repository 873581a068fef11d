"""Tables of numbers: how they are separated, which belong together, and what is refused."""

import numpy as np
import pytest

from tests import demonstrations
from understudy.cli import main
from understudy.data.formats import detect
from understudy.data.formats.text_table import export_folder, import_folder
from understudy.data.store import Dataset
from understudy.spec import ENVIRONMENT_STATE, STATE
from understudy.tasks.panda_trace import PandaTrace

ROWS = np.arange(40.0).reshape(4, 10) / 7


def lines(rows, between=" "):
    return "\n".join(between.join(f"{value:.9g}" for value in row) for row in rows) + "\n"


def test_one_file_of_ten_columns_is_positions_and_angles(tmp_path):
    file = tmp_path / "trace.txt"
    file.write_text(lines(ROWS))
    assert detect(file) == "text-table"
    import_folder(file, tmp_path / "set")
    dataset = Dataset.open(tmp_path / "set")
    dataset.spec.require(PandaTrace().spec)
    np.testing.assert_allclose(dataset.column(ENVIRONMENT_STATE), ROWS[:, :3], rtol=1e-6)
    np.testing.assert_allclose(dataset.column("action"), ROWS[:, 3:], rtol=1e-6)


def test_a_byte_order_mark_costs_no_row(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_text(lines(ROWS, ","), "utf-8-sig")
    import_folder(file, tmp_path / "set")
    assert Dataset.open(tmp_path / "set").lengths.tolist() == [4]


def test_two_files_are_paired_by_name_and_may_have_any_width(tmp_path):
    (tmp_path / "in").mkdir()
    for number, count in (("1", 3), ("2", 4)):
        (tmp_path / "in" / f"states{number}.txt").write_text(lines(ROWS[:count, :4]))
        (tmp_path / "in" / f"actions{number}.txt").write_text(lines(ROWS[:count, 4:6]))
    assert detect(tmp_path / "in") == "text-table"
    import_folder(tmp_path / "in", tmp_path / "set")
    dataset = Dataset.open(tmp_path / "set")
    assert dataset.lengths.tolist() == [3, 4]
    np.testing.assert_allclose(dataset.column(STATE)[:3], ROWS[:3, :4], rtol=1e-6)
    np.testing.assert_allclose(dataset.column("action")[3:], ROWS[:, 4:6], rtol=1e-6)


def test_out_and_in_again_all_numbers_are_the_same(tmp_path):
    import_folder(_single(tmp_path), tmp_path / "set")
    export = ["data", "export", str(tmp_path / "set"), str(tmp_path / "out")]
    assert main([*export, "--format", "text-table"]) == 0
    assert main(["data", "import", str(tmp_path / "out"), str(tmp_path / "again")]) == 0
    before, after = (Dataset.open(tmp_path / name) for name in ("set", "again"))
    for key in (ENVIRONMENT_STATE, "action"):
        np.testing.assert_array_equal(before.column(key), after.column(key))


def test_a_dataset_with_more_than_one_observation_is_not_exported(tmp_path):
    made = demonstrations.dataset(tmp_path / "set", demonstrations.CONTINUOUS)
    with pytest.raises(ValueError, match="one vector that is seen"):
        export_folder(made, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 2\n1 x\n", "line 2: '1 x', expected numbers"),
        ("a b\nc d\n", "line 2"),
        ("1 2\n1 2 3\n", "line 2: 3 numbers, expected 2"),
        ("1 2\n1 nan\n", "line 2: '1 nan', expected finite"),
        ("# nothing\n", "no row of numbers"),
        ("1 2\n", "has 2 columns, expected 10"),
        (" ".join(["1"] * 1001), "more than 1,000 columns"),
    ],
)
def test_a_table_that_is_not_right_is_refused_with_its_line(text, complaint, tmp_path):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        import_folder(tmp_path / "a.txt", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_states_and_actions_that_do_not_fit_together_are_refused(tmp_path):
    (tmp_path / "states.txt").write_text(lines(ROWS))
    with pytest.raises(ValueError, match=r"actions\.txt is no file"):
        import_folder(tmp_path, tmp_path / "set")
    (tmp_path / "actions.txt").write_text(lines(ROWS[:3]))
    with pytest.raises(ValueError, match=r"states\.txt has 4 rows, actions\.txt 3"):
        import_folder(tmp_path, tmp_path / "set")
    (tmp_path / "actions.txt").write_text(lines(ROWS))
    (tmp_path / "states2.txt").write_text(lines(ROWS[:, :3]))
    (tmp_path / "actions2.txt").write_text(lines(ROWS))
    with pytest.raises(ValueError, match="columns .states, actions. differ"):
        import_folder(tmp_path, tmp_path / "set")


def _single(folder):
    (folder / "trace.txt").write_text(lines(ROWS))
    return folder / "trace.txt"
