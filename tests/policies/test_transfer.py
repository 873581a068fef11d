"""What a policy takes over from another of its kind, what stays its own, and what may stay frozen."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests import demonstrations
from tests.demonstrations import CONTINUOUS, DISCRETE
from understudy.data.store import Dataset
from understudy.learn.clone import windows_of
from understudy.nn.normalize import Normalizer
from understudy.policies.act import ActConfig
from understudy.policies.cnn import CnnConfig
from understudy.policies.flow import FlowConfig
from understudy.policies.gaussian import GaussianConfig
from understudy.policies.knn import KnnConfig
from understudy.policies.lerobot_act import LerobotActConfig
from understudy.policies.lerobot_diffusion import LerobotDiffusionConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.regularised import RegularisedConfig
from understudy.policies.transfer import freeze, out_of_reach, parts_of, take_over
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

MLP = MlpConfig(width=16, depth=2)
EXTRA = "observation.extra"


@pytest.fixture(scope="module")
def source_data(tmp_path_factory):
    return demonstrations.dataset(tmp_path_factory.mktemp("source") / "data", CONTINUOUS)


@pytest.fixture
def target_data(tmp_path):
    """Make a dataset with other signals: {key: columns of (state, environment)}, columns of action."""

    def make(observations, action=(0, 1), signals=None, scale=2.0):
        sizes = {key: Signal((len(columns),)) for key, columns in observations.items()}
        spec = Spec(sizes | (signals or {}), Signal((len(action),)), 10.0, "made up")
        made = Dataset.create(tmp_path / "target", spec)
        for seed in (7, 8):
            shown = demonstrations.made_up(CONTINUOUS, seed, 20, scale)
            both = np.concatenate([shown.observations[k] for k in CONTINUOUS.observations], 1)
            made.append(
                replace(
                    shown,
                    observations={key: both[:, [*c]] for key, c in observations.items()},
                    actions=shown.actions[:, [*action]],
                )
            )
        return made

    return make


def prepared(config, dataset, seed=0, **options):
    windows = windows_of(config, dataset, **options)
    torch.manual_seed(seed)
    policy = config.build(windows.spec)
    policy.prepare(windows)
    return policy


def scale_of(policy, key):
    vectors = policy.input.vectors
    return vectors.encoders[vectors.keys.index(key)].scale


def test_an_observation_of_another_size_gets_its_own_normaliser_and_a_fresh_first_layer(
    source_data, target_data
):
    source = prepared(MLP, source_data)
    data = target_data({STATE: (0, 1), ENVIRONMENT_STATE: (3, 4)})
    policy, own = prepared(MLP, data, seed=1), prepared(MLP, data, seed=1)
    transfer = take_over(policy, source)
    assert list(transfer.fresh) == ["network.0.weight"]
    assert transfer.fresh["network.0.weight"] == (16 * 4, "(16, 4), the source has (16, 5)")
    assert transfer.share == 1 - 16 * 4 / transfer.size
    assert transfer.anew == {STATE: "shape (2,), in the source (3,)"}
    assert torch.equal(scale_of(policy, STATE), scale_of(own, STATE))
    assert torch.equal(scale_of(policy, ENVIRONMENT_STATE), scale_of(source, ENVIRONMENT_STATE))
    assert torch.equal(
        policy.get_parameter("network.0.weight"), own.get_parameter("network.0.weight")
    )
    assert torch.equal(
        policy.get_parameter("network.0.bias"), source.get_parameter("network.0.bias")
    )
    assert torch.equal(policy.head.last.weight, source.head.last.weight)


def test_an_action_of_another_size_gets_a_fresh_head_with_its_own_normaliser(
    source_data, target_data
):
    source = prepared(MLP, source_data)
    data = target_data({STATE: (0, 1, 2), ENVIRONMENT_STATE: (3, 4)}, action=(0, 1, 0))
    policy, own = prepared(MLP, data, seed=1), prepared(MLP, data, seed=1)
    transfer = take_over(policy, source)
    assert list(transfer.fresh) == ["head.last.weight", "head.last.bias"]
    assert list(transfer.anew) == ["action"]
    assert torch.equal(policy.head.normalizer.scale, own.head.normalizer.scale)
    assert torch.equal(
        policy.get_parameter("network.0.weight"), source.get_parameter("network.0.weight")
    )


def test_a_normaliser_goes_with_its_observation_wherever_that_stands(source_data, target_data):
    source = prepared(MLP, source_data)
    data = target_data({EXTRA: (0, 1), ENVIRONMENT_STATE: (3, 4), STATE: (0, 1, 2)})
    inputs = {"inputs": (EXTRA, STATE, ENVIRONMENT_STATE)}
    policy, own = prepared(MLP, data, **inputs), prepared(MLP, data, **inputs)
    assert policy.input.vectors.keys == (EXTRA, STATE, ENVIRONMENT_STATE)
    assert take_over(policy, source).anew == {EXTRA: "the source does not see it"}
    assert torch.equal(scale_of(policy, EXTRA), scale_of(own, EXTRA))
    for key in (STATE, ENVIRONMENT_STATE):
        assert torch.equal(scale_of(policy, key), scale_of(source, key))


def test_a_signal_of_other_names_is_another_signal(tmp_path):
    def named(*names):
        return replace(CONTINUOUS, action=Signal((2,), names=names))

    source, same, other = (
        prepared(MLP, demonstrations.dataset(tmp_path / str(n), spec, scale=n))
        for n, spec in enumerate((named("x", "y"), CONTINUOUS, named("left", "right")), 1)
    )
    assert take_over(same, source).anew == {}
    assert "names ('left', 'right'), in the source ('x', 'y')" in take_over(other, source).anew["action"]  # fmt: skip
    assert not torch.equal(other.head.normalizer.offset, source.head.normalizer.offset)


def test_a_signal_that_is_normalised_otherwise_keeps_its_own_normaliser(source_data):
    source = prepared(MLP, source_data)
    policy = prepared(replace(MLP, bins=4), source_data)
    anew = take_over(policy, source).anew
    assert anew == dict.fromkeys(
        (STATE, ENVIRONMENT_STATE), "it is normalised otherwise in the source"
    )


def test_lerobots_normalisers_are_taken_over_by_their_keys(source_data, target_data):
    config = LerobotActConfig(
        horizon=3, width=16, heads=2, hidden=16, encoder_layers=1, shown_layers=1
    )
    source = prepared(config, source_data)
    policy = prepared(config, target_data({STATE: (0, 1, 2), ENVIRONMENT_STATE: (3, 4, 0)}), seed=1)
    own = policy.scales.of(ENVIRONMENT_STATE).second.clone()
    transfer = take_over(policy, source)
    assert list(transfer.fresh) == ["tokens.observation_environment_state.weight"]
    assert list(transfer.anew) == [ENVIRONMENT_STATE]
    assert torch.equal(policy.scales.of(STATE).second, source.scales.of(STATE).second)
    assert torch.equal(policy.scales.of(ENVIRONMENT_STATE).second, own)


REFUSED = {
    "kind": (MLP, GaussianConfig(width=16, depth=2), CONTINUOUS, "kind Mlp, not Gaussian"),
    "no weights": (KnnConfig(), KnnConfig(), CONTINUOUS, "keeps the demonstrations themselves"),
    "nothing fits": (MLP, MlpConfig(width=24, depth=2), DISCRETE, "no weight of the source fits"),
    "tasks": (replace(MLP, tasks=("pull", "push")), MLP, CONTINUOUS, "of the same tasks"),
}


@pytest.mark.parametrize(("first", "second", "spec", "complaint"), REFUSED.values(), ids=REFUSED)
def test_a_source_that_cannot_be_one_is_refused_and_the_policy_stays(
    first, second, spec, complaint
):
    policy = second.build(spec)
    before = {key: value.clone() for key, value in policy.state_dict().items()}
    with pytest.raises(ValueError, match=complaint):
        take_over(policy, first.build(CONTINUOUS))
    after = policy.state_dict()
    assert all(torch.equal(after[key].nan_to_num(), before[key].nan_to_num()) for key in before)


def test_a_part_is_frozen_by_its_name_and_nothing_else_is():
    policy = MLP.build(CONTINUOUS)
    assert freeze(policy, ["network.0"]) == 16 * 5 + 16
    still = {name for name, p in policy.named_parameters() if not p.requires_grad}
    assert still == {"network.0.weight", "network.0.bias"}


def test_the_parts_that_there_are_have_weights():
    assert parts_of(MLP.build(CONTINUOUS)) == {
        "network": 368,
        "network.0": 96,
        "network.2": 272,
        "head": 34,
        "head.last": 34,
    }


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (("netwrk",), r"no part of the policy. Did you mean 'network'\? There is: network \(368\)"),
        (("input",), "'input' has no weights to freeze"),
        (("network", "head"), "nothing is left to train"),
        (("head",), "head.last.weight did not fit the source"),
    ],
)
def test_what_cannot_be_frozen_is_said_with_what_can(parts, complaint):
    policy = MLP.build(CONTINUOUS)
    fresh = ("head.last.weight",) if parts == ("head",) else ()
    with pytest.raises(ValueError, match=complaint):
        freeze(policy, parts, fresh)
    assert all(p.requires_grad for p in policy.parameters())


CLIPPING = {
    "flow": FlowConfig(horizon=4),
    "cnn": CnnConfig(channels=(8, 8), width=8),
    "lerobot_diffusion": LerobotDiffusionConfig(
        history=2, horizon=3, widths=(8, 16), groups=4, time_features=8, keypoints=4, levels=4,
        inference_steps=4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("config", CLIPPING.values(), ids=CLIPPING)
def test_commands_beyond_what_the_source_saw_are_named_where_they_are_clipped(config, tmp_path):
    small, large = (
        demonstrations.dataset(tmp_path / str(n), demonstrations.CAMERA, (9, 6), scale=n)
        for n in (1.0, 3.0)
    )
    source, policy = prepared(config, small), prepared(config, large)
    assert out_of_reach(policy, windows_of(config, large)) == []
    take_over(policy, source)
    assert out_of_reach(policy, windows_of(config, small)) == []
    first, second = out_of_reach(policy, windows_of(config, large))
    assert first.startswith("0: ")
    assert second.startswith("1: ")


def test_a_policy_that_clips_nothing_reaches_beyond_what_its_source_saw(tmp_path):
    small, large = (
        demonstrations.dataset(tmp_path / str(n), CONTINUOUS, (9, 6), scale=n) for n in (1.0, 3.0)
    )
    config = RegularisedConfig(width=8, prior_width=8)
    policy = prepared(config, large)
    take_over(policy, prepared(config, small))
    assert out_of_reach(policy, windows_of(config, large)) == []


def test_a_number_that_was_constant_in_the_source_cannot_be_commanded(source_data):
    policy = prepared(ActConfig(width=16, heads=2, hidden=16), source_data)
    windows = windows_of(policy.config, source_data)
    assert out_of_reach(policy, windows) == []
    normalizer = policy.action.normalizer
    assert isinstance(normalizer, Normalizer)
    normalizer.scale[1] = 0.0
    [said] = out_of_reach(policy, windows)
    assert said.startswith("1: ")
