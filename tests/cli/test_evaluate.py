"""A measurement that is interrupted goes on where it was, and gives the same report."""

import json
import os
import signal
import time
from dataclasses import replace

from tests.processes import understudy
from understudy.cli import main
from understudy.evaluate.measure import Report

WORDS = ["evaluate", "expert", "--task", "mountain-car", "--episodes", "200", "--videos", "0"]


def rows(folder):
    found = Report.from_json(folder / "report.json").rows
    return [replace(row, act_ms_median=None, act_ms_p99=None) for row in found]


def test_a_measurement_that_was_killed_goes_on_and_ends_with_the_same_report(tmp_path, capsys):
    folder = tmp_path / "killed"
    process = understudy(*WORDS, "--worlds", "1", "--out", folder)
    deadline = time.monotonic() + 60
    while not (folder / "unfinished.json").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "report.json").exists()
    done = len(Report.from_json(folder / "unfinished.json").rows)
    assert 0 < done < 200
    assert main([*WORDS, "--out", str(folder)]) == 0
    assert f"going on: {done} rollouts of 200 are done" in capsys.readouterr().out
    assert not (folder / "unfinished.json").exists()
    assert main([*WORDS, "--out", str(tmp_path / "whole")]) == 0
    assert "going on" not in capsys.readouterr().out
    assert rows(folder) == rows(tmp_path / "whole")


def test_another_measurement_does_not_go_on_from_what_is_there(tmp_path, capsys):
    words = ["evaluate", "expert", "--task", "mountain-car", "--videos", "0", "--out"]
    assert main([*words, str(tmp_path), "--episodes", "3"]) == 0
    (tmp_path / "report.json").rename(tmp_path / "unfinished.json")
    assert main([*words, str(tmp_path), "--episodes", "4"]) == 0
    assert "going on" not in capsys.readouterr().out
    assert len(rows(tmp_path)) == 4


def test_what_was_measured_with_other_code_is_measured_anew_and_that_is_said(tmp_path, capsys):
    words = ["evaluate", "expert", "--task", "mountain-car", "--videos", "0", "--out"]
    again = [*words, str(tmp_path), "--episodes", "3"]
    assert main(again) == 0
    done = json.loads((tmp_path / "report.json").read_text())
    done["rows"] = done["rows"][:2]
    (tmp_path / "unfinished.json").write_text(json.dumps(done))
    assert main(again) == 0
    assert "going on: 2 rollouts of 3 are done" in capsys.readouterr().out
    done.setdefault("versions", {})["code"] = "that of another day"
    (tmp_path / "unfinished.json").write_text(json.dumps(done))
    assert main(again) == 0
    said = capsys.readouterr().out
    assert "going on" not in said
    assert "beginning anew: 2 rollouts were played with another code" in said
    assert len(rows(tmp_path)) == 3
