"""What the terminal shows while a policy is trained."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from understudy.cli.follow import _bar
from understudy.cli.session import _said
from understudy.learn.supervised import Progress, TrainingState

REPORT = Progress(
    step=1200,
    is_due=True,
    losses={"total": 1.30912, "reconstruction": 0.2, "divergence": 0.1},
    held_out=None,
    learning_rate=1e-3,
    samples_per_s=12_345.6,
    waiting=0.0,
    state=TrainingState(1200, 0, {}),
)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_counts_and_times_are_whole_on_a_narrow_terminal(width):
    bar, shown = _bar(), StringIO()
    bar.add_task("", total=4000, completed=1200, said=_said(REPORT))
    Console(file=shown, width=width).print(bar.get_renderable())
    [line] = shown.getvalue().splitlines()
    assert line.startswith("1,200/4,000 ")
    assert line.rstrip().endswith("0:00:00 left -:--:--")
    assert "total 1.3" in line


def test_waiting_for_data_is_shown_where_there_is_any():
    assert "waits" not in _said(REPORT)
    assert _said(replace(REPORT, waiting=0.034)).endswith("12,346 samples/s, waits 3%")
