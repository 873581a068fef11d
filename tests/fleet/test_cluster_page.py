"""What docs/cluster.md says, on one machine: two of Ray's nodes, one of which dies while they play."""

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

EVALUATE = "--task cart-pole --episodes 600 --worlds 2 --videos 0"


@pytest.fixture
def environment():
    """That of every machine of a cluster: the same token, and what is installed."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    source = str(Path(__file__).resolve().parents[2] / "src")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    usual = {
        k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"
    }  # Ray begins late
    return {**usual, **token, "PATH": path, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}


@pytest.fixture
def own_folder():
    """A folder for Ray: clusters in the usual one are found by whoever looks for one. Sockets want it short."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield folder


@contextmanager
def node(environment, folder, *options):
    """One of Ray's nodes with one processor, as long as the block lasts."""
    words = ["ray", "start", *options, "--temp-dir", folder, "--num-cpus", "1", "--block"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, env=environment, **silent)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def descendants(pid):
    """{pid: command} of the processes that a process began, and of those that they began."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True)
    parents, commands = {}, {}
    for line in listed.stdout.splitlines():
        child, parent, command = line.split(maxsplit=2)
        parents[int(child)], commands[int(child)] = int(parent), command
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return {one: commands[one] for one in found if one in commands}


def plays(process):
    """Whether one of the node's workers is more than idle."""
    commands = descendants(process.pid).values()
    return any(words.startswith("ray::") and "IDLE" not in words for words in commands)


def rows(out):
    """What `understudy evaluate` wrote down, but for how long the actor thought."""
    facts = json.loads((out / "report.json").read_text())
    assert facts["lost"] == []
    return [{**row, "act_ms_median": None, "act_ms_p99": None} for row in facts["rows"]]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_until(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_node_that_dies_costs_no_episode(environment, own_folder, tmp_path):
    port, words = free_port(), shlex.split(EVALUATE)
    evaluate = [sys.executable, "-m", "understudy", "evaluate", "expert", *words]
    alone, cluster = tmp_path / "alone", tmp_path / "cluster"
    subprocess.run([*evaluate, "--out", alone], env=environment, check=True)
    head = ["--head", "--node-ip-address", "127.0.0.1", "--port", str(port)]
    address = f"127.0.0.1:{port}"
    ray = ["--fleet", "ray", "--address", address, "--workers", "2", "--out", cluster]
    with (
        node(environment, own_folder, *head),
        node(environment, own_folder, "--address", address) as second,
        subprocess.Popen([*evaluate, *ray], env=environment) as evaluation,
    ):
        wait_until(lambda: (cluster / "unfinished.json").exists() and plays(second))
        assert evaluation.poll() is None
        for pid in descendants(second.pid):
            os.kill(pid, signal.SIGKILL)
        assert evaluation.wait(200) == 0
    assert rows(cluster) == rows(alone)
