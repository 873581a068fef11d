"""Rows, rates and refusals of a measurement."""

import json
from dataclasses import replace

import numpy as np
import pytest

from understudy.episode import Episode
from understudy.evaluate.measure import (
    Report,
    go_on,
    initial_state_hash,
    measure,
    row_of,
    seeds_for,
)
from understudy.fleet import ExpertActor, Here, RandomActor
from understudy.statistics import clopper_pearson
from understudy.tasks.gym import GymTask


def episode(seed, rewards=(0.0, 1.0, 0.5), success=True, start=0.0, source="expert"):
    ticks = len(rewards)
    return Episode(
        observations={"observation.state": np.full((ticks, 2), start, np.float32)},
        actions=np.zeros((ticks, 1), np.float32),
        rewards=np.array(rewards, np.float32),
        time_s=np.arange(ticks, dtype=np.float64),
        terminated=True,
        truncated=False,
        success=success,
        act_s=np.array([0.001] * (ticks - 1) + [0.009], np.float32),
        source=source,
        seed=seed,
    )


def measuring(episodes, task, seeds, purpose="report"):
    return measure(
        episodes, task, ExpertActor(), seeds, task_name="car", actor_name="expert", purpose=purpose
    )


def test_a_row_says_what_the_episode_came_to():
    row = row_of(episode(100_000))
    assert (row.return_, row.max_reward, row.length, row.success) == (1.5, 1.0, 3, True)
    assert row.act_ms_median == pytest.approx(1.0)
    assert row.act_ms_p99 == pytest.approx(np.percentile([1, 1, 9], 99), rel=1e-5)


def test_every_step_yields_the_report_so_far(task):
    seeds = seeds_for("report", 3)
    episodes = [episode(s, success=s != 100_001, start=s) for s in seeds]
    reports = list(measuring(episodes, task, seeds))
    assert [len(report.rows) for report in reports] == [1, 2, 3]
    assert reports[0].missing == (100_001, 100_002)
    assert "1 of 3 rollouts" in str(reports[0])
    last = reports[-1]
    assert last.missing == ()
    assert last.success_rate is not None
    assert last.success_rate.value == pytest.approx(2 / 3)
    assert last.success_rate.interval == clopper_pearson(2, 3)
    assert [row.seed for row in last.failures] == [100_001]
    assert last.starts == 3
    assert last.source == "expert"


def test_reports_of_one_measurement_share_their_rows_and_stay_what_they_were(task):
    seeds = seeds_for("report", 4)
    first, second, *_ = measuring([episode(s) for s in seeds], task, seeds)
    assert second.rows == (row_of(episode(seeds[0])), row_of(episode(seeds[1])))
    assert (first.rows, second.rows[-1].seed) == (second.rows[:1], seeds[1])
    with pytest.raises(IndexError, match="row 1 of 1"):
        first.rows[1]
    [other] = go_on(first, [episode(seeds[2])])  # goes on from there another way
    assert [row.seed for row in other.rows] == [seeds[0], seeds[2]]
    assert [row.seed for row in second.rows] == [seeds[0], seeds[1]]


def test_a_line_never_shows_a_rate_without_its_interval_and_n(expert):
    assert "success 100.0 % (95 % interval 91.2 to 100.0 %, n = 40)" in str(expert)


def test_the_score_is_what_the_task_says(expert):
    assert expert.mean_score == expert.mean_return
    other = replace(expert, score="max_reward")
    assert other.mean_score == other.mean_max_reward
    assert other.mean_score.value == -1.0


def test_a_world_that_does_not_judge_has_no_rate_instead_of_zero():
    task = GymTask(env_id="Pendulum-v1")
    seeds = seeds_for("report", 2)
    episodes = Here().rollouts(task, RandomActor(), seeds)
    *_, report = measure(episodes, task, RandomActor(), seeds, task_name="p", actor_name="random")
    assert report.success_rate is None
    assert report.failures == ()
    assert "success" not in str(report)
    assert "return" in str(report)


def test_one_unjudged_episode_takes_the_rate_away(task):
    seeds = seeds_for("report", 2)
    episodes = [episode(100_000), episode(100_001, success=None)]
    *_, report = measuring(episodes, task, seeds)
    assert report.success_rate is None


def test_the_hash_is_of_the_first_observation_only():
    first = episode(100_000, start=1.0)
    moved = replace(
        first, observations={"observation.state": np.array([[1, 1], [5, 5], [6, 6]], "f4")}
    )
    assert initial_state_hash(first) == initial_state_hash(moved)
    assert initial_state_hash(first) != initial_state_hash(episode(100_000, start=1.0001))


@pytest.mark.parametrize(
    ("seeds", "purpose", "words"),
    [
        ([99_999], "report", "not for report"),
        ([0], "report", "not for report"),
        ([100_000], "selection", "not for selection"),
        ([20_000], "selection", "not for selection"),
        ([100_000, 100_000], "report", "more than once"),
        ([], "report", "at least one seed"),
        ([1], "demonstration", "expected one of report, selection"),
    ],
)
def test_seeds_of_another_purpose_are_refused_before_work_begins(task, seeds, purpose, words):
    with pytest.raises(ValueError, match=words):
        measuring(iter(()), task, seeds, purpose)


def test_selection_has_seeds_of_its_own(task):
    seeds = seeds_for("selection", 2)
    assert list(seeds) == [10_000, 10_001]
    *_, report = measuring([episode(s) for s in seeds], task, seeds, "selection")
    assert report.purpose == "selection"
    with pytest.raises(ValueError, match=r"expected 1\.\.10000"):
        seeds_for("selection", 10_001)


@pytest.mark.parametrize(
    ("episodes", "words"),
    [
        ([episode(100_005)], "not asked for"),
        ([episode(100_000), episode(100_000)], "comes twice"),
        ([episode(100_000), episode(100_001, source="another")], "of one actor"),
        ([episode(None)], "without a seed"),
        ([episode(100_000, rewards=(0.0, np.nan))], "reward nan at 1"),
    ],
)
def test_episodes_that_cannot_be_counted_are_refused(task, episodes, words):
    with pytest.raises(ValueError, match=words):
        list(measuring(episodes, task, seeds_for("report", 2)))


def test_a_report_survives_its_file(timid, tmp_path):
    path = tmp_path / "report.json"
    timid.to_json(path)
    assert Report.from_json(path) == timid
    assert list(tmp_path.iterdir()) == [path]


def broken(name, value):
    def change(facts):
        facts[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (broken("format", "other/1"), "format 'other/1'"),
        (broken("rate_hz", "fast"), "rate_hz is 'fast'"),
        (broken("score", "style"), "score 'style'"),
        (broken("seeds", [1]), "not for report"),
        (broken("seeds", ["a"]), "whole numbers"),
        (broken("rows", ["a"]), "row 0: expected the entries"),
        (lambda facts: facts["rows"][0].update(length="long"), "row 0: length"),
        (lambda facts: facts["rows"][0].update(seed=7), "not asked for"),
        (lambda facts: facts["rows"][0].update(return_=float("nan")), "NaN is no number"),
    ],
)
def test_a_file_that_is_no_report_is_refused_by_name(timid, tmp_path, change, words):
    path = tmp_path / "report.json"
    timid.to_json(path)
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=words) as caught:
        Report.from_json(path)
    if "seeds" not in words and "not for" not in words:
        assert str(path) in str(caught.value)
