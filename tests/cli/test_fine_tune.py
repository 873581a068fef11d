"""`train --from`: fine-tuning as a user does it, with what is printed, kept, refused and resumed."""

import json
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from tests import demonstrations
from tests.demonstrations import CONTINUOUS
from understudy.cli import main as understudy_main
from understudy.data.store import Dataset
from understudy.policies.checkpoint import fingerprint
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal

SIZES = ("--width", "16", "--depth", "2", "--history", "2", "--horizon", "4")
QUICK = ("--steps", "12", "--report-every", "6", "--checkpoints", "2", "--batch-size", "8")


def made(folder, spec=CONTINUOUS, scale=1.0):
    """A dataset whose state has as many numbers as `spec` says, 3 or fewer."""
    dataset = Dataset.create(folder, spec)
    for seed in (0, 1, 2):
        shown = demonstrations.made_up(CONTINUOUS, seed, 20, scale)
        seen = {
            key: shown.observations[key][:, : signal.size]
            for key, signal in spec.observations.items()
        }
        dataset.append(replace(shown, observations=seen))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two datasets, one with a shorter state, and a run on the first."""
    folder = tmp_path_factory.mktemp("fine_tune")
    made(folder / "data")
    observations = {**CONTINUOUS.observations, STATE: Signal((2,))}
    made(folder / "shorter", replace(CONTINUOUS, observations=observations), scale=2.0)
    arguments = ["train", "mlp", "--data", folder / "data", "--run", folder / "source"]
    assert understudy_main([*map(str, arguments), *SIZES, *QUICK]) == 0
    arguments = ["train", "knn", "--data", folder / "data", "--run", folder / "neighbours"]
    assert understudy_main([*map(str, arguments)]) == 0
    return folder


def main(capsys, *arguments):
    code = understudy_main(["train", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def weights(run):
    newest = max((run / "checkpoints").iterdir())
    return load_file(newest / "model.safetensors")


def frozen(tensors):
    return {name: value for name, value in tensors.items() if name.startswith("network.2.")}


def test_a_policy_goes_on_from_a_run_with_its_options_normalisers_and_frozen_parts(
    place, tmp_path, capsys
):
    made(tmp_path / "data", scale=3.0)
    code, shown, error = main(
        capsys, "mlp", "--data", tmp_path / "data", "--run", tmp_path / "run", *QUICK,
        "--from", place / "source", "--freeze", "network.2",
    )  # fmt: skip
    assert code == 0, error
    assert "100.0% of" in shown
    assert "frozen, " in shown
    assert "272 of them frozen" in shown
    before, after = weights(place / "source"), weights(tmp_path / "run")
    assert before.keys() == after.keys()
    for name, value in before.items():
        stays = name.startswith("network.2.") or name.endswith(("offset", "scale"))
        assert value.equal(after[name]) == stays, name


def test_run_and_checkpoint_say_where_the_weights_come_from(place, tmp_path, capsys):
    run = tmp_path / "run"
    code, shown, error = main(
        capsys, "mlp", "--data", place / "shorter", "--run", run, *QUICK,
        "--from", place / "source", "--freeze", "network.2",
    )  # fmt: skip
    assert code == 0, error
    source = place / "source" / "checkpoints" / "000012"
    kept = json.loads((run / "run.json").read_text())
    assert kept["config"] == json.loads((place / "source" / "run.json").read_text())["config"]
    assert kept["from"]["checkpoint"] == str(source.resolve())
    assert kept["from"]["fingerprint"] == fingerprint(source)
    assert kept["from"]["freeze"] == ["network.2"]
    assert list(kept["from"]["fresh"]) == ["network.0.weight"]
    assert list(kept["from"]["normalised_anew"]) == [STATE]
    last = run / "checkpoints" / "000012" / "provenance.json"
    assert json.loads(last.read_text())["run"]["from"] == kept["from"]
    assert "fresh, 23.2%: network.0.weight (16, 8), the source has (16, 10)" in shown
    assert f"normalised by these data: {STATE}, shape (2,), in the source (3,)" in shown


def test_a_fine_tuning_that_goes_on_ends_with_the_same_weights(place, tmp_path, capsys):
    run = tmp_path / "run"
    options = (
        "--from",
        place / "source",
        "--freeze",
        "network.2",
        "--keep",
        "0",
        "--vector-noise",
        "0.1",
    )
    code, _, error = main(
        capsys, "mlp", "--data", place / "shorter", "--run", run, *QUICK, *options
    )
    assert code == 0, error
    whole = weights(run)
    assert all(frozen(weights(place / "source"))[k].equal(v) for k, v in frozen(whole).items())
    for step in ("000012", "000006"):  # the second time there is no checkpoint left: it begins anew
        shutil.rmtree(run / "checkpoints" / step)
        code, _, error = main(capsys, "--resume", run)
        assert code == 0, error
        assert all(whole[name].equal(value) for name, value in weights(run).items())
        shutil.rmtree(run / "checkpoints" / "000012")


def test_a_source_that_has_changed_since_is_refused_until_there_is_a_checkpoint(
    place, tmp_path, capsys
):
    source, run = tmp_path / "source", tmp_path / "run"
    shutil.copytree(place / "source", source)
    options = ("--data", place / "data", "--run", run, *QUICK, "--from", source)
    assert main(capsys, "mlp", *options)[0] == 0
    shutil.rmtree(source)
    shutil.rmtree(run / "checkpoints" / "000012")
    assert main(capsys, "--resume", run)[0] == 0
    shutil.copytree(place / "source", source)
    other = source / "checkpoints" / "000012"
    shutil.rmtree(other)
    (source / "checkpoints" / "000006").rename(other)
    shutil.rmtree(run / "checkpoints")
    code, _, error = main(capsys, "--resume", run)
    assert code == 2
    assert "no longer the policy that this run begins with" in error


def test_a_rehearsal_and_an_estimate_begin_with_the_source_too(place, capsys):
    options = ("--data", place / "shorter", "--from", place / "source", "--freeze", "network.2")
    code, shown, error = main(capsys, "mlp", *options, "--dry-run", "--estimate")
    assert code == 0, error
    for words in ("fresh, 23.2%", "nothing was kept", "of them trained"):
        assert words in shown


def test_options_of_training_are_the_presets_and_those_of_the_policy_the_sources(
    place, tmp_path, capsys
):
    options = ("--steps", "2", "--from", place / "source", "--preset", "paper", "--horizon", "3")
    code, _, error = main(
        capsys, "mlp", "--data", place / "data", "--run", tmp_path / "run", *options
    )
    assert code == 0, error
    kept = json.loads((tmp_path / "run" / "run.json").read_text())
    assert kept["learn"]["learning_rate"] == 1e-4
    assert (kept["config"]["width"], kept["config"]["horizon"]) == (16, 3)
    assert list(kept["from"]["fresh"]) == ["head.last.weight", "head.last.bias"]


def test_what_the_source_saw_comes_first_and_is_all_that_is_seen_unless_told(
    place, tmp_path, capsys
):
    extra = "observation.a"
    spec = replace(CONTINUOUS, observations={extra: Signal((2,)), **CONTINUOUS.observations})
    dataset = Dataset.create(tmp_path / "data", spec)
    for seed in (0, 1):
        shown = demonstrations.made_up(CONTINUOUS, seed, 20)
        more = {extra: shown.observations[ENVIRONMENT_STATE], **shown.observations}
        dataset.append(replace(shown, observations=more))
    saw = json.loads((place / "source" / "run.json").read_text())["inputs"]
    for number, more in enumerate(((), ("--inputs", extra, *reversed(saw)))):
        run = tmp_path / str(number)
        code, _, error = main(
            capsys, "mlp", "--data", tmp_path / "data", "--run", run, *QUICK,
            "--from", place / "source", *more,
        )  # fmt: skip
        assert code == 0, error
        kept = json.loads((run / "run.json").read_text())
        assert kept["inputs"] == [*saw, *([extra] if more else [])]
        assert list(kept["from"]["normalised_anew"]) == ([extra] if more else [])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("gaussian", "--from", "SOURCE"), "a policy of the kind 'mlp', not 'gaussian'"),
        (("knn", "--from", "NEIGHBOURS"), "keeps the demonstrations themselves"),
        (("mlp", "--from", "nowhere"), "nowhere holds no checkpoint"),
        (("mlp", "--freeze", "network"), "--from says of which"),
        (("mlp", "--from", "SOURCE", "--freeze", "netwrk"), "Did you mean 'network'?"),
        (("mlp", "--from", "SOURCE", "--freeze", "input"), "has no weights to freeze"),
        (("mlp", "--from", "SOURCE", "--freeze", "network", "head"), "nothing is left to train"),
        (
            ("mlp", "--from", "SOURCE", "--horizon", "2", "--freeze", "head"),
            "did not fit the source",
        ),
        (("mlp", "--from", "SOURCE", "--width", "9", "--horizon", "3"), "no weight of the source"),
    ],
)
def test_what_cannot_go_on_is_told_before_there_is_a_run(
    place, tmp_path, capsys, arguments, complaint
):
    names = {"SOURCE": place / "source", "NEIGHBOURS": place / "neighbours"}
    given = [str(names.get(word, word)) for word in arguments]
    code, _, error = main(capsys, *given, "--data", place / "data", "--run", tmp_path / "run")
    assert code == 2
    assert complaint in error
    assert not (tmp_path / "run").exists()


def test_data_that_lack_what_the_source_saw_need_a_word(place, tmp_path, capsys):
    spec = CONTINUOUS.only([STATE])
    made(tmp_path / "data", spec)
    options = ("--data", tmp_path / "data", "--run", tmp_path / "run", *QUICK)
    code, _, error = main(capsys, "mlp", *options, "--from", place / "source")
    assert code == 2
    assert f"sees {ENVIRONMENT_STATE}, which the data lack. --inputs says" in error
    code, _, error = main(capsys, "mlp", *options, "--from", place / "source", "--inputs", STATE)
    assert code == 0, error


def test_data_of_several_tasks_give_a_policy_of_one_task_a_fresh_place_for_them(
    place, tmp_path, capsys
):
    demonstrations.dataset(tmp_path / "data", CONTINUOUS, tasks=("push", "pull"))
    options = ("--data", tmp_path / "data", *QUICK, "--run", tmp_path / "run")
    code, shown, error = main(capsys, "mlp", *options, "--from", place / "source")
    assert code == 0, error
    assert "input.task.weight (2, 16), the source has none" in shown
    code, _, error = main(
        capsys, "mlp", "--data", place / "data", *QUICK, "--run", tmp_path / "2",
        "--from", tmp_path / "run",
    )  # fmt: skip
    assert code == 2
    assert "tells apart the tasks ('pull', 'push'), the data hold one" in error


def test_commands_beyond_the_sources_are_named(tmp_path, capsys):
    small = ("--network", "residual", "--width", "16", "--depth", "1", "--horizon", "4", *QUICK)
    for name, scale in (("near", 1.0), ("far", 3.0)):
        made(tmp_path / name, scale=scale)
    code, _, error = main(
        capsys, "flow", "--data", tmp_path / "near", "--run", tmp_path / "1", *small
    )
    assert code == 0, error
    code, shown, error = main(
        capsys, "flow", "--data", tmp_path / "far", "--dry-run", "--from", tmp_path / "1"
    )
    assert code == 0, error
    assert "cannot be commanded with the source's normaliser: 0: " in shown


def test_a_report_names_the_source(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in (
        "collect --task cart-pole --out data --episodes 2",
        "train mlp --data data --run source --steps 2 --width 8 --held-out 0",
        "train mlp --data data --run tuned --steps 2 --held-out 0 --from source",
        "evaluate tuned --task cart-pole --episodes 2 --videos 0 --out report",
    ):
        assert understudy_main(words.split()) == 0, capsys.readouterr().err
    source = fingerprint(tmp_path / "source" / "checkpoints" / "000002")
    assert source in (tmp_path / "report" / "report.html").read_text()
