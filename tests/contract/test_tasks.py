"""What every task must do. A task that is listed in TASKS is tested here."""

import sys

import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from tests.processes import Process
from understudy.fleet import ExpertActor, Here, PolicyActor, RandomActor
from understudy.policies.checkpoint import save_checkpoint
from understudy.policies.mlp import MlpConfig
from understudy.rollout import world_spec
from understudy.tasks import TASKS, find_task, make_task

# Expert at least, random at most: mean score over 20 starts, with room for chance.
SCORES = {
    "mountain-car": (-130.0, -195.0),
    "car-racing": (70.0, 40.0),
    "cart-pole": (499.0, 60.0),
    "pusht": (None, 0.35),
    "hopper": (500.0, 60.0),
    "kuka-sliders": (-10.0, -200.0),
    "pendulum": (-250.0, -800.0),
    "panda-grasp": (1.0, 0.3),
    "panda-trace": (-0.001, -100.0),
    "two-arm-transfer": (1.0, 0.2),
}
VARIANTS = {
    "car-racing": ("car-racing:observe=state,limit_s=3",),
    "kuka-sliders": ("kuka-sliders:trace=circle,seconds=1",),
    "panda-grasp": ("panda-grasp:pose=random,noise_m=0.01,limit_s=4",),
    "panda-trace": ("panda-trace:curve=circle,spacing_m=0.01",),
    "pusht": ("pusht", "pusht:observe=pixels"),
    "two-arm-transfer": ("two-arm-transfer:limit_s=4",),
}


@pytest.fixture(params=[v for name in sorted(TASKS) for v in VARIANTS.get(name, (name,))])
def task(request):
    return make_task(request.param)


def name_of(task):
    return next(name for name in TASKS if find_task(name) is type(task))


@pytest.mark.filterwarnings("ignore::UserWarning")  # gymnasium's advice on spaces, not errors
def test_gymnasiums_own_checker_finds_nothing(task):
    check_env(task.build(), skip_render_check=True)


def test_observations_and_the_world_fit_the_spec(task):
    world = task.build()
    assert world_spec(world) == task.spec
    observation, _ = world.reset(seed=1)
    for key, signal in task.spec.observations.items():
        signal.check(key, observation[key])
    assert world.observation_space.contains(observation)


def test_the_same_seed_gives_the_same_episode_in_a_world_that_was_used_before(task):
    fleet = Here(worlds=1)
    first = [e.id for e in fleet.rollouts(task, RandomActor(), [3])]
    after = [e.id for e in fleet.rollouts(task, RandomActor(), [8, 5, 3])]
    assert after[-1] == first[0]


@pytest.fixture
def policy(task, tmp_path):
    """An untrained network with made-up normalisers: it moves, that is all it needs to do."""
    torch.manual_seed(0)
    spec = task.spec.only(task.spec.vectors)
    made = MlpConfig(history=2, horizon=3, width=32).build(spec)
    with torch.no_grad():
        for key, buffer in made.named_buffers():
            buffer.copy_(torch.full_like(buffer, 100.0 if key.endswith("scale") else 1.0))
    save_checkpoint(tmp_path / "policy", "mlp", made, {})
    return PolicyActor(checkpoint=tmp_path / "policy", width=4)


SEEDS = [100, 101, 102]


def print_ids(task, actor):
    """Play alone; it is done in a process of its own."""
    ids = [episode.id for episode in Here(worlds=1).rollouts(task, actor, SEEDS)]
    sys.stdout.write(" ".join(ids))


def test_a_policys_episode_is_identical_beside_others_and_alone_in_another_process(task, policy):
    here = [e.id for e in Here(worlds=2).rollouts(task, policy, SEEDS)]
    there = Process(print_ids, task, policy).done()
    assert there.stdout.split() == here, there.stderr


@pytest.mark.parametrize(
    "task", [VARIANTS.get(name, (name,))[0] for name in sorted(TASKS)], indirect=True
)
def test_the_expert_is_good_and_chance_is_not(task):
    expert_least, random_most = SCORES[name_of(task)]

    def score(actor, count):
        episodes = Here().rollouts(task, actor, range(10_000, 10_000 + count))
        best = task.score == "max_reward"
        return np.mean([e.rewards.max() if best else e.rewards.sum() for e in episodes])

    assert score(RandomActor(), 10) <= random_most
    assert task.has_expert == (expert_least is not None)
    if task.has_expert:
        assert score(ExpertActor(), 20) >= expert_least
