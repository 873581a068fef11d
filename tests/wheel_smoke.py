"""Builds the wheel, looks inside, and uses it in an empty environment away from the source.

Run as a command: python tests/wheel_smoke.py
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "understudy"
# What a package of source and pages consists of, and the few kB that an expert learnt. Demonstrations and results do not
# travel in it.
SUFFIXES = {".py", ".typed", ".html", ".css", ".js", ".svg", ".xml", ".c", ".safetensors"}
LARGEST_WHEEL = 2_000_000  # bytes
# Runs in the new environment. Where an extra is missing, the error has to name it.
IMPORT_ALL = """
import importlib, pkgutil, sys, understudy
assert understudy.__file__.startswith(sys.prefix), understudy.__file__
names = [m.name for m in pkgutil.walk_packages(understudy.__path__, "understudy.")]
waiting = []
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        if "understudy[" not in str(error):
            raise
        waiting.append(name)
print(len(names) - len(waiting), "modules imported; waiting for an extra:", waiting or "none")
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="understudy-wheel-") as name:
        folder = Path(name)
        _say("building the wheel from the source archive")
        source = _clean_copy(folder / "source")
        _run([sys.executable, "-m", "build", "--outdir", str(folder), str(source)], cwd=folder)
        (wheel,) = folder.glob("*.whl")
        _inspect(wheel)

        _say("installing it in an empty environment (a minute)")
        _run([sys.executable, "-m", "venv", str(folder / "venv")], cwd=folder)
        python = str(folder / "venv" / "bin" / "python")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        _run([*pip, "install", "--no-compile", *constraints, str(wheel)], cwd=folder)
        _run([*pip, "check"], cwd=folder)

        _say("using it")
        command = str(folder / "venv" / "bin" / "understudy")
        _run([command, "--help"], cwd=folder)
        version = _run([command, "--version"], cwd=folder).strip()
        expected = wheel.name.split("-")[1]
        _require(expected in version, f"understudy --version says {version!r}, not {expected}")
        _say(_run([python, "-I", "-c", IMPORT_ALL], cwd=folder).strip())
    _say("the wheel works")


def _clean_copy(folder: Path) -> Path:
    """Copy what the archive is made of: an earlier build's list of files would be taken over."""
    ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
    for part in ("src", "tests"):
        shutil.copytree(ROOT / part, folder / part, ignore=ignored)
    for part in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / part, folder / part)
    return folder


def _inspect(wheel: Path) -> None:
    """Compare the wheel's files with the package's, in both directions."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    meta = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    source = {
        f"understudy/{file.relative_to(PACKAGE)}"
        for file in PACKAGE.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    for licence in ("LICENSE", "NOTICE"):
        _require(any(name.endswith(f"/{licence}") for name in meta), f"{licence} is missing")
    _require(
        not source - names,
        f"missing from the wheel: {sorted(source - names)}; "
        "a folder without __init__.py, or a kind of file that package-data does not name",
    )
    _require(not names - meta - source, f"not of the package: {sorted(names - meta - source)}")
    odd = sorted(name for name in source if Path(name).suffix not in SUFFIXES)
    _require(not odd, f"neither source nor page: {odd}")
    size = wheel.stat().st_size
    _require(size <= LARGEST_WHEEL, f"{size} bytes, more than {LARGEST_WHEEL}: what is so large?")
    _say(f"{wheel.name}: {len(source)} files, {size // 1000} kB")


def _run(command: list[str], cwd: Path) -> str:
    """Run without the checkout in reach; on failure say what was said."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    shown = " ".join(command).splitlines()[0]
    _require(done.returncode == 0, f"{done.stdout}\n{shown} ended with {done.returncode}")
    return done.stdout


def _require(fact: bool, otherwise: str) -> None:
    if not fact:
        sys.exit(f"error: {otherwise}")


def _say(text: str) -> None:
    print(f"    {text}", flush=True)


if __name__ == "__main__":
    main()
