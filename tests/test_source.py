"""What the source must not hold: ways to run code from files, output from libraries, private paths."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "understudy"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Modules that turn bytes into objects by running what the bytes say.
CODE_LOADERS = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
}
RUNS_TEXT = {"eval", "exec", "compile", "__import__"}
# Functions that unpickle or build objects behind a harmless name: (what they are called on, name).
UNSAFE_CALLS = {
    ("torch", "load"),
    ("jit", "load"),
    ("yaml", "load"),
    ("yaml", "full_load"),
    ("yaml", "unsafe_load"),
    ("pandas", "read_pickle"),
    ("os", "system"),
}
# Arguments that have to be left out or spelled with the safe value.
SAFE_ARGUMENTS = {
    "allow_pickle": False,
    "weights_only": True,
    "shell": False,
    "trust_remote_code": False,
}
LONGEST_FILE = 450
SAYS_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc"}
# Put together here so that this file passes its own test.
PRIVATE_PATHS = tuple(f"/{folder}/" for folder in ("work", "root", "opt"))
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("registry", "npmjs", "org"),
        ("conda", "anaconda", "org"),
    )
)


def _called_on(node: ast.expr) -> str:
    """The last name of what an attribute is taken from: `torch.jit` in `torch.jit.load` gives jit."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source: str) -> list[str]:
    """One line for each place where opening a file could run what it holds."""
    return [f"line {line}: {what}" for line, what in sorted(_dangers(ast.parse(source)))]


def _reads_weights_alone(node: ast.Call) -> bool:
    """`torch.load(..., weights_only=True)`, which builds tensors and nothing else."""
    if ast.unparse(node.func) != "torch.load":
        return False
    return any(
        part.arg == "weights_only"
        and isinstance(part.value, ast.Constant)
        and part.value.value is True
        for part in node.keywords
    )


def _dangers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    harmless = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _reads_weights_alone(node)
    }
    for node in ast.walk(tree):
        if node in harmless:
            continue
        if isinstance(node, ast.Import):
            tops = {alias.name.split(".")[0] for alias in node.names}
            yield from ((node.lineno, f"import {name}") for name in tops & CODE_LOADERS)
        elif isinstance(node, ast.ImportFrom) and node.module:
            stem = node.module.split(".")
            names = {alias.name for alias in node.names}
            if stem[0] in CODE_LOADERS or names & CODE_LOADERS:
                yield node.lineno, f"import from {node.module}"
            for name in names:
                if (stem[-1], name) in UNSAFE_CALLS or (
                    stem[0] == "builtins" and name in RUNS_TEXT
                ):
                    yield node.lineno, f"from {node.module} import {name}"
        elif isinstance(node, ast.Name) and node.id in RUNS_TEXT and isinstance(node.ctx, ast.Load):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            owner = _called_on(node.value)
            if (owner, node.attr) in UNSAFE_CALLS or (
                owner == "builtins" and node.attr in RUNS_TEXT
            ):
                yield node.lineno, f"{owner}.{node.attr}"
        elif isinstance(node, ast.keyword) and node.arg in SAFE_ARGUMENTS:
            safe = SAFE_ARGUMENTS[node.arg]
            if not (isinstance(node.value, ast.Constant) and node.value.value is safe):
                yield node.value.lineno, f"{node.arg} is not {safe}"


def prints(source: str) -> list[int]:
    """The lines that name `print`."""
    names = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name))
    return sorted(node.lineno for node in names if node.id == "print")


def project_files() -> list[Path]:
    """Every file that is tracked, or would be if it were added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):  # an unpacked archive
        built = {".git", ".venv", "build", "dist", "runs", "__pycache__", ".pytest_cache"}
        found = (f for f in ROOT.rglob("*") if not built & set(f.relative_to(ROOT).parts))
    else:
        found = (ROOT / name for name in listed.split("\0") if name)
    return sorted(file for file in found if file.is_file())


def private_words(text: str) -> list[str]:
    """The machine paths and package registries that a text names."""
    paths = "|".join(re.escape(path) for path in PRIVATE_PATHS)
    hosts = "|".join(re.escape(host) for host in REGISTRY_HOSTS)
    return re.findall(rf"(?<![\w.~-])(?:{paths})|{hosts}", text)


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_source_never_runs_code_from_data(file):
    assert dangers(file.read_text()) == []


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_the_command_line_prints(file):
    if file.relative_to(PACKAGE).parts[0] != "cli":
        assert prints(file.read_text()) == []


def test_files_are_short_enough_to_read():
    lengths = {str(f.relative_to(PACKAGE)): len(f.read_text().splitlines()) for f in SOURCES}
    assert {file: n for file, n in lengths.items() if n > LONGEST_FILE} == {}


def test_names_of_files_say_what_they_hold():
    names = [file.relative_to(PACKAGE).with_suffix("") for file in SOURCES]
    assert [str(name) for name in names if SAYS_NOTHING & set(name.parts)] == []


def test_no_file_names_a_private_path_or_a_registry():
    found = {}
    for file in project_files():
        words = private_words(file.read_bytes().decode(errors="ignore"))
        if words:
            found[str(file.relative_to(ROOT))] = words
    assert found == {}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    import joblib.numpy_pickle",
        "from torch import load",
        "from multiprocessing.reduction import pickle",
        "from builtins import eval",
        "import torch\ntorch.load(path)",
        "import torch\nread = torch.load",
        "torch.jit.load(path)",
        "torch.load(path, mmap=True)",
        "torch.jit.load(path)(torch.load(path, weights_only=True))",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "restore(path, weights_only=False)",
        "eval(text)",
        "list(map(exec, texts))",
        "builtins.exec(text)",
        "yaml.load(text, Loader)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_a_way_to_run_code_is_found(source):
    assert len(dangers(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "policy.eval()",
        "re.compile(text)",
        "torch.compile(policy)",
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "safetensors.torch.load_file(path)",
        "json.load(file)",
        "yaml.safe_load(text)",
        "def compile(self): pass",
    ],
)
def test_harmless_namesakes_are_left_alone(source):
    assert dangers(source) == []


def test_a_print_and_a_private_path_are_found():
    assert prints("def f():\n    print(1)") == [2]
    for text in (
        *PRIVATE_PATHS,
        f"see {PRIVATE_PATHS[0]}data",
        f"https://{REGISTRY_HOSTS[0]}/simple",
    ):
        assert len(private_words(text)) == 1
    assert private_words("docs/work/notes.md, ~/work/x, frame/root/joint") == []
