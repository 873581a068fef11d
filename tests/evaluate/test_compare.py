"""Who is better, only when the paired test says so."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from understudy.evaluate.compare import compare


def with_outcomes(report, outcomes, returns=None):
    returns = [-100.0] * len(outcomes) if returns is None else returns
    rows = tuple(
        replace(row, success=bool(success), return_=float(value))
        for row, success, value in zip(report.rows, outcomes, returns, strict=True)
    )
    return replace(report, rows=rows)


@pytest.fixture
def pair(expert, timid):
    return replace(expert, actor="ours"), replace(timid, actor="theirs")


def test_better_is_said_when_mcnemar_says_so(pair):
    ours = with_outcomes(pair[0], [True] * 40)
    theirs = with_outcomes(pair[1], [False] * 8 + [True] * 32)
    test = compare(ours, theirs).success
    assert test is not None
    assert test.p == pytest.approx(stats.binomtest(8, 8).pvalue)
    assert test.verdict == "better"
    assert str(test).startswith("ours is better than theirs in success: 100.0 %")
    assert compare(theirs, ours).main.verdict == "worse"


def test_five_successes_more_do_not_show_a_difference(pair):
    ours = with_outcomes(pair[0], [True] * 40)
    theirs = with_outcomes(pair[1], [False] * 5 + [True] * 35)
    test = compare(ours, theirs).main
    assert test.p > 0.05
    text = str(test)
    assert text.startswith("No difference shown between ours and theirs")
    assert "better" not in text
    assert f"you need about {test.more} more rollouts" in text
    assert test.more is not None
    assert test.more >= 1


def test_a_hopeless_difference_gives_no_number(pair):
    returns = np.linspace(-200, -100, 40)
    same = with_outcomes(pair[0], [True] * 40, returns)
    flipped = with_outcomes(pair[1], [True] * 40, returns[::-1])
    test = compare(same, flipped).score
    assert test.more is None
    assert "more rollouts than are worth it" in str(test)


def test_scores_are_paired_by_world(pair):
    worlds = np.random.default_rng(0).normal(-120, 30, size=40)
    ours = with_outcomes(pair[0], [True] * 40, worlds + 1.0 + 0.1 * np.arange(40) / 40)
    theirs = with_outcomes(pair[1], [True] * 40, worlds)
    shuffled = replace(theirs, rows=theirs.rows[::-1])
    test = compare(ours, shuffled).score
    assert test.verdict == "better"
    assert test.difference.value == pytest.approx(1.05, abs=0.01)
    assert stats.ttest_ind(worlds + 1, worlds).pvalue > 0.5  # what not pairing would say


def test_no_worse_wants_the_interval_above_three_points(pair):
    ours = with_outcomes(pair[0], [True] * 40)
    theirs = with_outcomes(pair[1], [True] * 40)
    comparison = compare(ours, theirs)
    assert comparison.success is not None
    assert not comparison.success.no_worse  # 40 worlds leave more than 3 points open
    assert not comparison.score.no_worse  # equal in 40 worlds: three in a hundred may differ unseen
    assert comparison.score.margin == pytest.approx(3.0)


def test_real_actors_are_told_apart(timid, expert):
    comparison = compare(timid, expert)
    assert comparison.success is not None
    assert comparison.score.verdict == "worse"
    assert "timid is worse than expert in return" in str(comparison.score)
    assert "shared worlds" in str(comparison)


def test_equal_names_are_told_apart(expert):
    test = compare(expert, replace(expert, source="other-checkpoint")).main
    assert (test.a_name, test.b_name) == ("expert (expert)", "expert (other-ch)")


def test_worlds_that_were_not_shared_are_listed(expert, timid):
    moved = replace(timid.rows[3], initial_state_hash="0" * 16)
    rows = (*timid.rows[:3], moved, *timid.rows[4:])
    with pytest.raises(ValueError, match=r"different states: 100003\."):
        compare(expert, replace(timid, rows=rows))
    fewer = replace(timid, seeds=timid.seeds[:30], rows=timid.rows[:30])
    with pytest.raises(ValueError, match=r"seeds of one alone: 100030, .*100039"):
        compare(expert, fewer)
    unfinished = replace(timid, rows=timid.rows[:30])
    with pytest.raises(ValueError, match="10 of its seeds gave no episode"):
        compare(expert, unfinished)
    other = replace(timid, task_config={"gravity": 2}, score="max_reward")
    with pytest.raises(ValueError, match=r"(?s)task config.*score: return and max_reward"):
        compare(expert, other)


def test_without_judged_successes_the_score_is_compared(expert, timid):
    rows = tuple(replace(row, success=None) for row in expert.rows)
    comparison = compare(replace(expert, rows=rows), timid)
    assert comparison.success is None
    assert comparison.main is comparison.score
    assert comparison.other is None
