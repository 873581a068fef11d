import os
import signal
import threading
import time

import pytest

from tests.demonstrations import DISCRETE
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here, PolicyActor, Pool, RandomActor
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.tasks import make_task


def test_a_pool_yields_in_the_order_of_seeds_and_equals_this_process():
    task = make_task("cart-pole")
    seeds = [7, 3, 11, 5, 2]
    here = list(Here(worlds=2).rollouts(task, RandomActor(), seeds))
    pool = list(Pool(workers=2, worlds=2).rollouts(task, RandomActor(), seeds))
    assert [e.seed for e in pool] == seeds
    assert [e.id for e in pool] == [e.id for e in here]


def test_a_pool_records_what_its_workers_played(tmp_path):
    task = make_task("mountain-car")
    dataset = Dataset.create(tmp_path / "data", task.spec)
    episodes = list(Pool(workers=2).rollouts(task, ExpertActor(), range(4), dataset.recorder()))
    assert len(dataset) == 4
    assert [dataset[i].seed for i in range(4)] == [e.seed for e in episodes] == [0, 1, 2, 3]


def test_a_worker_that_is_killed_is_an_error_and_not_a_hang():
    task = make_task("cart-pole")
    before = set(os.listdir("/proc"))

    def kill_a_worker():
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            for name in set(os.listdir("/proc")) - before:
                try:
                    with open(f"/proc/{name}/cmdline") as file:
                        line = file.read()
                    with open(f"/proc/{name}/stat") as file:
                        parent = int(file.read().rsplit(")", 1)[1].split()[1])
                except (OSError, ValueError, IndexError):
                    continue
                if parent == os.getpid() and "spawn_main" in line:
                    time.sleep(1)
                    os.kill(int(name), signal.SIGKILL)
                    return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    with pytest.raises(RuntimeError, match="worker process died"):
        list(Pool(workers=1).rollouts(task, ExpertActor(), range(2000)))
    killer.join()


def test_a_policy_that_does_not_fit_the_world_is_refused_with_the_differences(tmp_path):
    policy = MlpConfig(width=8, depth=1).build(DISCRETE)
    save_checkpoint(tmp_path / "policy", "mlp", policy, {})
    actor = PolicyActor(checkpoint=tmp_path / "policy")
    with pytest.raises(ValueError, match=r"observation\.state shape: needs \(3,\), offered \(2,\)"):
        list(Here().rollouts(make_task("mountain-car"), actor, [0]))


def test_a_pool_needs_a_worker():
    with pytest.raises(ValueError, match="at least 1"):
        Pool(workers=0)
