"""Each demonstration shows its mirror image as well."""

from dataclasses import replace

import numpy as np
import pytest

from tests import demonstrations
from understudy.data.store import Dataset
from understudy.data.symmetry import Mirror, MirrorConfig, Mirrored
from understudy.learn.clone import windows_of
from understudy.policies.mlp import MlpConfig
from understudy.spec import ACTION, ENVIRONMENT_STATE, STATE, Signal

NAMED = replace(
    demonstrations.CONTINUOUS,
    observations={
        STATE: Signal((3,), names=("left", "right", "height")),
        ENVIRONMENT_STATE: Signal((2,), names=("u", "v")),
    },
    action=Signal((2,), names=("left", "right")),
)
TOP = "observation.images.top"
MIRROR = MirrorConfig(mirror=("left = 10 - right", "right = 10 - left", "v = -v"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return demonstrations.dataset(tmp_path_factory.mktemp("mirror") / "data", NAMED, (7, 5, 9))


def image(key, values):
    """The mirror of above, written down the obvious way."""
    if key == ENVIRONMENT_STATE:
        return values * [1, -1]
    swapped = values.copy()
    swapped[..., 0], swapped[..., 1] = 10 - values[..., 1], 10 - values[..., 0]
    return swapped


def test_windows_of_chosen_episodes_come_twice_the_second_time_mirrored(dataset):
    config = MlpConfig(history=2, horizon=3)
    plain = windows_of(config, dataset, episodes=[0, 2])
    both = windows_of(config, dataset, episodes=[0, 2], mirror=MIRROR)
    assert len(both) == 2 * len(plain) == 32
    once, twice = plain.gather(np.arange(16)), both.gather(np.arange(32))
    for key in (STATE, ENVIRONMENT_STATE):
        seen = once.observations[key].numpy()
        expected = np.concatenate([seen, image(key, seen)])
        np.testing.assert_allclose(twice.observations[key].numpy(), expected, rtol=1e-6)
    acted = once.actions.numpy()
    np.testing.assert_allclose(
        twice.actions.numpy(), np.concatenate([acted, image(ACTION, acted)]), rtol=1e-6
    )
    for part in (slice(16), slice(16, 32)):
        assert (twice.valid[part] == once.valid).all()
        assert (twice.observations["tick"][part] == once.observations["tick"]).all()
    most = both.statistics(STATE).most
    assert most[0] == pytest.approx(
        max(plain.statistics(STATE).most[0], 10 - plain.statistics(STATE).least[1])
    )


def test_labels_are_mirrored_like_the_actions_whose_place_they_take(tmp_path):
    with Dataset.create(tmp_path / "data", NAMED) as made:
        episode = demonstrations.made_up(NAMED, 0, 6)
        labels = np.arange(12, dtype=np.float32).reshape(6, 2)
        made.append(replace(episode, labels=labels))
    both = windows_of(MlpConfig(), Dataset.open(tmp_path / "data"), mirror=MIRROR)
    np.testing.assert_allclose(both.gather(np.arange(6, 12)).actions[:, 0], image(ACTION, labels))


@pytest.mark.parametrize(
    ("pictures", "turned"),
    [
        ("as-they-are", lambda f: f),
        ("left-right", lambda f: f[:, :, :, ::-1]),
        ("up-down", lambda f: f[:, :, ::-1]),
        ("diagonal", lambda f: f.transpose(0, 1, 3, 2, 4)),
        ("other-diagonal", lambda f: f[:, :, ::-1, ::-1].transpose(0, 1, 3, 2, 4)),
    ],
)
def test_pictures_are_turned_over(tmp_path, pictures, turned):
    square = Signal((24, 24, 3), "uint8")
    spec = replace(NAMED, observations=dict(NAMED.observations) | {TOP: square})
    data = demonstrations.dataset(tmp_path / "data", spec, (4, 3))
    config = MlpConfig(history=2)
    mirror = replace(MIRROR, mirror_pictures=pictures)
    before = windows_of(config, data).gather(np.arange(7)).observations[TOP]
    windows = windows_of(config, data, mirror=mirror)
    after = windows.gather(np.arange(14)).observations[TOP].numpy()
    assert (after[:7] == before.numpy()).all()
    assert (after[7:] == turned(before.numpy())).all()


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (("left := right",), "cannot read 'left := right'"),
        (("left = 2 * right",), "cannot read"),
        (("lft = right",), "no number is called 'lft'; there is: height, left, right, u, v"),
        (("u = left",), "needs 'left', which is not in"),
        (("left = right",), "an equation is missing"),
        (("v = 1 + v",), "an equation is missing"),
    ],
)
def test_what_is_no_mirror_is_refused(wrong, complaint):
    with pytest.raises(ValueError, match=complaint):
        Mirror(NAMED, MirrorConfig(mirror=wrong))


def test_choices_and_oblong_pictures_have_no_mirror_image():
    discrete = replace(NAMED, action=Signal((1,), "int64", choices=3, names=("way",)))
    with pytest.raises(ValueError, match="a choice"):
        Mirror(discrete, MirrorConfig(mirror=("way = -way",)))
    with pytest.raises(ValueError, match="40 x 32, only a square"):
        Mirror(demonstrations.CAMERA, MirrorConfig(mirror_pictures="diagonal"))


def test_a_dataset_and_its_mirror_have_one_fingerprint_and_tasks_for_each(dataset):
    both = Mirrored(dataset, MIRROR)
    assert both.fingerprint == dataset.fingerprint
    assert len(both.tasks) == len(both.lengths) == 6
    assert both.both([0, 2]) == [0, 2, 3, 5]
