"""Proposals by Optuna, kept in a file."""

import pytest

from understudy.learn.optuna_search import OptunaSearch
from understudy.learn.space import axes_of

AXES = axes_of(["rate=1e-4..1:log", "width=1..8", "loss=l1,l2"])


def value(choice):
    """Best at rate 0.01, width 8 and l2."""
    from math import log10

    distance = abs(log10(float(choice["rate"])) + 2)
    return int(choice["width"]) / 8 - distance + (choice["loss"] == "l2")


def searched(journal, trials, stop=None):
    """All choices, and what they came to; `stop` leaves after so many calls."""
    search = OptunaSearch(AXES, trials, 4, 3, journal)
    choices, known, calls = [], {}, 0
    while calls != stop and (found := search.next(known)):
        choices += found
        known = {number: value(choice) for number, choice in enumerate(choices)}
        calls += 1
    return choices, known


def test_it_learns_what_is_good_and_proposes_no_more_than_asked_for(tmp_path):
    choices, known = searched(tmp_path / "journal.jsonl", trials=42)
    assert len(choices) == 42
    early, late = list(known.values())[:10], list(known.values())[-10:]
    assert sum(late) / 10 > sum(early) / 10 + 0.5
    assert all(1e-4 <= float(c["rate"]) <= 1 and 1 <= int(c["width"]) <= 8 for c in choices)


def test_one_that_was_interrupted_goes_on_to_the_same_proposals(tmp_path):
    unbroken, _ = searched(tmp_path / "one.jsonl", trials=16)
    searched(tmp_path / "two.jsonl", trials=16, stop=2)
    assert searched(tmp_path / "two.jsonl", trials=16)[0] == unbroken


def test_a_training_that_failed_is_told_as_failed(tmp_path):
    search = OptunaSearch(AXES, 4, 2, 0, tmp_path / "journal.jsonl")
    search.next({})
    assert len(search.next({0: None, 1: 0.5})) == 2
    assert search.next({0: None, 1: 0.5, 2: 0.1, 3: 0.2}) == []


@pytest.mark.parametrize("seed", [0, 1])
def test_the_seed_decides(tmp_path, seed):
    first = OptunaSearch(AXES, 4, 4, seed, tmp_path / "a.jsonl").next({})
    again = OptunaSearch(AXES, 4, 4, seed, tmp_path / "b.jsonl").next({})
    other = OptunaSearch(AXES, 4, 4, seed + 7, tmp_path / "c.jsonl").next({})
    assert first == again != other
