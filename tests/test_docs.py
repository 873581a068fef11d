"""The documentation holds: its commands run, its tables come from result files, its links lead somewhere."""

import ast
import builtins
import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.processes import understudy

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    return [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "sh")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_commands_of_a_page_run_in_their_order(page, tmp_path):
    for text in blocks(page, "sh"):
        for line in text.splitlines():
            command, *words = shlex.split(line)
            assert command == "understudy"
            ran = understudy(*words, cwd=tmp_path).done()
            assert ran.returncode == 0, f"{line}\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}"


def shown_commands():
    for page in PAGES:
        for text in blocks(page, "console"):
            for line in text.replace("\\\n", "").splitlines():
                if line.startswith("$ understudy "):
                    yield line.removeprefix("$ understudy ")


@pytest.mark.parametrize("line", sorted(set(shown_commands())))
def test_commands_that_need_foreign_data_are_at_least_well_formed(line):
    from understudy.cli import collect, dagger, data, evaluate, export, gail, train
    from understudy.cli.options import parse
    from understudy.policies import find_policy

    verb, *words = shlex.split(line)
    what, *rest = words
    if verb == "data":
        parse({"import": data.Import, "view": data.View, "info": data.Info}[what], rest, verb, "")
    elif verb == "train":
        parse(train.Train[find_policy(what)], rest, verb, "")
    elif verb == "dagger":
        dagger.parsed(what, rest)
    elif verb == "gail":
        gail.parsed(what, rest)
    elif verb == "collect":
        parse(collect.Collect, words, verb, "")
    elif verb == "export":
        parse(export.Export, words, verb, "")
    else:
        assert verb == "evaluate"
        parse(evaluate.Evaluate, rest, verb, "")


# What a page's Python leaves to its reader, who has it already.
GIVEN = {"docs/collect.md": {"spec", "demonstrating", "joints", "picture", "command"}}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_python_of_a_page_names_only_what_there_is(page):
    given = GIVEN.get(str(page.relative_to(ROOT)), set())
    for text in blocks(page, "python"):
        nodes = list(ast.walk(ast.parse(text)))
        bound = set(dir(builtins)) | {"__name__"} | given
        for node in nodes:
            if isinstance(node, ast.ImportFrom):
                there = vars(import_module(str(node.module)))
                assert {name.name for name in node.names} <= there.keys(), node.module
                bound |= {name.asname or name.name for name in node.names}
            elif isinstance(node, ast.Import):
                bound |= {import_module(name.name).__name__ for name in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
        used = {node.id for node in nodes if isinstance(node, ast.Name)}
        assert used <= bound, f"{page} does not say what {used - bound} are"


def test_the_tables_are_those_of_the_result_files():
    checked = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "tables.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + "remedy: python benchmarks/tables.py"


@pytest.mark.parametrize(
    "file", sorted((ROOT / "benchmarks" / "results").glob("*.json")), ids=lambda f: f.stem
)
def test_a_result_file_says_all_that_makes_it_repeatable(file):
    facts = json.loads(file.read_text())
    assert facts["benchmark"] == file.stem
    assert all(facts[key] for key in ("command", "commit", "date", "machine", "versions", "rows"))
    for row in facts["rows"]:
        assert set(row) == {"case", "metric", "value", "low", "high", "n", "unit", "seeds"}
        assert row["low"] <= row["value"] <= row["high"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(page):
    for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
