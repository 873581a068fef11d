import json
from importlib import import_module

import pytest

from tests.demonstrations import CONTINUOUS
from understudy.policies.mlp import MlpConfig
from understudy.run import Run, checkpoints, find_checkpoint, read_metrics, versions


@pytest.fixture
def run(tmp_path):
    opened = Run.create(tmp_path / "run", {"policy": "mlp"})
    yield opened
    opened.close()


def save(run, step):
    policy = MlpConfig(width=4, depth=1).build(CONTINUOUS)
    return run.save(step, "mlp", policy, policy.state_dict(), {"training.json": b"{}"})


def test_a_folder_holds_one_run(run):
    with pytest.raises(FileExistsError, match="--resume"):
        Run.create(run.folder, {})


def test_a_folder_with_anything_else_in_it_is_refused(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(FileExistsError, match="not empty"):
        Run.create(tmp_path, {})
    assert not (tmp_path / "run.json").exists()


def test_metrics_read_back_and_a_line_cut_short_is_left_out(run):
    run.log({"step": 1, "total": 0.5})
    run.log({"step": 2, "total": 0.25})
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "tot')
    assert [row["step"] for row in read_metrics(run.folder)] == [1, 2]


def test_metrics_beyond_the_step_that_training_resumes_at_are_dropped(run):
    for step in (1, 2, 3):
        run.log({"step": step})
    run.forget_after(2)
    assert [row["step"] for row in read_metrics(run.folder)] == [1, 2]


def test_the_newest_three_checkpoints_are_kept_and_the_newest_is_found(run):
    for step in (5, 20, 100, 1_000_000):
        save(run, step)
    assert [p.name for p in checkpoints(run.folder)] == ["000020", "000100", "1000000"]
    assert find_checkpoint(run.folder).name == "1000000"
    assert find_checkpoint(run.folder / "checkpoints" / "000100").name == "000100"


def test_a_folder_without_a_checkpoint_says_what_is_expected(tmp_path):
    with pytest.raises(ValueError, match="expected a run folder"):
        find_checkpoint(tmp_path)


def test_the_checkpoint_says_where_it_comes_from(run):
    provenance = json.loads((save(run, 7) / "provenance.json").read_text())
    assert provenance["step"] == 7
    assert provenance["run"] == {"policy": "mlp"}
    assert "torch" in provenance["versions"]


def test_versions_tell_code_that_was_changed_also_where_a_task_is_the_users_own(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "orchard"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "world.py").write_text("REACH_M = 0.5\n")
    (package / "task.py").write_text("class Pick:\n    pass\n")
    pick = import_module("orchard.task").Pick
    before = versions(pick)
    assert versions(pick) == before
    assert versions()["code"] != before["code"]
    (package / "pictures.txt").write_text("what is no code does not count")
    assert versions(pick) == before
    (package / "world.py").write_text("REACH_M = 0.6\n")
    assert versions(pick)["code"] != before["code"]


def test_tensorboards_files_hold_the_metrics(run):
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    run.write_tensorboard()
    run.log({"step": 3, "total": 0.5, "note": "words are left out"})
    run.close()
    events = event_accumulator.EventAccumulator(str(run.folder / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("total")] == [(3, 0.5)]
