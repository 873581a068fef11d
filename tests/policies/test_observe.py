"""What policies see: normalised vectors, frames, and the task that sets episodes apart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests import demonstrations
from understudy.data.frames import FrameCache
from understudy.data.store import Dataset
from understudy.data.windows import TASK, Windows
from understudy.episode import Episode
from understudy.learn.supervised import LearnConfig, averaged_weights, learn
from understudy.nn.vision import FrameReader, VisionConfig
from understudy.policies import find_policy
from understudy.policies.act import ActConfig
from understudy.policies.denoiser import DenoiserConfig
from understudy.policies.diffusion import DiffusionConfig
from understudy.policies.flow import FlowConfig
from understudy.policies.gaussian import GaussianConfig
from understudy.policies.knn import KnnConfig
from understudy.policies.lstm import LstmConfig
from understudy.policies.mlp import MlpConfig
from understudy.policies.observe import TASK_FEATURES, Observations, VectorInput
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

TASKS = ("pull", "push")
RESIDUAL = {"denoiser": DenoiserConfig(network="residual", width=16, depth=1)}
POLICIES = {
    "act": {"width": 16, "heads": 2, "hidden": 16, "encoder_layers": 1, "decoder_layers": 1},
    "diffusion": RESIDUAL,
    "flow": RESIDUAL,
    "gaussian": {"width": 16, "depth": 1, "modes": 1},
    "knn": {},
    "lstm": {"width": 16, "modes": 1},
    "mlp": {"width": 16, "depth": 1},
}
LINE = Spec({STATE: Signal((1,))}, Signal((1,)), 10.0)


def built(name, tasks, spec, **changes):
    torch.manual_seed(0)
    sizes = {"history": 2, "horizon": 4} | POLICIES[name] | changes
    return find_policy(name)(tasks=tasks, **sizes).build(spec)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("observe") / "data"
    made = demonstrations.dataset(folder, demonstrations.CONTINUOUS, tasks=TASKS)
    return Windows(made, history=2, horizon=4)


@pytest.fixture(scope="module")
def camera_windows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes") / "data"
    made = demonstrations.dataset(folder, demonstrations.CAMERA, tasks=TASKS)
    frames = FrameCache.build(made, made.spec.cameras)
    return Windows(made, history=2, horizon=4, frames=frames)


def episode(observations, actions, task="", seed=0):
    return Episode(
        observations=observations,
        actions=actions,
        rewards=np.zeros(len(actions)),
        time_s=np.arange(len(actions)) / 10,
        terminated=True,
        truncated=False,
        task=task,
        seed=seed,
    )


def line(folder, rows):
    """A dataset of one-number observations and actions: {task: [(state, action), ...]}."""
    made = Dataset.create(folder, LINE)
    for seed, (task, ticks) in enumerate(rows.items()):
        values = np.array(ticks, np.float32)
        made.append(episode({STATE: values[:, :1]}, values[:, 1:], task, seed))
    return made


def predicted(policy, observations):
    count = len(observations[STATE])
    with torch.no_grad():
        return policy.eval().predict(observations, torch.zeros(count, *policy.noise_shape))


def asked(states, task):
    """One-number observations of a task, for a policy with a history of 1."""
    seen = torch.tensor(states)[:, None, None]
    return {
        STATE: seen,
        TASK: torch.full((len(states),), task),
        "tick": torch.zeros(len(states), 1, dtype=torch.int64),
    }


# --- vectors and frames


@pytest.mark.parametrize("mode", ["mean_std", "min_max"])
def test_vectors_are_normalised_by_the_statistics_of_the_data(mode, windows):
    vectors = VectorInput(windows.spec, mode=mode)
    vectors.prepare(windows)
    parts = vectors(windows.gather(np.arange(len(windows))).observations)
    sizes = [windows.spec.observations[key].size for key in windows.spec.vectors]
    assert [part.shape[1:] for part in parts] == [(2, size) for size in sizes]
    assert vectors.size == 5
    for part in parts:
        newest = part[:, -1].double()
        zero, one = torch.zeros(part.shape[-1]).double(), torch.ones(part.shape[-1]).double()
        if mode == "mean_std":
            torch.testing.assert_close(newest.mean(0), zero, rtol=0, atol=1e-5)
            torch.testing.assert_close(newest.std(0, correction=0), one, rtol=0, atol=1e-5)
        else:
            torch.testing.assert_close(newest.amin(0), -one, rtol=0, atol=1e-5)
            torch.testing.assert_close(newest.amax(0), one, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bins", [0, 3])
def test_vectors_of_any_shape_lie_side_by_side(bins, tmp_path):
    spec = Spec(
        {
            STATE: Signal((2, 3)),
            "observation.on": Signal((), "bool"),
            ENVIRONMENT_STATE: Signal((4,), "float64"),
        },
        Signal((1,)),
        10.0,
    )
    generator = np.random.default_rng(0)
    seen = {
        STATE: generator.normal(size=(30, 2, 3)),
        "observation.on": generator.random(30) > 0.5,
        ENVIRONMENT_STATE: generator.normal(size=(30, 4)),
    }
    made = Dataset.create(tmp_path / "data", spec)
    made.append(episode(seen, np.zeros((30, 1))))
    windows = Windows(made, history=2, horizon=1)
    vectors = VectorInput(windows.spec, bins)
    vectors.prepare(windows)
    result = vectors(windows.gather(np.arange(30)).observations)
    assert torch.cat(result, -1).shape == (30, 2, vectors.size)
    for key, part in zip(vectors.keys, result, strict=True):
        rows = seen[key].reshape(30, -1).astype(np.float64)
        expected = torch.from_numpy((rows - rows.mean(0)) / rows.std(0)).float()
        each = part.shape[2] // rows.shape[1]  # numbers that one becomes, the standardised first
        assert (each > 1) == bool(bins)
        torch.testing.assert_close(part[:, -1, ::each], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bins", [0, 6])
@pytest.mark.parametrize("tasks", [(), TASKS])
def test_everything_that_is_seen_lies_side_by_side_at_its_promised_size(
    bins, tasks, camera_windows
):
    vision = VisionConfig(features=5)
    config = MlpConfig(history=2, tasks=tasks)
    torch.manual_seed(0)
    seen = Observations(camera_windows.spec, config, vision, bins)
    seen.prepare(camera_windows)
    batch = camera_windows.gather(np.arange(6))
    result = seen(batch.observations)
    assert result.shape == (6, 2, seen.size)
    assert seen.size == seen.vectors.size + 2 * 5 + (TASK_FEATURES if tasks else 0)
    if not bins:
        assert seen.vectors.size == 3
    cameras = result[..., seen.vectors.size : seen.vectors.size + 10]
    for number, key in enumerate(camera_windows.spec.cameras):
        alone = seen.encoders[number](batch.observations[key])
        torch.testing.assert_close(cameras[..., 5 * number : 5 * number + 5], alone)


def test_a_policy_begins_with_the_given_weights_for_each_camera(camera_windows, tmp_path):
    given = FrameReader(VisionConfig(), (32, 40, 3)).network.state_dict()
    save_file(given, tmp_path / "encoder.safetensors")
    for name in ("mlp", "act"):
        vision = VisionConfig(pretrained=str(tmp_path / "encoder.safetensors"))
        policy = built(name, TASKS, camera_windows.spec, vision=vision)
        readers = [module for module in policy.modules() if isinstance(module, FrameReader)]
        assert len(readers) == 2
        assert not torch.equal(readers[0].network.state_dict()["0.weight"], given["0.weight"])
        policy.prepare(camera_windows)
        for reader in readers:
            for key, value in reader.network.state_dict().items():
                assert torch.equal(value, given[key])


# --- tasks


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_another_task_gives_another_answer(name, windows):
    policy = built(name, TASKS, windows.spec)
    policy.prepare(windows)
    seen = dict(windows.gather(np.arange(4)).observations)
    answers = [predicted(policy, {**seen, TASK: torch.full((4,), task)}) for task in (0, 1)]
    assert (answers[0] - answers[1]).abs().max() > 1e-4
    mixed = predicted(policy, {**seen, TASK: torch.tensor([1, 0, 0, 1])})
    expected = torch.stack([answers[1][0], answers[0][1], answers[0][2], answers[1][3]])
    torch.testing.assert_close(mixed, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_without_tasks_does_not_look_at_them(name, windows):
    policy = built(name, (), windows.spec)
    policy.prepare(windows)
    seen = dict(windows.gather(np.arange(4)).observations)
    answers = [predicted(policy, {**seen, TASK: torch.full((4,), task)}) for task in (0, 1)]
    assert torch.equal(*answers)


@pytest.mark.parametrize("name", sorted(POLICIES))
@pytest.mark.parametrize("tasks", [("push", "pull"), ("pull",), ("pull", "push", "turn")])
def test_tasks_that_are_not_those_of_the_data_are_refused_with_both(name, tasks, windows):
    policy = built(name, tasks, windows.spec)
    with pytest.raises(ValueError, match="tells apart the tasks") as raised:
        policy.prepare(windows)
    assert str(tasks) in str(raised.value)
    assert str(TASKS) in str(raised.value)


def test_a_task_given_twice_is_refused():
    with pytest.raises(ValueError, match="tasks must differ"):
        MlpConfig(tasks=("push", "push"))


SMALL = DenoiserConfig(network="residual", width=16, depth=2, dropout=0.0)
LEARNERS = {
    "mlp": MlpConfig(width=16, depth=2),
    "gaussian": GaussianConfig(width=16, depth=2, modes=1, dropout=0.0),
    "lstm": LstmConfig(history=1, width=16, modes=1),
    "act": ActConfig(horizon=1, width=16, heads=2, hidden=32, encoder_layers=1, decoder_layers=1),
    "diffusion": DiffusionConfig(history=1, horizon=1, denoiser=SMALL, inference_steps=5),
    "flow": FlowConfig(history=1, horizon=1, denoiser=SMALL),
}


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_the_same_sight_is_answered_by_what_is_to_be_done(name, tmp_path):
    """In both tasks the same is seen; only the text says which way to go."""
    states = np.linspace(-1, 1, 20)
    rows = {"left": [(s, -1.0) for s in states], "right": [(s, 1.0) for s in states]}
    windows = Windows(line(tmp_path / "data", rows), history=1, horizon=1, batch_size=32)
    torch.manual_seed(0)
    policy = replace(LEARNERS[name], tasks=("left", "right")).build(LINE)
    policy.prepare(windows)
    *_, last = learn(policy, windows, LearnConfig(steps=200, batch_size=32, learning_rate=1e-2))
    policy.load_state_dict(averaged_weights(policy, last.state))
    for task, wanted in enumerate((-1.0, 1.0)):
        answers = predicted(policy, asked([-0.8, 0.1, 0.7], task)).flatten()
        torch.testing.assert_close(answers, torch.full((3,), wanted), rtol=0, atol=0.3)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("feature", ["state", "history", "phase"])
def test_a_neighbour_is_of_the_same_task_even_where_another_is_nearer(weights, feature, tmp_path):
    """Task a was shown at 100 to 104 alone; asked at 0, where only b was shown, it is a's answer."""
    rows = {
        "a": [(100.0 + tick, 7.0) for tick in range(5)],
        "b": [(float(tick), -7.0) for tick in range(5)] * 20,
    }
    windows = Windows(line(tmp_path / "data", rows), history=1, horizon=2)
    policy = KnnConfig(horizon=2, k=3, weights=weights, feature=feature, tasks=("a", "b")).build(
        LINE
    )
    policy.prepare(windows)
    for task, wanted in enumerate((7.0, -7.0)):
        answers = predicted(policy, asked([0.0, 50.0, 102.0], task))
        torch.testing.assert_close(answers, torch.full((3, 2, 1), wanted))
