"""Who is tried for how long, and who is called the best."""

import numpy as np
import pytest

from understudy.learn.sweep import (
    Listed,
    Standing,
    SweepConfig,
    Tried,
    ranked,
    stages,
    sweep,
    told_apart,
)

CHOICES = [{"width": str(number)} for number in range(9)]


def outcome(skill, seed, starts=40):
    """A training that succeeds in `skill` of the starts, not always in the same."""
    successes = np.random.default_rng(seed).permutation(starts) < skill * starts
    return Tried(tuple(successes * 10.0), tuple(map(bool, successes)), 1.0)


class Trainings:
    """Long trainings reach `late`, shorter ones `early`; keeps what it was asked for."""

    def __init__(self, late, early=None):
        self.late, self.early, self.asked = late, early or late, []

    def __call__(self, attempts):
        for attempt in attempts:
            self.asked.append((attempt.trial, attempt.part))
            skill = (self.late if attempt.part == 1 else self.early)[attempt.trial]
            if skill is None:
                yield Tried(failure="the loss was not finite")
            else:
                yield outcome(skill, 100 * attempt.trial + attempt.seed)


def test_every_configuration_has_the_same_seeds_and_the_best_comes_first():
    trainings = Trainings(late=[0.1, 0.9, 0.5] * 3)
    *_, last = sweep(Listed(CHOICES), SweepConfig(seeds=2), trainings)
    assert trainings.asked == [(trial, 1) for trial in range(9) for _ in range(2)]
    assert [standing.trial for standing in last.standings[:3]] == [1, 4, 7]
    assert last.standings[0].success.value == pytest.approx(0.9)
    assert last.standings[0].success.n == 80


def test_halving_keeps_a_third_and_trains_it_three_times_as_long():
    assert stages(9, 3) == [(9, 9), (3, 3), (1, 1)]
    assert stages(20, 3) == [(20, 9), (6, 3), (2, 1)]
    assert stages(20, 2) == [(20, 16), (10, 8), (5, 4), (2, 2), (1, 1)]
    assert stages(1, 3) == [(1, 1)]
    assert stages(5, 0) == [(5, 1)]
    trainings = Trainings(late=[0.1 * n for n in range(9)])
    progress = list(sweep(Listed(CHOICES), SweepConfig(seeds=1, halving=3), trainings))
    assert trainings.asked[:9] == [(trial, 9) for trial in range(9)]
    assert trainings.asked[9:] == [(6, 3), (7, 3), (8, 3), (8, 1)]
    assert [(s.trial, s.part) for s in progress[-1].standings[:4]] == [
        (8, 1),
        (7, 3),
        (6, 3),
        (5, 9),
    ]


def test_a_stage_judges_by_that_stage_alone():
    """Who is good early is kept although others would be better in the end: the price of stopping."""
    late, early = [0.9] * 6 + [0.2] * 3, [0.1] * 6 + [0.5] * 3
    trainings = Trainings(late, early)
    *_, last = sweep(Listed(CHOICES), SweepConfig(seeds=1, halving=9), trainings)
    assert trainings.asked[9:] == [(6, 1)]
    assert last.standings[0].trial == 6  # who was trained to the end, whatever others had early


def test_who_fails_is_last_and_never_kept():
    trainings = Trainings(late=[None, 0.1, None, 0.2] + [None] * 5)
    *_, last = sweep(Listed(CHOICES), SweepConfig(seeds=1, halving=3), trainings)
    assert {trial for trial, part in trainings.asked if part < 9} == {1, 3}
    assert [standing.trial for standing in last.standings[:3]] == [3, 1, 0]
    assert last.standings[2].failure == "the loss was not finite"
    assert last.standings[2].success is None


def test_where_all_fail_that_is_said():
    with pytest.raises(ValueError, match="every configuration failed; the first: the loss"):
        list(sweep(Listed(CHOICES), SweepConfig(seeds=1), Trainings(late=[None] * 9)))


def test_a_search_that_listens_is_told_what_its_proposals_came_to():
    heard = []

    class Climber:
        def next(self, known):
            heard.append(dict(known))
            return CHOICES[len(known) : len(known) + 3]

    *_, last = sweep(Climber(), SweepConfig(seeds=1), Trainings(late=[0.1 * n for n in range(9)]))
    assert [len(known) for known in heard] == [0, 3, 6, 9]
    assert heard[1] == pytest.approx({0: 0.0, 1: 0.1, 2: 0.2})
    assert last.standings[0].trial == 8


def test_equals_are_ranked_by_score_then_by_who_came_first_and_are_not_told_apart():
    tied = (True,) * 5 + (False,) * 5
    a, b, c = (
        Standing(n, CHOICES[n], 1, (Tried((score,) * 10, tied, 1.0),))
        for n, score in enumerate((1.0, 2.0, 2.0))
    )
    assert [standing.trial for standing in ranked([c, b, a], "success")] == [1, 2, 0]
    assert told_apart(b, c, "success") == 1.0
    assert told_apart(b, a, "score") == pytest.approx(2 / 2**10)  # ten starts, all one way


def test_a_task_that_does_not_judge_is_ranked_by_score():
    low, high = (
        Standing(n, {}, 1, (Tried((s,) * 8, None, 1.0),)) for n, s in enumerate((1.0, 2.0))
    )
    assert ranked([low, high], "success")[0].trial == 1
    assert high.success is None


def test_halving_does_not_go_with_a_model_of_trials():
    with pytest.raises(ValueError, match="mix long and short"):
        SweepConfig(search="optuna", halving=3)
    with pytest.raises(ValueError, match="halving must be 0 or at least 2"):
        SweepConfig(halving=1)
