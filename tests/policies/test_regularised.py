"""What the diffusion model and the arm's kinematics do to cloning."""

import numpy as np
import pytest
import torch

from tests import demonstrations
from understudy.data.store import Dataset
from understudy.episode import Episode
from understudy.learn.clone import clone
from understudy.learn.supervised import LearnConfig
from understudy.physics.arms import PANDA
from understudy.policies.regularised import RegularisedConfig
from understudy.spec import STATE, Signal, Spec

TWO_WAYS = Spec({STATE: Signal((1,))}, Signal((2,)), 10.0, "two ways")


def recorded(folder, spec, seen, actions):
    with Dataset.create(folder, spec) as dataset:
        dataset.append(
            Episode(
                observations={STATE: seen},
                actions=actions,
                rewards=np.zeros(len(seen)),
                time_s=np.arange(len(seen)) / spec.rate_hz,
                terminated=True,
                truncated=False,
                task=spec.task,
            )
        )
    return Dataset.open(folder)


def answers(policy, seen):
    rows = torch.from_numpy(seen).float()[:, None]
    with torch.inference_mode():
        return policy.predict({STATE: rows}, torch.zeros(len(rows), 0))[:, 0].numpy()


def test_where_two_ways_were_shown_likelihood_averages_them_and_the_prior_takes_one(tmp_path):
    draws = np.random.default_rng(0)
    seen = draws.uniform(-1, 1, (2000, 1))
    way = np.where(draws.random(2000) < 0.5, 1.0, -1.0)[:, None]
    actions = way * np.concatenate([1 + 0.2 * seen, 1 - 0.2 * seen], 1)
    dataset = recorded(tmp_path / "two", TWO_WAYS, seen, actions)
    learning = LearnConfig(steps=700, batch_size=128, learning_rate=3e-3)
    places = np.linspace(-0.9, 0.9, 19)[:, None]
    apart = {}
    for weight in (0.0, 1000.0):
        config = RegularisedConfig(width=32, depth=2, prior_width=64, prior_weight=weight)
        found = answers(clone(config, dataset, learning), places)
        ways = [s * np.concatenate([1 + 0.2 * places, 1 - 0.2 * places], 1) for s in (1, -1)]
        apart[weight] = min(np.abs(found - way).mean() for way in ways)
    assert apart[0.0] > 0.7
    assert apart[1000.0] < 0.2


def test_the_flange_comes_nearer_when_it_is_learnt_too(tmp_path):
    chain = PANDA.flange_chain
    spec = Spec({STATE: Signal((1,))}, Signal((7,)), 10.0, "swing")
    seen = np.linspace(-1, 1, 400)[:, None]
    bend = np.array([1.0, 0.5, -1.0, 0.5, 0.8, -0.5, 0.4])
    actions = chain.home_rad + 0.8 * bend * np.sin(2 * seen + bend)
    dataset = recorded(tmp_path / "swing", spec, seen, actions)
    learning = LearnConfig(steps=300, batch_size=64, learning_rate=3e-3)
    errors = []
    for arm in ("none", "panda"):
        config = RegularisedConfig(width=32, depth=2, prior_weight=0.0, arm=arm)
        found = answers(clone(config, dataset, learning), seen)
        way = chain.forward(found.astype(float))[0] - chain.forward(actions)[0]
        errors.append(np.sqrt((way**2).sum(1).mean()))
    assert errors[1] < 0.8 * errors[0]


def test_an_arm_that_is_not_commanded_by_these_actions_is_refused():
    config = RegularisedConfig(arm="panda")
    for spec in (demonstrations.CONTINUOUS, demonstrations.DISCRETE):
        with pytest.raises(ValueError, match="commanded by 7 angles"):
            config.build(spec)


@pytest.mark.parametrize(
    ("name", "value"), [("width", 0), ("prior_weight", -1.0), ("least_deviation", 0.0)]
)
def test_settings_that_mean_nothing_are_refused(name, value):
    with pytest.raises(ValueError, match=name if name != "prior_weight" else "weights"):
        RegularisedConfig(**{name: value})
