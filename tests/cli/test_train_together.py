"""Training by several processes, started by torchrun as a user starts them, or with what it tells them."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from tests import demonstrations
from tests.processes import Process, program, understudy
from understudy.data.store import Dataset
from understudy.learn.clone import windows_of
from understudy.learn.group import Group
from understudy.learn.supervised import LearnConfig, learn
from understudy.policies.mlp import MlpConfig

TORCHRUN = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "--",
)
# Without dropout and with the last action held every process computes its part of the same mean.
OPTIONS = ("--batch-size", "32", "--width", "32", "--depth", "1", "--history", "2", "--horizon", "4",
           "--dropout", "0", "--past-end", "held", "--held-out", "0.3", "--threads", "1",
           "--validate-every", "100")  # fmt: skip

OTHER_DATA = """
from pathlib import Path
from understudy.data.store import Dataset
from understudy.learn.group import joined

with joined() as group:
    dataset = Dataset.open([Path(path) for path in {folders}][group.rank])
    group.require_same("the same", "everywhere")
    group.require_same("data", dataset.fingerprint)
"""
STEPS = ("--steps", "600", "--checkpoints", "6")
CONFIG = MlpConfig(width=16, depth=1, dropout=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together") / "data"
    demonstrations.dataset(folder, demonstrations.CONTINUOUS)
    return folder


@pytest.fixture
def dataset(data):
    return Dataset.open(data)


def by_torchrun(*words):
    return subprocess.Popen(
        [*TORCHRUN, "understudy", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ended(process, seconds=90):
    try:
        out, error = process.communicate(timeout=seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, out, error


def two(begin):
    """What two processes came to that are told what torchrun tells them; `begin` takes this as `env`."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    told = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    begun = [begin(env={**told, "RANK": rank, "LOCAL_RANK": rank}) for rank in ("0", "1")]
    return [process.done() for process in begun]


def went_on(folder, together=True):
    """What is said when a run goes on to its end."""
    go_on = partial(understudy, "train", "--resume", folder)
    done = two(go_on) if together else [go_on().done()]
    assert [one.returncode for one in done] == [0] * len(done), done[0].stderr
    return done[0].stdout


def trained(data, folder, *more, together=True):
    begin = partial(understudy, "train", "mlp", "--data", data, "--run", folder, *OPTIONS, *more)
    done = two(begin) if together else [begin().done()]
    assert [one.returncode for one in done] == [0] * len(done), done[0].stderr
    return done[0].stdout


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def final(folder, name="model"):
    return load_file(max((folder / "checkpoints").iterdir()) / f"{name}.safetensors")


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    assert "on 2 processes" in trained(data, folder, *STEPS)
    return folder


def test_two_processes_end_where_one_does(data, unbroken, tmp_path):
    trained(data, tmp_path / "one", *STEPS, together=False)
    for ours, theirs in zip(metrics(tmp_path / "one"), metrics(unbroken), strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() & {"step", "total", "held_out_total"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4)
    one, two = final(tmp_path / "one"), final(unbroken)
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)


def test_one_that_is_killed_stops_all_and_the_run_goes_on_to_the_same_weights(data, unbroken, tmp_path):  # fmt: skip
    folder = tmp_path / "run"
    process = by_torchrun("train", "mlp", "--data", data, "--run", folder, *OPTIONS, *STEPS)
    os.kill(member(process, folder, rank=1), signal.SIGKILL)
    code, _, _ = ended(process)
    assert code != 0
    assert not alive(folder)
    assert re.search("going on from step [1-5]00", went_on(folder))
    before, after = final(unbroken), final(folder)
    assert all(before[name].equal(after[name]) for name in before)


def test_a_ctrl_c_saves_and_the_run_goes_on_alone(data, unbroken, tmp_path):
    folder = tmp_path / "run"
    process = by_torchrun("train", "mlp", "--data", data, "--run", folder, *OPTIONS, *STEPS)
    member(process, folder, rank=1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does; torchrun passes it on
    code, out, _ = ended(process)
    assert code != 0
    assert f"saved. Go on: understudy train --resume {folder}" in out
    assert "processes: 2 when the run began, 1 now" in went_on(folder, together=False)
    before, after = final(unbroken), final(folder)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-3, atol=1e-4)


def test_with_dropout_a_resumed_run_has_the_same_bits_too(data, tmp_path):
    options = ("--steps", "200", "--checkpoints", "2", "--keep", "0", "--dropout", "0.3")
    trained(data, tmp_path / "run", *options)
    whole = final(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "000200")
    went_on(tmp_path / "run")
    assert all(whole[name].equal(value) for name, value in final(tmp_path / "run").items())


def test_two_processes_fine_tune_as_one_does_and_keep_what_is_frozen(data, unbroken, tmp_path):
    options = ("--steps", "40", "--from", unbroken, "--freeze", "network")
    for name, together in (("one", False), ("two", True)):
        trained(data, tmp_path / name, *options, together=together)
    source, one, two = (final(run) for run in (unbroken, tmp_path / "one", tmp_path / "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4)
        assert value.equal(source[name]) == two[name].equal(source[name])
        assert value.equal(source[name]) != name.startswith("head.last")


def test_processes_draw_different_noise(dataset, monkeypatch):
    """Twice the same half of a batch: equal noise would give the gradient of one half."""
    drawn = {}
    for rank in (0, 1):
        windows = windows_of(CONFIG, dataset, batch_size=8)
        torch.manual_seed(0)
        policy = CONFIG.build(windows.spec)
        policy.prepare(windows)
        monkeypatch.setattr(Group, "average", lambda self, values: None)
        *_, last = learn(policy, windows, LearnConfig(steps=1, batch_size=16), group=Group(rank, 2))
        drawn[rank] = last.losses["total"]
    assert drawn[0] != drawn[1]


def test_processes_that_found_other_data_are_refused(data, tmp_path):
    """The second process opens another dataset, as where a disk is not shared."""
    other = tmp_path / "other"
    demonstrations.dataset(other, demonstrations.CONTINUOUS, lengths=(8, 7, 6))
    done = two(partial(Process, program, OTHER_DATA.format(folders=[str(data), str(other)])))
    assert all(one.returncode != 0 for one in done)
    assert "process 1 of 2 has data other than the first's" in done[0].stderr


def test_a_batch_that_cannot_be_dealt_evenly_is_refused_before_there_is_a_run(data, tmp_path):
    words = ("train", "mlp", "--data", data, "--run", tmp_path / "run", *OPTIONS)
    done = two(partial(understudy, *words, "--batch-size", "31"))
    assert all(one.returncode != 0 for one in done)
    assert "--batch-size 31 cannot be dealt evenly to 2 processes: take 30" in done[0].stderr
    assert not (tmp_path / "run").exists()


def alive(folder):
    """Processes that train into a run."""
    found = subprocess.run(["pgrep", "-f", f"understudy train.*{folder}"], capture_output=True, text=True, check=False)  # fmt: skip
    return [int(line) for line in found.stdout.split()]


def member(process, folder, rank):
    """The process of a rank, once there is a checkpoint."""
    until = time.monotonic() + 90
    while not any((folder / "checkpoints").glob("0*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, "no checkpoint in 90 s"
        time.sleep(0.02)
    for number in alive(folder):
        with open(f"/proc/{number}/environ", "rb") as file:
            if f"\0RANK={rank}\0".encode() in file.read():
                return number
    raise AssertionError(f"no process of rank {rank}")
