"""Each number against a published one, scipy, or a version that is slow and obvious."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from understudy.statistics import (
    Interval,
    bootstrap_mean,
    clopper_pearson,
    mcnemar_exact,
    mean,
    non_inferior,
    paired_difference,
    paired_rate_interval,
    paired_rollouts_needed,
    paired_test,
    pooled_mean,
    rate,
    rollouts_needed,
    sign_flip,
)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@settings(max_examples=50, deadline=None)
def test_clopper_pearson_agrees_with_scipy(counts):
    successes, n = counts
    expected = stats.binomtest(successes, n).proportion_ci(0.95, "exact")
    found = clopper_pearson(successes, n)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_clopper_pearson_covers_at_least_as_often_as_it_says():
    n = 20
    intervals = [clopper_pearson(k, n) for k in range(n + 1)]
    for truth in np.linspace(0.01, 0.99, 50):
        inside = [not interval.excludes(truth) for interval in intervals]
        assert stats.binom.pmf(np.arange(n + 1), n, truth)[inside].sum() >= 0.95


@pytest.mark.parametrize(("successes", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(successes, n):
    with pytest.raises(ValueError, match="successes"):
        clopper_pearson(successes, n)


@pytest.mark.parametrize("n", [8, 60])
def test_bootstrap_agrees_with_scipy_at_the_expanded_level(n):
    values = np.random.default_rng(n).exponential(size=n)
    tail = float(stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf(0.025, n - 1)))
    expected = stats.bootstrap(
        (values,),
        np.mean,
        confidence_level=1 - 2 * tail,
        n_resamples=40_000,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    found = bootstrap_mean(values, resamples=40_000)
    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx(expected, abs=0.03 * width)


def test_bootstrap_covers_the_mean_of_ten_values():
    generator = np.random.default_rng(0)
    normal = generator.normal(size=(800, 10))
    assert np.mean([not bootstrap_mean(s, resamples=5_000).excludes(0.0) for s in normal]) > 0.92
    skewed = generator.exponential(size=(800, 10))
    assert np.mean([not bootstrap_mean(s, resamples=5_000).excludes(1.0) for s in skewed]) > 0.88


def test_bootstrap_is_the_same_for_the_same_seed_and_bounded_memory_does_not_change_it(monkeypatch):
    values = np.random.default_rng(0).normal(size=50)
    whole = bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) == whole
    assert bootstrap_mean(values, seed=4) != whole
    monkeypatch.setattr("understudy.statistics._BLOCK", 500)
    assert bootstrap_mean(values, seed=3) == whole


def test_four_values_leave_everything_open_and_equal_values_nothing():
    assert bootstrap_mean([3.0, 1.0, 2.0, 5.0]) == Interval(-math.inf, math.inf)
    assert str(mean([3.0])) == "3 (95 % interval unknown, n = 1)"
    assert math.isfinite(bootstrap_mean([3.0, 1.0, 2.0, 5.0, 4.0]).low)
    assert bootstrap_mean([-200.0] * 30) == Interval(-200.0, -200.0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [[1.0, 2.0]]])
def test_values_that_are_missing_or_not_finite_are_refused(values):
    with pytest.raises(ValueError, match="finite"):
        bootstrap_mean(values)


def test_mcnemar_agrees_with_the_value_printed_by_statsmodels_and_with_scipy():
    # statsmodels' example table [[101, 121], [59, 33]]: statistic 59, p 4.434e-06
    assert mcnemar_exact(121, 59) == pytest.approx(4.434e-06, rel=1e-3)
    for a_only, b_only in product(range(12), range(12)):
        expected = stats.binomtest(a_only, a_only + b_only).pvalue if a_only + b_only else 1.0
        assert mcnemar_exact(a_only, b_only) == pytest.approx(expected)


def test_sign_flips_agree_with_scipy_exactly_and_by_chance():
    generator = np.random.default_rng(0)
    for n in (6, 10, 200):
        differences = generator.normal(0.15 if n > 20 else 0.6, 1.0, size=n)
        expected = stats.permutation_test(
            (differences, np.zeros(n)),
            lambda a, b, axis: np.mean(a - b, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=10_000,
            rng=np.random.default_rng(1),
        ).pvalue
        assert sign_flip(differences) == pytest.approx(expected, abs=1e-9 if n < 15 else 0.01)


@given(st.integers(0, 7), st.integers(0, 7))
@settings(max_examples=30, deadline=None)
def test_sign_flips_of_successes_are_mcnemars_test(a_only, b_only):
    differences = [1.0] * a_only + [-1.0] * b_only + [0.0]
    assert sign_flip(differences) == pytest.approx(mcnemar_exact(a_only, b_only))


def test_five_worlds_are_too_few_to_show_anything():
    assert paired_test([2.0] * 5, [1.0] * 5) > 0.05
    assert paired_test([2.0] * 6, [1.0] * 6) < 0.05


def test_tangos_interval_is_the_published_one():
    # Airway hyper-responsiveness (Bentur et al. 2009) in Fagerland, Lydersen & Laake 2014
    found = paired_rate_interval(1, 7, 21)
    assert (found.low, found.high) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_tangos_interval_holds_what_a_search_for_the_likeliest_rates_does_not_reject():
    a_only, b_only, n = 9, 4, 40

    def score(difference):
        b_rates = np.linspace(max(0, -difference), (1 - difference) / 2, 20_001)[1:-1]
        a_rates = b_rates + difference
        likelihood = (
            a_only * np.log(np.maximum(a_rates, 1e-300))
            + b_only * np.log(b_rates)
            + (n - a_only - b_only) * np.log(np.maximum(1 - a_rates - b_rates, 1e-300))
        )
        best = b_rates[np.argmax(likelihood)]
        variance = n * (2 * best + difference - difference**2)
        return (a_only - b_only - n * difference) / math.sqrt(variance)

    grid = np.linspace(-0.3, 0.5, 801)
    kept = [d for d in grid if abs(score(d)) <= stats.norm.ppf(0.975)]
    found = paired_rate_interval(a_only, b_only, n)
    assert (found.low, found.high) == pytest.approx((kept[0], kept[-1]), abs=2e-3)


def test_never_differing_in_ten_worlds_does_not_prove_no_worse():
    same = np.ones(10, np.bool_)
    assert paired_difference(same, same).interval.low == pytest.approx(-0.2775, abs=1e-4)
    assert not non_inferior(same, same, 0.03)
    many = np.ones(200, np.bool_)
    assert non_inferior(many, many, 0.03)


def test_tangos_interval_ends_at_one_where_one_side_always_wins():
    assert paired_rate_interval(12, 0, 12).high == pytest.approx(1.0)
    assert paired_rate_interval(0, 12, 12).low == pytest.approx(-1.0)


def test_no_worse_depends_on_the_margin_for_scores_too():
    generator = np.random.default_rng(0)
    expert = generator.normal(-115, 27, size=300)
    policy = expert - 1.0 + generator.normal(0, 3, size=300)
    assert non_inferior(policy, expert, margin=0.03 * 115)
    assert not non_inferior(policy, expert, margin=1.0)
    with pytest.raises(ValueError, match="margin"):
        non_inferior(policy, expert, margin=0.0)


def test_pairs_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="equal shapes"):
        paired_difference([1.0, 2.0], [1.0])


@pytest.mark.parametrize("same_worlds", [True, False])
def test_pooling_covers_the_truth_for_three_runs(same_worlds):
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(250):
        runs = 0.2 * generator.normal(size=(3, 1)) + generator.normal(size=(3, 40))
        runs = runs + (generator.normal(size=40) if same_worlds else 0.0)
        estimate = pooled_mean(list(runs), same_worlds=same_worlds, resamples=500)
        covered.append(not estimate.interval.excludes(0.0))
    assert np.mean(covered) > 0.90


def test_pooling_knows_that_a_hard_world_is_hard_for_every_run():
    worlds = np.random.default_rng(0).normal(size=100)
    runs = [worlds, worlds, worlds]
    shared, apart = pooled_mean(runs), pooled_mean(runs, same_worlds=False)
    alone = bootstrap_mean(worlds)
    assert shared.n == 300
    assert shared.interval.high - shared.interval.low == pytest.approx(
        alone.high - alone.low, rel=0.1
    )
    assert apart.interval.high - apart.interval.low < 0.87 * (alone.high - alone.low)


def test_pooling_weighs_runs_alike_and_refuses_what_does_not_fit():
    assert pooled_mean([[0.0, 0.0, 0.0], [4.0]], same_worlds=False).value == 2.0
    with pytest.raises(ValueError, match="same worlds"):
        pooled_mean([[1.0, 2.0], [1.0]])
    with pytest.raises(ValueError, match="at least one run"):
        pooled_mean([])


def test_the_interval_of_pooled_rates_stays_within_what_a_rate_can_be():
    runs = [np.ones(300, np.bool_) for _ in range(3)]
    runs[2][:3] = False
    estimate = pooled_mean(runs)
    assert estimate.value < estimate.interval.high == 1.0
    assert pooled_mean([~run for run in runs]).interval.low == 0.0
    assert pooled_mean([100.0 * run for run in runs]).interval.high > 100  # no rates, no bounds


def test_pooled_runs_that_never_fail_still_leave_room_for_failure():
    never_failed = [np.ones(50, np.bool_)] * 3
    estimate = pooled_mean(never_failed)
    assert estimate.value == 1.0
    assert estimate.interval == clopper_pearson(50, 50)


def test_rollouts_needed_reach_the_promised_power():
    n = rollouts_needed(0.5, 0.6)
    assert n == 388
    k = np.arange(n + 1)
    first, second = k[:, None] / n, k[None, :] / n
    pooled = (first + second) / 2
    error = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
    rejected = np.abs(first - second) / error > stats.norm.ppf(0.975)
    chance = stats.binom.pmf(k, n, 0.5)[:, None] * stats.binom.pmf(k, n, 0.6)[None, :]
    assert chance[rejected].sum() == pytest.approx(0.80, abs=0.01)
    with pytest.raises(ValueError, match="different"):
        rollouts_needed(0.5, 0.5)


def test_paired_rollouts_needed_reach_the_promised_power():
    generator = np.random.default_rng(0)
    outcomes, shares = np.array([1.0, -1.0, 0.0]), np.array([0.15, 0.05, 0.80])
    observed = np.repeat(outcomes, (15, 5, 80))
    needed = paired_rollouts_needed(observed)
    assert needed is not None
    draws = generator.choice(outcomes, size=(400, needed), p=shares)
    shown = [mcnemar_exact(int((d > 0).sum()), int((d < 0).sum())) <= 0.05 for d in draws]
    assert 0.70 < np.mean(shown) < 0.88
    assert paired_rollouts_needed([1.0, -1.0]) is None


def test_an_estimate_never_prints_without_its_interval_and_n():
    assert str(rate([True] * 8 + [False] * 2)) == ("80.0 % (95 % interval 44.4 to 97.5 %, n = 10)")
    text = str(mean(np.arange(20) * -7.3))
    assert text.startswith("-69")
    assert "95 % interval" in text
    assert "n = 20" in text
