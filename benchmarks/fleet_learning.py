"""Learning by trying on a pool of two against this process: steps a second of rounds, and of playing alone.

The rounds are PPO's with the task's own reward and the recipe's numbers of steps; a policy that has learnt
nothing plays them, whose episodes on hopper and cart-pole are short. The grounds take turns, after a first
round in which workers begin, and have to learn the same. `play_` is of the part of a
round in which worlds are stepped, all that a pool can make faster.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

import results
from fleet_grounds import GROUNDS, WORLDS, named

from understudy.fleet import Fleet
from understudy.learn.fresh import fresh
from understudy.learn.ppo import PpoConfig, improve
from understudy.learn.practice import Practice
from understudy.learn.recipes import RECIPES
from understudy.learn.reward import OwnReward
from understudy.policies import find_policy
from understudy.policies.base import Policy
from understudy.tasks import make_task

TASKS = {"hopper": "gaussian", "pendulum": "gaussian", "cart-pole": "mlp"}
SIDES = ("process", "pool-2")
ROUNDS = 5  # in each repeat
Rates = dict[str, list[float]]  # {side: steps a second}


def measure(repeats: int, share: float) -> list[results.Row]:
    """Rows of each task and ground."""
    rows: list[results.Row] = []
    for task in TASKS:
        rounds = max(2, round(share * repeats * ROUNDS))
        whole, alone = learnt(task, rounds), practised(task, rounds)
        for side in SIDES:
            case = named(f"learning-{side}", task, TASKS[task])
            for prefix, rates in (("", whole), ("play_", alone)):
                columns = {("steps_per_s", "steps/s"): rates[side]}
                if side != "process":
                    pairs = zip(rates[side], rates["process"], strict=True)
                    columns["ratio_to_process", "ratio"] = [pool / one for pool, one in pairs]
                rows += [
                    results.median_row(case, prefix + metric, values, unit, [])
                    for (metric, unit), values in columns.items()
                ]
            print(case, [row["value"] for row in rows if row["case"] == case], flush=True)
    return rows


def learnt(task: str, rounds: int) -> Rates:
    """Steps a second of whole rounds."""
    trainings = {
        side: improve(policy_of(task), make_task(task), config_of(task), OwnReward(), fleet=fleet)
        for side, fleet in fleets().items()
    }
    rates: Rates = {side: [] for side in SIDES}
    for number in range(rounds + 1):
        reports = {side: next(training) for side, training in trainings.items()}
        if len({report.mean_return for report in reports.values()}) > 1:
            raise RuntimeError(f"{task}: the grounds have not learnt the same")
        for side in SIDES if number else ():
            rates[side].append(reports[side].steps_per_s)
    return rates  # with the trainings their workers end


def practised(task: str, rounds: int) -> Rates:
    """Steps a second of playing."""
    policy, config = policy_of(task), make_task(task)
    rates: Rates = {side: [] for side in SIDES}
    with ExitStack() as stack:
        practices = {
            side: Practice(
                policy, config, stack.enter_context(fleet), config_of(task).steps_per_round, 0
            )
            for side, fleet in fleets().items()
        }
        for number in range(rounds + 1):
            for side, practice in practices.items():
                began = time.perf_counter()
                ticks = practice.round().ticks
                if number:
                    rates[side].append(ticks / (time.perf_counter() - began))
    return rates


def fleets() -> dict[str, Fleet]:
    """The grounds."""
    return {side: GROUNDS[side](WORLDS) for side in SIDES}


def policy_of(task: str) -> Policy:
    """A policy of the recipe's size that has learnt nothing."""
    kind = find_policy(TASKS[task])
    sizes = {key: value for key, value in RECIPES[task].policy.items() if hasattr(kind(), key)}
    return fresh(kind(**sizes), make_task(task).spec, seed=0)


def config_of(task: str) -> PpoConfig:
    """Its training."""
    return PpoConfig(**RECIPES[task].practice)
