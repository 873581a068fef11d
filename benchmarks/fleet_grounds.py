"""What the fleet's benchmarks play, and where: tasks, policies of one size each, and the grounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pusht import understudy

from understudy.data.store import Dataset
from understudy.fleet import ExpertActor, Fleet, Here, PolicyActor, Pool, RandomActor
from understudy.fleet.on_ray import OnRay
from understudy.run import find_checkpoint
from understudy.tasks import make_task

WORLDS, FIRST_SEED = 16, 10_000
WORKERS = {"process": 1, "pool-2": 2, "ray-2": 2}
GROUNDS: dict[str, Callable[[int], Fleet]] = {
    "process": Here,
    "pool-2": lambda worlds: Pool(2, worlds),
    "ray-2": lambda worlds: OnRay(2, worlds),
}
TASKS = {
    "pusht": "pusht",
    "pusht-pixels": "pusht:observe=pixels",
    "panda-grasp": "panda-grasp",
    "cart-pole": "cart-pole",
}
POLICIES: dict[str, tuple[object, ...]] = {  # what `understudy train` is told
    "diffusion": ("diffusion",),
    "mlp": ("mlp", "--width", 128, "--depth", 2),
}
CHUNKS = ("--horizon", 16, "--execute", 8)  # of mlp, but for cart-pole, where it answers every tick
# One step makes a policy that can be played, and its episodes last as long as the task lets them.
# Where an episode ends with the first mistake, one policy knows better.
STEPS = {("cart-pole", "mlp"): 1000}


def named(ground: str, task: str, policy: str) -> str:
    """The case of a ground; PushT's states with diffusion is what needs no name."""
    return ground if (task, policy) == ("pusht", "diffusion") else f"{ground}-{task}-{policy}"


def checkpoint(folder: Path, task: str, policy: str) -> Path:
    """A policy of that kind for that task, made unless it is there.

    That of PushT's states with diffusion has to be there: episodes end when they succeed, some soon
    and some never, which is a part of what a loop has to cope with.
    """
    run = folder / f"{task}-{policy}"
    if not run.exists():
        data = folder / task
        if not data.exists():
            record(data, task)
        chunks = CHUNKS if policy == "mlp" and task != "cart-pole" else ()
        steps = ("--steps", STEPS.get((task, policy), 1), "--batch-size", 64)
        given = (*POLICIES[policy], *chunks, "--data", data, "--run", run, *steps)
        understudy("train", *given, log=folder / f"{task}-{policy}.log")
    return find_checkpoint(run)


def record(data: Path, task: str) -> None:
    """A few demonstrations, random ones where the task has no expert."""
    config = make_task(TASKS[task])
    actor = ExpertActor() if config.has_expert else RandomActor()
    with Dataset.create(data, config.spec) as dataset:
        for episode in Here(4).rollouts(config, actor, range(4)):
            dataset.append(episode)


def actor_of(folder: Path, task: str, policy: str, width: int = WORLDS) -> PolicyActor:
    """The policy as it is played: its batches as wide as there are worlds."""
    return PolicyActor(checkpoint=checkpoint(folder, task, policy), width=width)
