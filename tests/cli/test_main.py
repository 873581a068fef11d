import subprocess
import sys
from pathlib import Path

import pytest

from understudy.cli import VERBS, main
from understudy.data.store import Dataset
from understudy.policies import find_policy, policy_names
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.lerobot_diffusion import LerobotDiffusionConfig
from understudy.tasks import make_task


@pytest.mark.parametrize("verb", [*VERBS, "data info", "data import", "data view", "train mlp"])
def test_every_verb_explains_itself(verb, capsys):
    try:
        code = main([*verb.split(), "--help"])
    except SystemExit as ended:
        code = ended.code
    assert code == 0
    assert "usage: understudy" in capsys.readouterr().out


def test_the_installed_command_is_the_module_in_a_process_of_its_own():
    commands = ([Path(sys.executable).parent / "understudy"], [sys.executable, "-m", "understudy"])
    for words, code in (("--version",), 0), (("colect",), 2):
        one, other = (
            subprocess.run([*command, *words], capture_output=True, text=True, check=False)
            for command in commands
        )
        assert one.returncode == other.returncode == code
        assert (one.stdout, one.stderr) == (other.stdout, other.stderr)
        assert one.stdout.startswith("understudy ") == (code == 0)


def test_the_first_help_loads_neither_torch_nor_numpy():
    program = "import sys; from understudy.cli import main; main(['--help']); " + (
        "sys.exit(bool({'torch', 'numpy', 'gymnasium', 'tyro'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_no_help_waits_for_torch_unless_it_is_of_a_policys_options():
    asked = [[verb] for verb in VERBS] + [["data", "info"], ["evaluate", "expert"]]
    program = (
        "import sys\nfrom understudy.cli import main\n"
        f"for words in {asked}:\n"
        "    try: main([*words, '--help'])\n"
        "    except SystemExit: pass\n"
        "    if 'torch' in sys.modules: sys.exit(f'{words} brings torch')"
    )
    helped = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert helped.returncode == 0, helped.stderr


def test_the_list_of_policies_has_what_each_says_of_itself(capsys):
    assert main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    for name in policy_names():
        assert f"  {name} " in said
        assert f" {find_policy(name).__doc__.partition(chr(10))[0]}\n" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["colect"], "Did you mean 'collect'?"),
        (["data", "inof"], "Did you mean 'info'?"),
        (["data", "info", "nowhere"], "nowhere"),
        (["collect", "--task", "mountan-car", "--out", "x"], "Did you mean 'mountain-car'?"),
        (["collect", "--task", "pusht", "--out", "x"], "no expert"),
        (["collect", "--task", "cart-pole", "--out", "x", "--seed", "9990"], "0..9999"),
        (["collect", "--task", "cart-pole", "--out", "x", "--episodes", "0"], "0..9999"),
        (["evaluate", "nowhere", "--task", "cart-pole"], "nowhere does not exist"),
        (["evaluate", "expert", "--task", "pusht"], "no expert"),
        (["evaluate", "expert", "--task", "cart-pole", "--episodes", "0"], "expected 1"),
        (["evaluate", "--task", "cart-pole"], "the actor comes first"),
        (["demo", "--episodes", "0"], "--episodes must be at least 1"),
    ],
)
def test_misuse_is_told_what_is_wrong(arguments, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) in (1, 2)
    assert complaint in capsys.readouterr().err.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_demonstrations_become_a_policy_and_a_report(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--task", "cart-pole", "--out", "demos", "--episodes", "6"]) == 0
    assert main(["train", "mlp", "--data", "demos", "--run", "run", "--steps", "600",
                 "--width", "32", "--depth", "2", "--learning-rate", "1e-2"]) == 0  # fmt: skip
    assert main(["evaluate", "run", "--task", "cart-pole", "--against", "random",
                 "--episodes", "12", "--videos", "2"]) == 0  # fmt: skip
    said = " ".join(capsys.readouterr().out.split())
    assert "better" in said
    assert "n = 12" in said
    page = (tmp_path / "run" / "evaluation-cart-pole" / "report.html").read_text()
    assert page.count("<video") == 2
    assert "understudy evaluate run --task cart-pole --against random" in page


def test_collecting_goes_on_where_it_stopped_and_refuses_the_same_seeds(tmp_path, capsys):
    out = str(tmp_path / "demos")
    assert main(["collect", "--task", "mountain-car", "--out", out, "--episodes", "3"]) == 0
    assert main(["collect", "--task", "mountain-car", "--out", out, "--episodes", "3"]) == 2
    assert "continue with --seed 3" in " ".join(capsys.readouterr().err.split())
    assert main(["collect", "--task", "mountain-car", "--out", out, "--episodes", "2",
                 "--seed", "3"]) == 0  # fmt: skip
    assert main(["collect", "--task", "cart-pole", "--out", out]) == 2
    assert "do not fit together" in capsys.readouterr().err
    assert main(["data", "info", out]) == 0
    assert "5 episodes" in capsys.readouterr().out


def test_a_changed_world_is_recorded_under_its_name(tmp_path, capsys):
    task = 'panda-grasp:pose=random,world={"damping":[4,4]}'
    out = tmp_path / "demos"
    assert main(["collect", "--task", task, "--out", str(out), "--episodes", "1"]) == 0
    assert task in capsys.readouterr().out
    assert len(Dataset.open(out)) == 1


def test_what_keeps_failures_is_said_where_nothing_was_kept(tmp_path, capsys):
    words = ["--task", "panda-trace:demonstrations=mixed,spacing_m=0.05", "--episodes", "1"]
    assert main(["collect", *words, "--out", str(tmp_path / "demos")]) == 1
    assert "--keep all" in " ".join(capsys.readouterr().err.split())


def test_a_missing_extra_is_named_without_a_traceback(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    monkeypatch.delitem(sys.modules, "understudy.collect.window", raising=False)
    monkeypatch.setattr("understudy.collect.source.has_screen", lambda: True)
    words = ["collect", "--task", "cart-pole", "--device", "keyboard", "--out", str(tmp_path / "a")]
    assert main(words) == 1
    assert "pip install 'understudy[teleop]'" in " ".join(capsys.readouterr().err.split())


def test_a_gymnasium_environment_is_measured_like_any_task(tmp_path, capsys):
    assert main(["evaluate", "random", "--task", "gym:Pendulum-v1", "--episodes", "5",
                 "--videos", "0", "--out", str(tmp_path)]) == 0  # fmt: skip
    assert "return" in capsys.readouterr().out
    assert make_task("gym:Pendulum-v1").spec.action.low == (-2.0,)


@pytest.mark.parametrize("words", [("collect", "--help"), (), ("data", "info")])
def test_a_reader_that_has_seen_enough_is_no_error(words, tmp_path):
    if words == ("data", "info"):
        Dataset.create(tmp_path / "set", make_task("pendulum").spec).close()
        words = (*words, str(tmp_path / "set"))
    command = [sys.executable, "-m", "understudy", *words]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before the first line is written
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_a_policy_leaves_as_lerobots_and_is_measured_from_there(tmp_path, capsys):
    spec = make_task("pusht").spec
    config = LerobotDiffusionConfig(widths=(16, 32), levels=4, inference_steps=2, sampler="ddim")
    policy = config.build(spec)
    for key in (*spec.vectors, "action"):
        policy.scales.of(key).first.fill_(100)
        policy.scales.of(key).second.fill_(400)
    save_checkpoint(tmp_path / "policy", "lerobot_diffusion", policy, {})
    exported = str(tmp_path / "exported")
    assert main(["export", str(tmp_path / "policy"), exported]) == 0
    assert main(["export", str(tmp_path / "policy"), exported]) == 2
    out = ("--out", str(tmp_path / "report"), "--videos", "0")
    assert main(["evaluate", exported, "--task", "pusht", "--episodes", "2", *out]) == 0
    assert "n = 2" in capsys.readouterr().out
    assert main(["evaluate", exported, "--task", "cart-pole", "--episodes", "2"]) == 2
    assert "not offered" in capsys.readouterr().err
