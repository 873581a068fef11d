"""The layers of the package: imports go down only, and optional dependencies have one door each."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "understudy"

# A module imports from the layers below its own. In an ordered layer it also imports those that stand before it.
LAYERS = (
    ("names", "config", "spec", "episode", "actor", "rows", "rollout"),
    ("statistics", "nn", "data", "physics"),
    ("policies", "tasks", "robots"),
    ("fleet", "run"),
    ("learn", "collect", "evaluate", "deploy"),
    ("studio", "cli", "__main__"),
)
ORDERED = (0, 5)  # the words build on one another; the command line opens the studio
ALONE = ("statistics", "nn")  # import nothing of ours
LEVEL = {
    name: (level, place) for level, layer in enumerate(LAYERS) for place, name in enumerate(layer)
}

TORCH_FREE = (*LAYERS[0], "collect", "deploy.client")
# Import name -> distribution that pyproject.toml asks for.
CORE = {
    "torch": "torch",
    "numpy": "numpy",
    "scipy": "scipy",
    "gymnasium": "gymnasium",
    "mujoco": "mujoco",
    "pyarrow": "pyarrow",
    "av": "av",
    "safetensors": "safetensors",
    "tyro": "tyro",
    "rich": "rich",
    "jinja2": "jinja2",
    "matplotlib": "matplotlib",
}
WORDS_MAY_IMPORT = {"numpy", "gymnasium"}
# Import name -> extra. One file imports it, shared by its users, and its error names the extra.
OPTIONAL = {
    "pygame": "teleop",
    "gym_pusht": "pusht",
    "pymunk": "pusht",
    "cv2": "pusht",
    "shapely": "pusht",
    "Box2D": "box2d",
    "pybullet": "bullet",
    "pybullet_data": "bullet",
    "pybullet_utils": "bullet",
    "zarr": "formats",
    "numcodecs": "formats",
    "h5py": "formats",
    "openpyxl": "formats",
    "mcap": "formats",
    "tensorboard": "tensorboard",
    "fastapi": "studio",
    "starlette": "studio",
    "uvicorn": "studio",
    "onnx": "deploy",
    "onnxscript": "deploy",
    "onnxruntime": "deploy",
    "websockets": "deploy",
    "msgpack": "deploy",
    "optuna": "optuna",
    "ray": "ray",
}


@dataclass(frozen=True)
class Import:
    importer: str  # module name below the package: "policies.mlp"; "" is the package itself
    target: str  # the same for one of ours ("" if there is no such module), else a top-level name
    ours: bool
    where: str  # file:line


def module_name(package: Path, file: Path) -> str:
    parts = file.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST, parents: list[str]) -> Iterator[tuple[str, int]]:
    """Every absolute dotted name that is imported, function-local and by a literal import_module too.

    `parents` is the dotted name of the package that relative imports start from.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = parents[: len(parents) - node.level + 1] if node.level else []
            stem = ".".join([*start, *(node.module.split(".") if node.module else [])])
            yield from ((f"{stem}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else None
            called = node.func.id if isinstance(node.func, ast.Name) else called
            name = node.args[0]
            if called in ("import_module", "__import__") and isinstance(name, ast.Constant):
                yield str(name.value), node.lineno


def read_imports(package: Path) -> list[Import]:
    """All imports of a package's source, except those of the standard library."""
    files = {module_name(package, file): file for file in sorted(package.rglob("*.py"))}
    found = []
    for importer, file in files.items():
        parents = [package.name, *importer.split(".")] if importer else [package.name]
        if file.name != "__init__.py":
            parents.pop()
        for name, line in imported_names(ast.parse(file.read_text()), parents):
            where = f"{file.relative_to(package.parent)}:{line}"
            top, *below = name.split(".")
            if top == package.name:
                while below and ".".join(below) not in files:
                    below.pop()  # what is left names a module; the rest names something in it
                target = ".".join(below)
                if target or not name.startswith(f"{package.name}.__"):  # __version__ is anyone's
                    found.append(Import(importer, target, True, where))
            elif name.startswith("torch.utils.tensorboard"):
                found.append(Import(importer, "tensorboard", False, where))
            elif top not in sys.stdlib_module_names:
                found.append(Import(importer, top, False, where))
    return found


def layer_faults(package: Path) -> list[str]:
    """One line for each import that goes up or sideways, and for each module that has no layer."""
    names = {module_name(package, file).split(".")[0] for file in package.rglob("*.py")} - {""}
    faults = [f"{name}: not in LAYERS" for name in sorted(names - LEVEL.keys())]
    for item in read_imports(package):
        importer, target = item.importer.split(".")[0], item.target.split(".")[0]
        if not item.ours or not importer or importer == target or importer not in LEVEL:
            continue  # the package's own __init__ is the front door: it may name everything
        if not target:
            faults.append(
                f"{item.where}: not a module of ours; import from the module that holds the name"
            )
        elif target not in LEVEL:
            continue  # reported above
        elif importer in ALONE:
            faults.append(
                f"{item.where}: {importer} imports {target}, but may import nothing of ours"
            )
        else:
            (level, place), (other_level, other_place) = LEVEL[importer], LEVEL[target]
            before = level == other_level and level in ORDERED and other_place < place
            if other_level >= level and not before:
                way = "up" if other_level > level else "sideways"
                faults.append(
                    f"{item.where}: {importer} (layer {level}) imports {way}: {target} (layer {other_level})"
                )
    return list(dict.fromkeys(faults))


def import_cycle(package: Path) -> list[str]:
    """The modules of one import cycle inside a top-level package, or nothing."""
    graph: dict[str, set[str]] = defaultdict(set)
    for item in read_imports(package):
        inside = item.ours and item.importer.split(".")[0] == item.target.split(".")[0]
        if inside and item.importer != item.target:
            graph[item.importer].add(item.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def third_party_faults(package: Path) -> list[str]:
    """One line for each dependency that is undeclared, in the wrong layer, or imported in a second file."""
    faults, files = [], defaultdict(set)
    for item in read_imports(package):
        if item.ours:
            continue
        if item.importer.split(".")[0] in LAYERS[0] and item.target not in WORDS_MAY_IMPORT:
            faults.append(f"{item.where}: layer 0 imports {item.target}")
        if item.target in OPTIONAL:
            files[item.target].add(item.where.rpartition(":")[0])
        elif item.target not in CORE:
            faults.append(f"{item.where}: {item.target} is not a dependency")
    faults += [
        f"{name}: imported in {len(places)} files, {', '.join(sorted(places))}; one is enough"
        for name, places in sorted(files.items())
        if len(places) > 1
    ]
    return faults


def with_submodules(package: Path, wanted: tuple[str, ...]) -> list[str]:
    """The modules of the package that are named in `wanted` or stand below one that is."""
    stems = tuple(f"{name}." for name in wanted)
    modules = [module_name(package, file) for file in sorted(package.rglob("*.py"))]
    return [module for module in modules if f"{module}.".startswith(stems)]


def brings_along(package: Path, modules: list[str], unwanted: set[str]) -> str:
    """Imports the modules in a fresh process; the first one that loads what is unwanted, or nothing."""
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[2:]:\n"
        "    importlib.import_module(name)\n"
        "    loaded = set(sys.argv[1].split()) & set(sys.modules)\n"
        "    if loaded:\n"
        "        sys.exit(print(name, 'brings', *sorted(loaded)))\n"
    )
    names = [f"{package.name}.{module}" for module in modules]
    run = subprocess.run(
        [sys.executable, "-c", program, " ".join(unwanted), *names],
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_imports_go_down_the_layers_only():
    assert layer_faults(PACKAGE) == []


def test_no_package_has_an_import_cycle():
    assert import_cycle(PACKAGE) == []


def test_dependencies_are_declared_and_each_optional_one_has_one_door():
    assert third_party_faults(PACKAGE) == []


def test_words_collecting_and_the_client_do_without_torch():
    assert brings_along(PACKAGE, with_submodules(PACKAGE, TORCH_FREE), {"torch"}) == ""


def test_the_list_of_verbs_waits_for_no_library():
    assert brings_along(PACKAGE, ["cli"], {"torch", "numpy", "gymnasium", "mujoco", "tyro"}) == ""


def test_the_table_of_dependencies_agrees_with_the_project_file():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {re.split(r"[<>=\[]", line)[0] for line in project["dependencies"]} == set(CORE.values())
    used = {item.target for item in read_imports(PACKAGE)} & OPTIONAL.keys()
    assert {OPTIONAL[name] for name in used} <= project["optional-dependencies"].keys()


# The checks above are worth what they can find: each is shown a tree that breaks its rule.


@pytest.fixture
def tree(tmp_path):
    """Writes a package named understudy from {file: source} and returns its folder."""

    def write(files: dict[str, str]) -> Path:
        package = tmp_path / "understudy"
        for name, source in {"__init__.py": "", **files}.items():
            file = package / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        return package

    return write


ALLOWED = [
    {"spec.py": "import numpy", "episode.py": "from understudy.spec import Spec"},
    {
        "data/__init__.py": "",
        "data/store.py": "from understudy import __version__, spec",
        "spec.py": "",
    },
    {"cli.py": "from understudy.studio import server", "studio/server.py": ""},
    {"policies/act.py": "from understudy.policies import base", "policies/base.py": ""},
]
FORBIDDEN = [
    ({"spec.py": "import understudy.episode", "episode.py": ""}, "sideways: episode"),
    ({"nn/ema.py": "from understudy.spec import Spec", "spec.py": ""}, "nothing of ours"),
    (
        {"data/store.py": "def f():\n  import understudy.learn.dagger", "learn/dagger.py": ""},
        "up: learn",
    ),
    (
        {"data/store.py": "from understudy import policies", "policies/__init__.py": ""},
        "up: policies",
    ),
    ({"data/store.py": "from ..policies import act", "policies/act.py": ""}, "up: policies"),
    (
        {"tasks/reach.py": "from understudy.robots.mock import X", "robots/mock.py": ""},
        "sideways: robots",
    ),
    (
        {"run.py": "import importlib\nimportlib.import_module('understudy.cli')", "cli.py": ""},
        "up: cli",
    ),
    ({"studio/server.py": "import understudy.cli", "cli.py": ""}, "sideways: cli"),
    ({"run.py": "from understudy import Dataset"}, "not a module of ours"),
    ({"utilities.py": ""}, "utilities: not in LAYERS"),
]


@pytest.mark.parametrize("files", ALLOWED)
def test_an_import_that_goes_down_is_allowed(tree, files):
    assert layer_faults(tree(files)) == []


@pytest.mark.parametrize(("files", "message"), FORBIDDEN)
def test_an_import_that_goes_up_or_sideways_is_found(tree, files, message):
    (fault,) = layer_faults(tree(files))
    assert message in fault


def test_a_cycle_is_found(tree):
    package = tree(
        {
            "data/__init__.py": "from understudy.data.store import Store",
            "data/store.py": "from . import windows",
            "data/windows.py": "def f():\n  from understudy.data.frames import g",
            "data/frames.py": "from understudy.data.store import Store",
        }
    )
    assert set(import_cycle(package)) == {"data.store", "data.windows", "data.frames"}


def test_a_second_door_an_undeclared_package_and_a_heavy_word_are_found(tree):
    package = tree(
        {
            "spec.py": "import torch",
            "tasks/pusht.py": "import pygame",
            "tasks/classic.py": "from importlib import import_module\nimport_module('pygame')",
            "run.py": "from torch.utils.tensorboard import SummaryWriter",
            "learn/log.py": "import tensorboard, torchvision",
        }
    )
    text = "\n".join(third_party_faults(package))
    assert "layer 0 imports torch" in text
    assert "pygame: imported in 2 files" in text
    assert "tensorboard: imported in 2 files" in text
    assert "torchvision is not a dependency" in text


def test_torch_behind_another_module_is_found(tree, tmp_path):
    (tmp_path / "torch.py").write_text("")
    package = tree(
        {
            "spec.py": "",
            "collect/__init__.py": "",
            "collect/recorder.py": "import understudy.data",
            "data.py": "import torch",
        }
    )
    light, all_of_it = (
        with_submodules(package, names) for names in (("spec",), ("spec", "collect"))
    )
    assert brings_along(package, light, {"torch"}) == ""
    assert brings_along(package, all_of_it, {"torch"}) == "understudy.collect.recorder brings torch"
