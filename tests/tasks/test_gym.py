import numpy as np
import pytest

from understudy.fleet import Here, RandomActor
from understudy.tasks import find_task, make_task
from understudy.tasks.pusht import PushT


@pytest.mark.parametrize("name", ["gym:Acrobot-v1", "gym:Pendulum-v1", "gym:Reacher-v5"])
def test_any_environment_of_gymnasium_can_be_played(name):
    task = make_task(name)
    first, second = Here().rollouts(task, RandomActor(), [1, 2])
    assert first.check(task.spec).id != second.id
    assert first.success is None


def test_pictures_are_a_camera_and_dict_entries_keep_their_names():
    import gymnasium
    from gymnasium import spaces

    from understudy.tasks.gym import GymWorld

    class Seeing(gymnasium.Env):
        observation_space = spaces.Dict(
            {
                "wrist": spaces.Box(0, 255, (4, 6, 3), np.uint8),
                "agent_pos": spaces.Box(-1, 1, (2,), np.float64),
                "force": spaces.Box(-1, 1, (3,), np.float32),
            }
        )
        action_space = spaces.Discrete(4)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return {key: np.zeros_like(space.sample()) for key, space in
                    self.observation_space.spaces.items()}, {}  # fmt: skip

    world = GymWorld(Seeing())
    assert set(world.signals.observations) == {
        "observation.images.wrist",
        "observation.state",
        "observation.force",
    }
    assert world.signals.action.choices == 4
    observation, _ = world.reset(seed=0)
    assert world.observation_space.contains(observation)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("gym:NoSuch-v9", "not to be had"),
        ("gym:FrozenLake-v1", "vectors and images"),
        ("mountaincar", "Did you mean 'mountain-car'"),
        ("pusht:observe=smell", "smell"),
        ("pusht:observ=pixels", "Did you mean 'observe'"),
        ("pusht:pixels", "name=value"),
    ],
)
def test_a_task_that_is_not_to_be_had_says_why(name, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_task(name).spec  # noqa: B018  (the property is what raises)


def test_options_of_a_task_are_read_from_its_name():
    assert make_task("pusht:observe=pixels") == PushT(observe="pixels")


def test_installed_packages_add_tasks_and_cannot_replace_ours(tmp_path, monkeypatch):
    package = tmp_path / "their_package-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[understudy.tasks]\nfold = their_task:Fold\ncart-pole = their_task:Fold\n"
    )
    (tmp_path / "their_task.py").write_text(
        "from understudy.tasks.mountain_car import MountainCar\nclass Fold(MountainCar):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert find_task("fold").__module__ == "their_task"
    assert find_task("cart-pole").__module__ == "understudy.tasks.cart_pole"
