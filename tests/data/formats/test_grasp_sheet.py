"""Spreadsheets of grasping: the same numbers in and out, and nothing else gets in."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import openpyxl
import pytest

from understudy.cli import main
from understudy.data.formats import detect
from understudy.data.formats.grasp_sheet import COLUMNS, export_folder, import_folder, read_sheet
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.spec import ENVIRONMENT_STATE, STATE
from understudy.tasks.panda_grasp import PandaGrasp

ROWS = [
    (0.5123456789, 0.3, -0.51, 0.5, 0.2, -0.5, 1),
    (0.51, 0.25, -0.505, 0.5, 0.2, -0.5, 1),
    (0.5, 0.2, -0.5, 0.5, 0.2, -0.5, 0),
]


def sheet(file, rows=ROWS, columns=COLUMNS):
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append(list(columns))
    for row in rows:
        page.append(list(row))
    book.save(file)
    return file


def test_a_sheet_becomes_an_episode_whose_commands_are_the_next_rows(tmp_path):
    file = sheet(tmp_path / "demo2024-11-02_10-00-00.xlsx")
    assert detect(file) == detect(tmp_path) == "grasp-sheet"
    imported = import_folder(file, tmp_path / "set")
    assert imported.episodes == 1
    episode = Dataset.open(tmp_path / "set")[0]
    x, y, z, _, _, _, finger = np.array(ROWS).T
    hand = np.stack([x, -z, y, finger], 1)  # in the file y points up
    np.testing.assert_allclose(episode.observations[STATE], hand, rtol=1e-7)
    np.testing.assert_allclose(episode.observations[ENVIRONMENT_STATE], [[0.5, 0.5, 0.2]] * 3)
    np.testing.assert_array_equal(episode.actions[:-1], np.asarray(episode.observations[STATE])[1:])
    np.testing.assert_array_equal(episode.actions[-1], np.asarray(episode.observations[STATE])[-1])


def test_what_was_recorded_here_leaves_and_comes_back_with_the_same_numbers(tmp_path):
    with Dataset.create(tmp_path / "set", PandaGrasp().spec) as dataset:
        for episode in Here(worlds=1).rollouts(PandaGrasp(), ExpertActor(), range(2)):
            dataset.append(episode)
    dataset = Dataset.open(tmp_path / "set")
    lost = export_folder(dataset, tmp_path / "sheets")
    assert any("commands" in sentence for sentence in lost)
    assert sorted(file.name for file in (tmp_path / "sheets").iterdir()) == [
        "demo0000.xlsx",
        "demo0001.xlsx",
    ]
    import_folder(tmp_path / "sheets", tmp_path / "again")
    for before, after in zip(dataset, Dataset.open(tmp_path / "again"), strict=True):
        for key in (STATE, ENVIRONMENT_STATE):
            np.testing.assert_array_equal(after.observations[key], before.observations[key])


def test_a_policy_for_the_task_accepts_what_comes_in(tmp_path):
    import_folder(sheet(tmp_path / "demo.xlsx"), tmp_path / "set")
    Dataset.open(tmp_path / "set").spec.require(PandaGrasp().spec)
    PandaGrasp().spec.require(Dataset.open(tmp_path / "set").spec)


@pytest.mark.parametrize(
    ("rows", "columns", "complaint"),
    [
        (ROWS, (*COLUMNS[:6], "grip"), "columns .*grip.*expected.*finger"),
        ([*ROWS, (1, 2, None, 4, 5, 6, 1)], COLUMNS, "row 5: no number in End_pos_z"),
        ([*ROWS, (1, 2, "3", 4, 5, 6, 1)], COLUMNS, "row 5: no number in End_pos_z"),
        ([*ROWS, (1, 2, 3, 4, 5, 6, 0.5)], COLUMNS, "row 5: finger is 0.5, expected 0 or 1"),
        (ROWS[:1], COLUMNS, "1 rows of numbers, an episode has at least 2"),
    ],
)
def test_a_sheet_that_is_not_right_is_refused_with_its_row(rows, columns, complaint, tmp_path):
    file = sheet(tmp_path / "demo.xlsx", rows, columns)
    with pytest.raises(ValueError, match=complaint):
        import_folder(file, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_what_is_no_spreadsheet_is_refused(tmp_path):
    (tmp_path / "demo.xlsx").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="is no spreadsheet"):
        import_folder(tmp_path / "demo.xlsx", tmp_path / "set")


def test_a_file_that_unpacks_to_more_than_a_sheet_has_is_refused(tmp_path, monkeypatch):
    import understudy.data.formats.grasp_sheet as module

    monkeypatch.setattr(module, "MOST_BYTES", 10_000)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "0" * 20_000)
    (tmp_path / "demo.xlsx").write_bytes(packed.getvalue())
    with pytest.raises(ValueError, match="unpacks to"):
        import_folder(tmp_path / "demo.xlsx", tmp_path / "set")


def test_the_terminal_takes_them_in_and_out(tmp_path, capsys):
    sheet(tmp_path / "demo.xlsx")
    assert main(["data", "import", str(tmp_path / "demo.xlsx"), str(tmp_path / "set")]) == 0
    export = ["data", "export", str(tmp_path / "set"), str(tmp_path / "out")]
    assert main([*export, "--format", "grasp-sheet"]) == 0
    assert "1 episode -> " in capsys.readouterr().out
    assert main([*export, "--format", "grasp-sheet"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*export[:-1], str(tmp_path / "other"), "--format", "grasp"]) == 2
    assert "Did you mean 'grasp-sheet'" in capsys.readouterr().err


def recorded(tmp_path, task=None, count=2):
    task = task or PandaGrasp()
    with Dataset.create(tmp_path / "set", task.spec) as dataset:
        for episode in Here(worlds=1).rollouts(task, ExpertActor(), range(count)):
            dataset.append(episode)
    return Dataset.open(tmp_path / "set")


def test_in_the_file_the_object_lies_low_along_y(tmp_path):
    export_folder(recorded(tmp_path, count=1), tmp_path / "sheets")
    rows = read_sheet(tmp_path / "sheets" / "demo0000.xlsx")
    assert rows[0, 4] == pytest.approx(0.025, abs=0.001)
    assert rows[-1, 4] > 0.1


def test_excluded_episodes_stay_out_and_this_is_said(tmp_path):
    dataset = recorded(tmp_path)
    dataset.annotate(0, exclude=True)
    lost = export_folder(dataset, tmp_path / "sheets")
    assert [file.name for file in (tmp_path / "sheets").iterdir()] == ["demo0001.xlsx"]
    assert "1 excluded episodes are left out" in lost


def test_another_rate_is_not_exported_as_if_it_were_this_one(tmp_path):
    spec = replace(PandaGrasp().spec, rate_hz=50.0)
    with pytest.raises(ValueError, match="10 rows a second, this is 50 Hz"):
        export_folder(Dataset.create(tmp_path / "set", spec), tmp_path / "sheets")


def test_what_excel_leaves_beside_an_open_file_is_passed_over(tmp_path):
    sheet(tmp_path / "demo.xlsx")
    (tmp_path / "~$demo.xlsx").write_bytes(b"locked")
    assert import_folder(tmp_path, tmp_path / "set").episodes == 1


def test_a_folder_without_sheets_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no spreadsheet"):
        import_folder(tmp_path / "empty", tmp_path / "set")


@pytest.mark.parametrize("part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml"])
def test_a_damaged_sheet_is_refused(part, tmp_path):
    whole = sheet(tmp_path / "whole.xlsx")
    with (
        zipfile.ZipFile(whole) as given,
        zipfile.ZipFile(tmp_path / "demo.xlsx", "w") as made,
    ):
        for name in given.namelist():
            content = given.read(name)
            made.writestr(name, content[: len(content) // 2] if name == part else content)
    with pytest.raises(ValueError, match=r"demo\.xlsx is (no spreadsheet|damaged)"):
        import_folder(tmp_path / "demo.xlsx", tmp_path / "set")
    assert not (tmp_path / "set").exists()
