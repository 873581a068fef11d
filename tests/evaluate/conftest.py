"""A real task, two real actors and their measurements."""

from dataclasses import dataclass

import numpy as np
import pytest

from understudy.actor import Decision
from understudy.evaluate.measure import Report, measure, seeds_for
from understudy.fleet import ExpertActor, Here
from understudy.spec import STATE
from understudy.tasks.mountain_car import MountainCar


class TimidPlayer:
    source = "timid"
    requests = ()

    def __init__(self, dead_zone):
        self.dead_zone = dead_zone

    def reset(self, slots, seeds):
        pass

    def act(self, observations, info):
        velocity = observations[STATE][:, 1]
        pushes = np.where(velocity > 0, 2, 0)
        return Decision(np.where(np.abs(velocity) < self.dead_zone, 1, pushes)[:, None])


@dataclass(frozen=True)
class Timid:
    """The expert, except that it does not push at low speed: it fails on some starts."""

    dead_zone: float = 0.0006

    def build(self, spec):
        return TimidPlayer(self.dead_zone)


def measured(task, actor, name, n=40) -> Report:
    seeds = seeds_for("report", n)
    episodes = Here().rollouts(task, actor, seeds)
    *_, report = measure(episodes, task, actor, seeds, task_name="mountain-car", actor_name=name)
    return report


@pytest.fixture(scope="session")
def task():
    return MountainCar()


@pytest.fixture(scope="session")
def timid_actor():
    return Timid()


@pytest.fixture(scope="session")
def expert(task):
    return measured(task, ExpertActor(), "expert")


@pytest.fixture(scope="session")
def timid(task, timid_actor):
    return measured(task, timid_actor, "timid")
