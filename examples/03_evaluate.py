"""Measure two actors on the same unseen starts and ask whether one is better."""

from understudy.evaluate.compare import compare
from understudy.evaluate.measure import Report, measure, seeds_for
from understudy.fleet import ActorConfig, ExpertActor, Here, RandomActor
from understudy.tasks import make_task

task = make_task("cart-pole")
seeds = seeds_for("report", 50)  # nothing is ever chosen on these


def measured(name: str, actor: ActorConfig) -> Report:
    """Play one episode per seed and return the whole report."""
    episodes = Here().rollouts(task, actor, seeds)
    *_, report = measure(episodes, task, actor, seeds, task_name="cart-pole", actor_name=name)
    return report


expert, random = measured("expert", ExpertActor()), measured("random", RandomActor())
print(expert)
print(random)
print(compare(expert, random))
