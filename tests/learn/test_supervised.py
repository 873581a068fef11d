from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
import torch

from tests import demonstrations
from understudy.data.augment import AugmentConfig
from understudy.data.windows import Windows
from understudy.learn.supervised import (
    DivergedError,
    LearnConfig,
    TrainingState,
    averaged_weights,
    learn,
)
from understudy.policies.mlp import MlpConfig
from understudy.policies.transfer import freeze

CONFIG = LearnConfig(steps=60, batch_size=8, learning_rate=1e-2, warmup_steps=10, report_every=20)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return demonstrations.dataset(
        tmp_path_factory.mktemp("learn") / "data", demonstrations.CONTINUOUS
    )


def windows(dataset, **options):
    return Windows(dataset, history=2, horizon=3, batch_size=8, **options)


def policy(dataset):
    torch.manual_seed(0)
    made = MlpConfig(history=2, horizon=3, width=16, depth=1, dropout=0.2).build(dataset.spec)
    made.prepare(windows(dataset))
    return made


def kept(state):
    return TrainingState(
        state.step, state.skipped, {k: v.clone() for k, v in state.tensors.items()}
    )


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_the_loss_falls_and_reports_come_as_often_as_asked(dataset):
    reports = list(learn(policy(dataset), windows(dataset), CONFIG))
    assert [r.step for r in reports] == [20, 40, 60]
    assert reports[-1].losses["total"] < 0.7 * reports[0].losses["total"]


NOISY = replace(CONFIG, augment=AugmentConfig(vector_noise=0.1))
LOW = replace(CONFIG, precision="bfloat16")


@pytest.mark.parametrize("config", [NOISY, LOW], ids=["noise", "bfloat16"])
def test_augmentation_and_precision_change_the_weights_and_the_loss_still_falls(dataset, config):
    plain, other = policy(dataset), policy(dataset)
    list(learn(plain, windows(dataset), CONFIG))
    reports = list(learn(other, windows(dataset), config))
    assert not equal(plain.state_dict(), other.state_dict())
    assert all(p.dtype == torch.float32 for p in other.parameters())
    assert reports[-1].losses["total"] < 0.8 * reports[0].losses["total"]


@pytest.mark.parametrize("stop", [20, 40])
@pytest.mark.parametrize("config", [CONFIG, NOISY, LOW], ids=["plain", "noise", "bfloat16"])
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(dataset, stop, config):
    whole = policy(dataset)
    *_, last = learn(whole, windows(dataset), config)
    first = policy(dataset)
    for report in learn(first, windows(dataset), config):
        if report.step == stop:
            state = kept(report.state)
            break
    again = policy(dataset)
    *_, resumed = learn(again, windows(dataset), config, resume=state)
    assert equal(again.state_dict(), whole.state_dict())
    assert equal(averaged_weights(again, resumed.state), averaged_weights(whole, last.state))


def half_frozen(dataset):
    made = policy(dataset)
    assert freeze(made, ["network"]) == 16 * 10 + 16
    return made


def test_frozen_weights_stay_bit_for_bit_through_decay_average_and_augmentation(dataset):
    trained, before = half_frozen(dataset), half_frozen(dataset).state_dict()
    *_, last = learn(trained, windows(dataset), replace(NOISY, weight_decay=0.1))
    for after in (trained.state_dict(), averaged_weights(trained, last.state)):
        assert after.keys() == before.keys()
        same = {name for name in after if torch.equal(after[name], before[name])}
        assert before.keys() - same == {"head.last.weight", "head.last.bias"}
    assert last.state.tensors["average"].numel() == 6 * 16 + 6


def test_a_resumed_run_with_frozen_weights_ends_with_the_same_ones(dataset):
    whole, first, again = (half_frozen(dataset) for _ in range(3))
    *_, last = learn(whole, windows(dataset), CONFIG)
    state = next(kept(r.state) for r in learn(first, windows(dataset), CONFIG) if r.step == 40)
    *_, resumed = learn(again, windows(dataset), CONFIG, resume=state)
    assert equal(again.state_dict(), whole.state_dict())
    assert equal(averaged_weights(again, resumed.state), averaged_weights(whole, last.state))


def test_looking_at_the_held_out_loss_changes_nothing(dataset):
    with_, without = policy(dataset), policy(dataset)
    train, rest = windows(dataset, episodes=[0, 2]), windows(dataset, episodes=[1])
    *_, report = learn(with_, train, replace(CONFIG, validate_every=7), held_out=rest)
    list(learn(without, train, CONFIG))
    assert equal(with_.state_dict(), without.state_dict())
    assert report.held_out["total"] > 0


@dataclass
class Poisoned:
    """Windows with a batch of NaN at some steps."""

    real: Windows
    steps: set[int]

    @property
    def spec(self):
        return self.real.spec

    def batch(self, step):
        batch = self.real.batch(step)
        return replace(batch, actions=batch.actions * torch.nan) if step in self.steps else batch


def test_a_step_that_is_not_finite_is_dropped_and_counted(dataset):
    trained = policy(dataset)
    poisoned = Poisoned(windows(dataset), {3, 30})
    first, second, last = learn(trained, poisoned, CONFIG)
    assert last.state.skipped == 2
    [clean, *_] = learn(policy(dataset), windows(dataset), CONFIG)
    assert first.losses["total"] == pytest.approx(clean.losses["total"], rel=0.1)
    assert second.state.skipped == 2
    assert all(torch.isfinite(v).all() for v in averaged_weights(trained, last.state).values())


def test_too_many_such_steps_end_training_with_advice(dataset):
    poisoned = Poisoned(windows(dataset), set(range(20, 60)))
    reports = learn(policy(dataset), poisoned, replace(CONFIG, skips_allowed=5))
    good = next(reports)
    with pytest.raises(DivergedError, match="learning-rate"):
        list(reports)
    assert all(torch.isfinite(v).all() for v in good.state.tensors.values())


def test_the_rate_rises_then_falls_to_zero():
    config = LearnConfig(steps=100, warmup_steps=10, learning_rate=2.0)
    rates = [config.rate_at(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert rates[-1] < 0.001


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"learning_rate": 0.0},
        {"batch_size": -1},
        {"ema_decay": 1.0},
        {"weight_decay": -1.0},
        {"warmup_steps": -1},
        {"seed": -1},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LearnConfig(**options)
