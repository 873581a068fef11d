"""What rounds of DAgger would fail at later is said before there is a run."""

import pytest

from understudy.cli import main
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here
from understudy.tasks import make_task


def refused(arguments, capsys, tmp_path):
    """What `dagger` says of arguments that it will not begin with."""
    run = tmp_path / "run"
    assert main(["dagger", *arguments, "--run", str(run)]) in (1, 2)
    assert not run.exists()
    return " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("mlp --task pendulum --gate thrifty", "pendulum does not judge that: take another gate"),
        ("cnn --task car-racing:hold=10 --gate thrifty", "vectors"),
        ("mlp --task cart-pole --starts 20000", "--starts must lie in 1..10,000, got 20,000"),
        ("mlp --task pendulum --target-success 0.9", "pendulum does not judge what succeeds"),
        ("mlp --task cart-pole --gate person --script nofile.json", "nofile.json is no script"),
        ("mlp --task cart-pole --gate person", "there is no display"),
    ],
)
def test_what_a_gate_or_a_target_needs_of_the_task_is_looked_at_first(
    arguments, complaint, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert complaint in refused(arguments.split(), capsys, tmp_path)


def test_risk_is_learnt_from_demonstrations_that_are_judged(capsys, tmp_path):
    task = make_task("pendulum")
    with Dataset.create(tmp_path / "data", task.spec) as shown:
        shown.append(next(Here().rollouts(task, ExpertActor(), [0])))
    words = ["mlp", "--task", "pendulum", "--gate", "thrifty", "--data", str(tmp_path / "data")]
    assert "none of" in (said := refused(words, capsys, tmp_path))
    assert "other demonstrations" in said


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            "--discrepancy 0.5",
            "--discrepancy goes with --gate safe or ensemble, not with --gate beta",
        ),
        ("--gate safe --doubt 0.1", "--doubt goes with --gate ensemble"),
        ("--members 7", "--members goes with --gate ensemble or thrifty"),
        ("--gate ensemble --intervention-rate 0.2", "--intervention-rate goes with --gate thrifty"),
        ("--hands gamepad", "--hands goes with --gate person"),
        ("--script keys.json", "--script goes with --gate person"),
        ("--gate safe --beta zero", "--beta goes with --gate beta"),
        ("--gate safe --beta-decay 0.5", "--beta-decay goes with --gate beta"),
        ("--beta linear --beta-decay 0.5", "--beta-decay goes with --beta exponential"),
        ("--beta-over 3", "--beta-over goes with --beta linear, not with --beta exponential"),
        ("--data d --demonstrations 3", "leave one of the two out"),
        ("--data d --gate person --expert e", "--expert has nothing to do"),
    ],
)
def test_options_that_would_be_passed_over_are_refused(options, complaint, capsys, tmp_path):
    words = ["mlp", "--task", "cart-pole", *options.split()]
    assert complaint in refused(words, capsys, tmp_path)
