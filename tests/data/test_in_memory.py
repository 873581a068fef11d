"""Episodes in memory give what the store gives of the same episodes."""

from dataclasses import replace

import numpy as np
import pytest

from tests.demonstrations import CAMERA, CONTINUOUS, DISCRETE, made_up
from understudy.data.in_memory import InMemory
from understudy.data.store import Dataset
from understudy.data.windows import Windows


def shown(spec):
    """Three episodes: one labelled, one at some ticks, one not."""
    episodes = [made_up(spec, seed, ticks).check(spec) for seed, ticks in enumerate((7, 4, 9))]
    label = made_up(spec, 9, 9).check(spec).actions
    some = np.where(np.arange(4)[:, None] % 2, np.nan, label[:4]).astype(np.float32)
    return [
        replace(episodes[0], labels=label[:7]),
        replace(episodes[1], labels=some),
        episodes[2],
    ]


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE], ids=["numbers", "choices"])
def test_columns_and_windows_are_those_of_a_dataset(spec, tmp_path):
    episodes = shown(spec)
    with Dataset.create(tmp_path / "set", spec) as stored:
        for episode in episodes:
            stored.append(episode)
    memory = InMemory(spec, episodes)
    for key in (*spec.vectors, "action", "label"):
        found, expected = memory.column(key), stored.column(key)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    batches = [
        Windows(source, history=2, horizon=3).gather(np.arange(20)) for source in (memory, stored)
    ]
    for key, value in batches[0].observations.items():
        assert value.equal(batches[1].observations[key]), key
    assert batches[0].actions.equal(batches[1].actions)
    assert batches[0].valid.equal(batches[1].valid)


def test_frames_are_those_of_the_episodes():
    episodes = shown(CAMERA)
    memory = InMemory(CAMERA, episodes)
    windows = Windows(memory, history=2, horizon=1, frames=memory)
    key = "observation.images.wrist"
    seen = windows.gather(np.array([0, 9])).observations[key].numpy()  # (2, 2, Y, X, 3)
    first, second = episodes[0].observations[key], episodes[1].observations[key]
    np.testing.assert_array_equal(seen[0], [first[0], first[0]])
    np.testing.assert_array_equal(seen[1], [second[1], second[2]])
