"""Zips as stable-baselines3 writes them, made here: read and played, and refused where they could do harm."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.baselines_zip import CART_POLE, PENDULUM, layers, saved, weights_of
from understudy.fleet import Here
from understudy.policies.stable_baselines import StableBaselinesActor, read_zip
from understudy.tasks import make_task


def first_action(path, task):
    actor = StableBaselinesActor(path=path)
    (episode,) = Here(worlds=1).rollouts(make_task(task), actor, [5])
    return episode.observations["observation.state"], episode.actions


def through(linear, activation, seen):
    values = torch.from_numpy(seen)
    with torch.no_grad():
        for layer in linear[:-1]:
            values = activation(layer(values))
        return linear[-1](values).numpy()


def test_ppo_chooses_what_its_network_finds_likeliest(tmp_path):
    linear = layers(CART_POLE)
    seen, actions = first_action(saved(tmp_path / "a.zip", weights_of("ppo", linear)), "cart-pole")
    np.testing.assert_array_equal(actions[:, 0], through(linear, torch.tanh, seen).argmax(1))


def test_the_activation_is_read_from_the_remark_beside_the_pickle(tmp_path):
    linear = layers(CART_POLE)
    remark = {":type:": "<class 'dict'>", ":serialized:": "gAWV",
              "activation_fn": "<class 'torch.nn.modules.activation.ReLU'>"}  # fmt: skip
    path = saved(tmp_path / "a.zip", weights_of("ppo", linear), {"policy_kwargs": remark})
    seen, actions = first_action(path, "cart-pole")
    np.testing.assert_array_equal(actions[:, 0], through(linear, torch.relu, seen).argmax(1))
    strange = {"policy_kwargs": {"activation_fn": "<class 'mine.Sine'>"}}
    path = saved(tmp_path / "b.zip", weights_of("ppo", linear), strange)
    with pytest.raises(ValueError, match=r"mine\.Sine.*expected one of Tanh"):
        first_action(path, "cart-pole")


def test_a_gaussian_actor_plays_its_mean_within_the_limits(tmp_path):
    linear = layers(PENDULUM)
    with torch.no_grad():
        linear[-1].weight.mul_(30)
    seen, actions = first_action(saved(tmp_path / "a.zip", weights_of("ppo", linear)), "pendulum")
    expected = through(linear, torch.tanh, seen).clip(-2, 2)
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    assert np.abs(expected).max() == 2.0


@pytest.mark.parametrize("kind", ["sac", "td3"])
def test_a_squashed_actor_reaches_the_limits_and_no_further(tmp_path, kind):
    linear = layers(PENDULUM)
    seen, actions = first_action(saved(tmp_path / "a.zip", weights_of(kind, linear)), "pendulum")
    expected = 2 * np.tanh(through(linear, torch.relu, seen))
    np.testing.assert_allclose(actions, expected, atol=1e-5)


def steep(sizes, factor):
    linear = layers(sizes)
    with torch.no_grad():
        linear[-1].weight.mul_(factor)
    return linear


def test_a_gaussian_actor_that_was_told_to_squash_does(tmp_path):
    linear = steep(PENDULUM, 10)
    told = {"use_sde": True, "policy_kwargs": {"squash_output": True, "net_arch": [8, 8]}}
    path = saved(tmp_path / "a.zip", weights_of("ppo", linear), told)
    seen, actions = first_action(path, "pendulum")
    raw = through(linear, torch.tanh, seen)
    np.testing.assert_allclose(actions, 2 * np.tanh(raw), atol=1e-5)
    assert np.abs(raw).max() > 1


@pytest.mark.parametrize(("told", "bound"), [({}, 2.0), ({"clip_mean": 0.5}, 0.5)])
def test_a_soft_actor_with_noise_of_the_state_has_a_bounded_mean(tmp_path, told, bound):
    linear = steep(PENDULUM, 30)
    facts = {"use_sde": True, "policy_kwargs": {"use_sde": True, **told}}
    path = saved(tmp_path / "a.zip", weights_of("sac with sde", linear), facts)
    seen, actions = first_action(path, "pendulum")
    raw = through(linear, torch.relu, seen)
    np.testing.assert_allclose(actions, 2 * np.tanh(raw.clip(-bound, bound)), atol=1e-5)
    assert np.abs(raw).max() > bound


def test_a_bound_that_is_no_number_is_refused(tmp_path):
    facts = {"policy_kwargs": {"clip_mean": "many"}}
    path = saved(tmp_path / "a.zip", weights_of("sac with sde", layers(PENDULUM)), facts)
    with pytest.raises(ValueError, match="clip_mean 'many'"):
        first_action(path, "pendulum")


def test_a_result_does_not_depend_on_company(tmp_path):
    actor = StableBaselinesActor(
        path=saved(tmp_path / "a.zip", weights_of("ppo", layers(CART_POLE)))
    )
    task = make_task("cart-pole")
    alone, together = (
        [e.id for e in Here(worlds=n).rollouts(task, actor, range(5))] for n in (1, 3)
    )
    assert alone == together


class Harm:
    """What a pickle can be made to do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_would_run_something_is_refused_and_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    path = saved(tmp_path / "a.zip", {"action_net.weight": Harm(mark)})
    with pytest.raises(ValueError, match="holds more than weights"):
        read_zip(path)
    assert not mark.exists()


def test_what_cannot_be_played_is_said(tmp_path):
    task = make_task("cart-pole")
    ppo = weights_of("ppo", layers(CART_POLE))
    cases = [
        (saved(tmp_path / "1.zip", {"q_net.0.weight": torch.zeros(2, 4)}), "no perceptron that acts"),
        (saved(tmp_path / "2.zip", ppo | {"features_extractor.cnn.0.weight": torch.zeros(1)}),
         "parts that are no perceptron"),
        (saved(tmp_path / "3.zip", weights_of("ppo", layers(PENDULUM))), "maps 3 numbers to 1"),
        (saved(tmp_path / "4.zip", [torch.zeros(1)]), "no table of weights"),
    ]  # fmt: skip
    other = tmp_path / "5.zip"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme", "hello")
    text = tmp_path / "6.zip"
    text.write_text("no zip")
    for path, complaint in [*cases, (other, "it has no 'policy.pth'"), (text, "is no zip")]:
        with pytest.raises(ValueError, match=complaint):
            StableBaselinesActor(path=path).build(task.spec)
