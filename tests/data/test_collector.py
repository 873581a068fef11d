"""Demonstrations from a loop of one's own."""

import numpy as np
import pytest

from tests.demonstrations import CAMERA, CONTINUOUS, made_up
from understudy.data.collector import Collector
from understudy.data.places import STAGING
from understudy.data.store import Dataset
from understudy.spec import STATE


@pytest.fixture(params=[CONTINUOUS, CAMERA], ids=["states", "cameras"])
def dataset(request, tmp_path):
    with Dataset.create(tmp_path / "data", request.param) as dataset:
        yield dataset


def ticks(spec, seed, count):
    episode = made_up(spec, seed, count)
    return [
        ({key: np.asarray(values)[t] for key, values in episode.observations.items()}, action)
        for t, action in enumerate(episode.actions)
    ]


def show(collector, spec, seed, count):
    for seen, action in ticks(spec, seed, count):
        collector.add(seen, action)


def test_what_succeeded_is_kept_as_it_was_shown_and_nothing_else(dataset):
    with Collector(dataset) as collector:
        show(collector, dataset.spec, 0, 12)
        kept = collector.end(success=True)
        show(collector, dataset.spec, 1, 12)
        assert collector.end(success=False) is None
        show(collector, dataset.spec, 2, 9)
        assert collector.end(success=True) is None  # too short
        show(collector, dataset.spec, 3, 10)
        assert len(collector) == 10
        assert collector.end(success=True) is not None
        show(collector, dataset.spec, 4, 12)  # never ended
    shown = made_up(dataset.spec, 0, 12)
    found = Dataset.open(dataset.folder)
    assert found.lengths.tolist() == [12, 10]
    assert (found[0].id, found[0].source, found[0].success) == (kept.id, "person", True)
    np.testing.assert_array_equal(found[0].time_s, np.arange(12) / 10)
    np.testing.assert_array_equal(found[0].actions, shown.actions.astype(np.float32))
    np.testing.assert_array_equal(
        found[0].observations[STATE], np.asarray(shown.observations[STATE], np.float32)
    )
    for key in dataset.spec.cameras:
        frames = np.asarray(found[0].observations[key]).astype(int)
        assert np.abs(frames - shown.observations[key]).mean() < 3  # h264
    assert list((dataset.folder / STAGING).iterdir()) == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda seen, action: ({}, action), "the tick lacks"),
        (lambda seen, action: (seen, np.zeros(3)), "action: shape"),
        (lambda seen, action: ({**seen, STATE: np.full(3, np.nan)}, action), "finite"),
    ],
)
def test_a_tick_that_does_not_fit_is_refused_and_the_episode_goes_on(dataset, change, complaint):
    collector = Collector(dataset)
    show(collector, dataset.spec, 0, 11)
    [(seen, action)] = ticks(dataset.spec, 5, 1)
    with pytest.raises(ValueError, match=complaint):
        collector.add(*change(seen, action))
    with pytest.raises(ValueError, match="time_s must increase"):
        collector.add(seen, action, time_s=0.5)
    assert len(collector) == 11
    assert len(collector.end(success=True)) == 11


def test_the_clock_of_a_robot_is_kept(dataset):
    collector, moments = Collector(dataset, shortest=2, source="anna"), [7.0, 7.11, 7.19]
    for (seen, action), moment in zip(ticks(dataset.spec, 0, 3), moments, strict=True):
        collector.add(seen, action, time_s=moment, reward=moment)
    episode = collector.end(success=True)
    np.testing.assert_array_equal(episode.time_s, moments)
    np.testing.assert_array_equal(episode.rewards, np.float32(moments))
    assert episode.source == "anna"
