"""The run folder: configuration, metrics, checkpoints and reports of one training, one owner.

RUN/run.json                 what was asked for, resolved; versions; the data's fingerprint
RUN/metrics.jsonl            one line a report
RUN/checkpoints/000500/      a policy and what its training needs to go on, see policies.checkpoint
RUN/report.html, *.json      what `evaluate` wrote
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any, final

from torch import Tensor

from understudy.data.durable import replace_text
from understudy.policies.base import Policy
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.files import read_json

LOCK = ".lock"
PACKAGES = ("understudy", "torch", "numpy", "gymnasium", "mujoco", "gym-pusht", "pymunk")


@final
class Run:
    """An open run folder; while it is open no other process can write to it."""

    def __init__(self, folder: Path, lock: IO[str]) -> None:
        self.folder, self._lock = folder, lock
        self._writer: Any = None

    @classmethod
    def create(cls, folder: Path, config: Mapping[str, Any]) -> Run:
        """Begin a run in an empty or new folder; raises FileExistsError where there is something."""
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "run.json").exists():
            raise FileExistsError(
                f"{folder} holds a run already: --resume goes on with it, or name another folder"
            )
        run = cls(folder, _locked(folder))
        others = sorted(path.name for path in folder.iterdir() if path.name != LOCK)
        if others:
            run.close()
            raise FileExistsError(
                f"{folder} is not empty ({', '.join(others[:3])}): name a new folder"
            )
        text = json.dumps(dict(config), indent=2, ensure_ascii=False, allow_nan=False)
        replace_text(folder / "run.json", text + "\n")
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open a run to go on with it; raises ValueError where there is none."""
        if not (folder / "run.json").is_file():
            raise ValueError(f"{folder} holds no run: there is no run.json in it")
        return cls(folder, _locked(folder))

    @property
    def config(self) -> dict[str, Any]:
        """What was asked for when the run began."""
        return read_json(self.folder / "run.json")

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one line to metrics.jsonl, and to TensorBoard's files if they are written."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(row), allow_nan=True) + "\n")
        if self._writer is not None:
            for name, value in row.items():
                if isinstance(value, int | float) and name != "step":
                    self._writer.add_scalar(name, value, row["step"])

    def write_tensorboard(self) -> None:
        """From now on write TensorBoard's event files beside the metrics, for `tensorboard --logdir`."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise ValueError(
                f"TensorBoard needs {error.name}: pip install 'understudy[tensorboard]'"
            ) from error
        self._writer = SummaryWriter(str(self.folder / "tensorboard"))

    def forget_after(self, step: int) -> None:
        """Drop metrics of steps beyond `step`: they come again when training resumes there."""
        rows = [row for row in read_metrics(self.folder) if int(row.get("step", 0)) <= step]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        replace_text(self.folder / "metrics.jsonl", text)

    def save(
        self,
        step: int,
        name: str,
        policy: Policy,
        weights: Mapping[str, Tensor],
        extra: Mapping[str, bytes],
        keep: int = 3,
    ) -> Path:
        """Save a checkpoint whole or not at all, then drop all but the newest `keep`; 0: drop none."""
        folder = self.folder / "checkpoints" / f"{step:06d}"
        provenance = {"step": step, "run": self.config, "versions": versions()}
        saved = save_checkpoint(folder, name, policy, provenance, weights, extra)
        for old in list(checkpoints(self.folder))[: -keep if keep else 0]:
            shutil.rmtree(old)
        return saved

    def close(self) -> None:
        """Let go of the folder."""
        if self._writer is not None:
            self._writer.close()
        self._lock.close()


def checkpoints(folder: Path) -> Iterator[Path]:
    """Yield a run's checkpoints, oldest first."""
    inside = folder / "checkpoints"
    found = [p for p in inside.iterdir() if p.name.isdigit()] if inside.is_dir() else []
    yield from sorted(found, key=lambda p: int(p.name))


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest of a run's checkpoints, None before the first."""
    found = list(checkpoints(folder))
    return found[-1] if found else None


def find_checkpoint(path: Path) -> Path:
    """Return `path` if it is a checkpoint, or the newest one of the run at `path`."""
    if (path / "model.safetensors").is_file():
        return path
    found = newest_checkpoint(path)
    if found is None:
        raise ValueError(
            f"{path} holds no checkpoint: expected a run folder (understudy train --run {path}) or "
            "one of its checkpoints"
        )
    return found


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl; a last line cut short by a crash is left out."""
    path = folder / "metrics.jsonl"
    rows: list[dict[str, Any]] = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def versions(*kinds: type) -> dict[str, str]:
    """Return the versions that a result depends on, and the commit where there is one.

    "code" is a hash of our source, and of that of the packages in which `kinds` are.
    """
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    if commit.returncode == 0:
        found["commit"] = commit.stdout.strip()
    digest = hashlib.blake2b(digest_size=8)
    for name, file in sorted(_source(kinds).items()):
        digest.update(f"{name} {file.stat().st_size}\n".encode() + file.read_bytes())
    return found | {"code": digest.hexdigest()}


def _source(kinds: Iterable[type]) -> dict[str, Path]:
    """{name: file} of all that ships with us, weights of experts too, and of the modules beside `kinds`."""
    ours = Path(__file__).parent
    files = [file for file in ours.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    found = {str(file.relative_to(ours.parent)): file for file in files}
    for top in {kind.__module__.partition(".")[0] for kind in kinds} - {ours.name}:
        module = sys.modules[top]
        folders = [Path(folder) for folder in getattr(module, "__path__", ())]
        single = getattr(module, "__file__", None)
        files = [file for folder in folders for file in folder.rglob("*.py")]
        files += [Path(single)] if single and not folders else []
        found |= {f"{top} {place}": file for place, file in enumerate(sorted(files))}
    return found


def _locked(folder: Path) -> IO[str]:
    """Hold the folder's lock until the file is closed or the process dies."""
    path = folder / LOCK
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        file.close()
        raise RuntimeError(
            f"{folder} is being written by {holder}: wait for it or stop it"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {platform.node()}")
    file.flush()
    return file
