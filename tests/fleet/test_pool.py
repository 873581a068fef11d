import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from tests.demonstrations import DISCRETE
from understudy.data.places import STAGING
from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Here, PolicyActor, Pool, whole
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.tasks import make_task


@pytest.mark.parametrize("fleet", [Here(2), Pool(2, 2)], ids=["here", "pool"])
def test_workers_encode_what_they_see_and_the_dataset_keeps_what_it_wants(fleet, tmp_path):
    task = make_task("panda-grasp:limit_s=1,observe=pixels")
    with Dataset.create(tmp_path / "data", task.spec) as dataset:
        workshop = dataset.workshop()
        for episode in fleet.play(task, ExpertActor(), range(3), whole, workshop):
            if episode.seed == 1:
                dataset.discard(episode)
            else:
                dataset.append(episode)
        assert list((tmp_path / "data" / STAGING).iterdir()) == []
        assert [dataset[i].seed for i in range(2)] == [0, 2]
        for camera in task.spec.cameras:
            shape = (len(dataset[1]), *task.spec.observations[camera].shape)
            assert np.asarray(dataset[1].observations[camera]).shape == shape


def test_workers_that_are_killed_from_outside_cost_no_episode():
    seeds, played = range(200), []
    fleet = Pool(workers=2, worlds=4)
    for episode in fleet.rollouts(make_task("cart-pole"), ExpertActor(), seeds):
        played.append((episode.seed, len(episode)))
        if len(played) in (3, 60, 61):
            process = multiprocessing.active_children()[0]
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
    assert played == [(seed, 500) for seed in seeds]


def test_a_pool_that_is_no_longer_listened_to_leaves_no_process_behind():
    results = Pool(workers=2, worlds=1).rollouts(make_task("cart-pole"), ExpertActor(), range(100))
    next(results)
    results.close()
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert multiprocessing.active_children() == []


def test_a_worker_that_waits_ends_with_the_pool_and_one_that_died_waiting_costs_nothing():
    task, children = make_task("cart-pole"), multiprocessing.active_children
    with Pool(workers=1, worlds=1) as pool:
        lengths = [len(episode) for episode in pool.rollouts(task, ExpertActor(), range(3))]
        (waiting,) = children()
        assert [len(e) for e in pool.rollouts(task, ExpertActor(), range(3))] == lengths
        assert children() == [waiting]
        waiting.kill()
        waiting.join()
        assert [len(e) for e in pool.rollouts(task, ExpertActor(), range(3))] == lengths
        assert len(children()) == 1
    assert children() == []


def test_a_call_that_is_open_when_the_pool_ends_leaves_no_worker_behind():
    with Pool(workers=1, worlds=1) as pool:
        results = pool.rollouts(make_task("cart-pole"), ExpertActor(), range(3))
        for _ in range(2):
            next(results)
    results.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("fleet", [Here(), Pool(2)], ids=["here", "pool"])
def test_a_policy_that_does_not_fit_the_world_is_refused_with_the_differences(fleet, tmp_path):
    policy = MlpConfig(width=8, depth=1).build(DISCRETE)
    save_checkpoint(tmp_path / "policy", "mlp", policy, {})
    actor = PolicyActor(checkpoint=tmp_path / "policy")
    with pytest.raises(ValueError, match=r"observation\.state shape: needs \(3,\), offered \(2,\)"):
        list(fleet.rollouts(make_task("mountain-car"), actor, [0, 1]))


def test_a_pool_needs_a_worker():
    with pytest.raises(ValueError, match="at least 1"):
        Pool(workers=0)
