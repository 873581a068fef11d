"""One contract for all grounds: the same episodes everywhere, whatever happens to worlds and workers."""

from dataclasses import replace

import pytest

from tests.fleet.troubled import Errand, Troubled, whose
from understudy.episode import Lost
from understudy.evaluate.measure import begin, go_on, outcome_of
from understudy.fleet import Here, Pool, RandomActor
from understudy.fleet.fleet import units_of

SEEDS = range(100_000, 100_012)


def on_ray(workers, worlds, patience_s=300.0):
    from understudy.fleet.on_ray import OnRay

    return OnRay(workers, worlds, patience_s=patience_s)


FLEETS = {"here": lambda: Here(3), "pool": lambda: Pool(2, 3, 20), "ray": lambda: on_ray(2, 3, 20)}


@pytest.fixture(params=FLEETS)
def fleet(request):
    return FLEETS[request.param]()


def table(fleet, task):
    """What `understudy evaluate` would write down, but for how long the actor thought."""
    actor = RandomActor()
    nothing = begin(task, actor, SEEDS, task_name="count", actor_name="random")
    *_, report = go_on(nothing, fleet.play(task, actor, SEEDS, outcome_of))
    rows = [replace(row, act_ms_median=None, act_ms_p99=None) for row in report.rows]
    return rows, report.lost


@pytest.fixture(scope="module")
def undisturbed():
    rows, lost = table(Here(1), Troubled())
    assert [row.seed for row in rows] == [*SEEDS]
    assert lost == ()
    return rows


def test_all_grounds_give_the_same_table(fleet, undisturbed):
    assert table(fleet, Troubled()) == (undisturbed, ())


def test_what_fails_every_time_is_named_what_fails_once_is_played_again(
    fleet, undisturbed, tmp_path
):
    always = {100_002: "raises", 100_003: "sees nan", 100_007: "rewards nan"}
    once = {100_000: "raises", 100_006: "raises"}
    if not isinstance(fleet, Here):  # which would be killed itself
        once[100_011] = "is killed"
    troubles = [(seed, kind, 99) for seed, kind in always.items()]
    troubles += [(seed, kind, 1) for seed, kind in once.items()]
    rows, lost = table(fleet, Troubled(troubles=tuple(troubles), counted_in=str(tmp_path)))
    assert rows == [row for row in undisturbed if row.seed not in always]
    assert [entry.seed for entry in lost] == [*always]
    assert {entry.attempts for entry in lost} == {3}
    assert "OSError: the motor is on fire (troubled.py, line" in lost[0].reason
    assert "nan" in lost[1].reason
    assert "nan" in lost[2].reason


def test_any_errand_is_done_on_each_item_in_their_order(fleet, tmp_path):
    items = [3, -1, 4, -1, 5] if isinstance(fleet, Here) else [3, -1, 4, -2, 5]
    heard = {}
    results = list(fleet.each(Errand(str(tmp_path)), items, heard.update))
    lost = [(place, r.seed, r.attempts) for place, r in enumerate(results) if isinstance(r, Lost)]
    assert lost == [(1, 1, 3)] + [(3, 3, 3)] * isinstance(fleet, Here)
    assert "OSError: out of paper (troubled.py, line" in results[1].reason
    assert [results[place] for place in (0, 2, 4)] == [9, 16, 25]
    assert isinstance(fleet, Here) or results[3] == 4
    assert heard == dict.fromkeys(range(5), 1.0)


def test_how_far_an_errand_is_is_heard_while_it_is_under_way(tmp_path):
    heard = []
    assert list(Here().each(Errand(str(tmp_path)), [2, 3], heard.append)) == [4, 9]
    assert heard == [{0: 0.5}, {0: 1.0}, {1: 0.5}, {1: 1.0}]


def test_within_with_workers_stay_and_what_they_play_is_the_same(fleet, undisturbed, tmp_path):
    def played():
        return list(fleet.play(Troubled(), RandomActor(), SEEDS, whose))

    with fleet:
        first, again = played(), played()
        assert len({pid for _, pid, _ in first + again}) <= fleet.workers
        assert table(fleet, Troubled(troubles=((1, "raises", 1),))) == (undisturbed, ())
        assert list(fleet.each(Errand(str(tmp_path)), [2, 3])) == [4, 9]
        assert table(fleet, Troubled()) == (undisturbed, ())
    returns = {seed: value for seed, _, value in first}
    assert {seed: value for seed, _, value in again} == returns
    assert {seed: value for seed, _, value in played()} == returns


def test_a_world_that_takes_its_worker_along_is_lost_alone(undisturbed, tmp_path):
    troubles = ((100_004, "is killed", 99), (100_009, "hangs", 99))
    task = Troubled(troubles=troubles, counted_in=str(tmp_path))
    rows, lost = table(Pool(2, 1, patience_s=2.0), task)
    assert rows == [row for row in undisturbed if row.seed not in (100_004, 100_009)]
    assert [entry.seed for entry in lost] == [100_004, 100_009]
    assert lost[1].reason == "no sign of life for 2 s"


def test_where_nothing_can_be_played_that_is_said_at_once(tmp_path):
    troubles = tuple((seed, "raises", 99) for seed in SEEDS)
    with pytest.raises(RuntimeError, match="nothing can be done: OSError: the motor is on fire"):
        table(Here(3), Troubled(troubles=troubles, counted_in=str(tmp_path)))


def test_whole_episodes_are_asked_for_in_vain_if_one_is_lost(tmp_path):
    task = Troubled(troubles=((100_001, "raises", 99),), counted_in=str(tmp_path))
    with pytest.raises(RuntimeError, match="episode of seed 100001 failed 3 times: OSError"):
        list(Here(3).rollouts(task, RandomActor(), SEEDS))


def test_a_seed_is_not_played_twice(fleet):
    with pytest.raises(ValueError, match="more than once"):
        list(fleet.rollouts(Troubled(), RandomActor(), [1, 1]))


def test_no_seeds_no_episodes(fleet):
    assert list(fleet.play(Troubled(), RandomActor(), [], Lost)) == []


def test_workers_are_given_equal_shares_in_units_that_do_not_grow():
    for count, workers, worlds in ((96, 2, 16), (200, 2, 16), (7, 3, 1), (129, 4, 16), (1, 4, 2)):
        units = units_of(range(count), workers, worlds)
        assert [seed for unit in units for seed in unit] == [*range(count)]
        sizes = [len(unit) for unit in units]
        assert sizes == sorted(sizes, reverse=True)
        assert max(sizes) <= 2 * worlds
        given = [sum(sizes[worker::workers]) for worker in range(workers)]
        assert max(given) - min(given) < workers
    assert [len(unit) for unit in units_of(range(96), 2, 16)] == [32, 32, 16, 16]
    assert units_of(range(40), 1, 16) == [range(40)]
