from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.worlds import COUNT_SPEC, CountWorld
from understudy.actor import Decision, Expert, Random, Replay, Verdict
from understudy.rollout import rollouts, world_spec


class Scripted:
    """Commands a constant; what else it decides is a function of (slot seeds, ticks)."""

    source = "script"
    requests = ()

    def __init__(self, command=0.25, verdict=None, label=None):
        self.command, self.verdict, self.label = command, verdict, label
        self.began: list[tuple[int, int]] = []

    def reset(self, slots, seeds):
        self.seeds = getattr(self, "seeds", np.zeros(len(slots), np.int64))
        self.seeds[slots] = seeds[slots]
        self.began += [(int(s), int(seeds[s])) for s in np.flatnonzero(slots)]

    def act(self, observations, info):
        count = len(info["active"])
        verdict = None
        if self.verdict:
            verdict = np.array(
                [self.verdict(int(self.seeds[i]), int(info["tick"][i])) for i in range(count)]
            )
        command = np.full((count, 1), self.command, np.float32)
        return Decision(command, label=None if self.label is None else command * 0 + self.label,
                        verdict=verdict)  # fmt: skip


@dataclass
class Notes:
    """A recorder that notes what happened to each take."""

    log: list[str] = field(default_factory=list)

    def begin(self):
        self.log.append("begin")
        return self

    def frame(self, key, image):
        self.log.append(f"frame {key}")

    def save(self, episode):
        self.log.append(f"save {episode.seed}")
        return episode

    def discard(self):
        self.log.append("discard")


def worlds(count):
    return [CountWorld() for _ in range(count)]


def test_there_is_one_episode_per_seed_in_the_order_of_seeds():
    seeds = [7, 0, 3, 2, 9, 1]  # of lengths 6, 3, 6, 5, 4, 4
    episodes = list(rollouts(worlds(3), Scripted(), seeds))
    assert [e.seed for e in episodes] == seeds
    assert [len(e) for e in episodes] == [3 + s % 4 for s in seeds]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_an_episode_does_not_depend_on_its_neighbours(count):
    alone = [next(rollouts(worlds(1), Scripted(), [seed])) for seed in range(10)]
    together = list(rollouts(worlds(count), Scripted(), range(10)))
    assert [e.id for e in together] == [e.id for e in alone]


def test_rows_hold_what_was_seen_when_the_action_was_chosen():
    episode = next(rollouts(worlds(1), Scripted(0.25), [4]))
    assert episode.observations["observation.state"].tolist() == [[4, 0], [4, 0.25], [4, 0.5]]
    assert episode.final_observation["observation.state"].tolist() == [4, 0.75]
    assert episode.time_s.tolist() == [0.0, 0.1, 0.2]
    assert episode.terminated
    assert not episode.truncated
    assert episode.success is False
    assert episode.check(COUNT_SPEC).executed.tolist() == [[0.25]] * 3


def test_an_expert_commands_and_labels():
    episode = next(rollouts(worlds(1), Expert(), [0]))
    assert episode.actions.tolist() == episode.labels.tolist() == [[0.5]] * 3
    assert episode.source == "expert"


def test_a_discarded_seed_is_left_out_and_a_redone_one_comes_once():
    redone = []

    def verdict(seed, tick):
        if seed == 1 and tick == 1:
            return Verdict.DISCARD
        if seed == 2 and tick == 1 and not redone:
            redone.append(seed)
            return Verdict.REDO
        return Verdict.NONE

    actor, notes = Scripted(verdict=verdict), Notes()
    episodes = list(rollouts(worlds(2), actor, [0, 1, 2, 3], notes))
    assert [e.seed for e in episodes] == [0, 2, 3]
    assert [s for _, s in actor.began].count(2) == 2
    assert notes.log.count("discard") == 2
    assert [line for line in notes.log if line.startswith("save")] == ["save 0", "save 2", "save 3"]


@pytest.mark.parametrize(
    ("verdict", "success"), [(Verdict.SUCCESS, True), (Verdict.FAILURE, False)]
)
def test_a_verdict_ends_the_episode_and_judges_it(verdict, success):
    actor = Scripted(verdict=lambda seed, tick: verdict if tick == 1 else Verdict.NONE)
    episode = next(rollouts(worlds(1), actor, [3]))
    assert (len(episode), episode.success, episode.truncated) == (2, success, True)


def test_leaving_early_discards_the_open_takes():
    notes = Notes()
    running = rollouts(worlds(3), Scripted(), range(6), notes)
    next(running)
    running.close()
    assert notes.log.count("save 0") == 1
    assert notes.log.count("discard") == notes.log.count("begin") - 1


@pytest.mark.parametrize("command", [np.nan, np.inf])
def test_a_command_that_is_not_finite_is_an_error_and_the_take_is_discarded(command):
    notes = Notes()
    with pytest.raises(ValueError, match="must be finite"):
        next(rollouts(worlds(1), Scripted(command), [0], notes))
    assert notes.log == ["begin", "discard"]


def test_random_actions_depend_on_the_seed_alone_and_keep_the_limits():
    actor = Random(COUNT_SPEC.action)
    many = list(rollouts(worlds(4), actor, range(8)))
    again = [next(rollouts(worlds(1), Random(COUNT_SPEC.action), [s])) for s in range(8)]
    assert [e.id for e in many] == [e.id for e in again]
    assert all(np.abs(e.actions).max() <= 1 for e in many)


def test_a_replay_repeats_what_was_recorded():
    recorded = list(rollouts(worlds(2), Random(COUNT_SPEC.action), range(5)))
    replayed = list(rollouts(worlds(3), Replay(recorded), range(5)))
    for before, after in zip(recorded, replayed, strict=True):
        np.testing.assert_array_equal(before.actions, after.actions)
        np.testing.assert_array_equal(
            before.observations["observation.state"], after.observations["observation.state"]
        )


def test_no_seeds_give_no_episodes_and_no_worlds_an_error():
    assert list(rollouts(worlds(2), Scripted(), [])) == []
    with pytest.raises(ValueError, match="at least one world"):
        next(rollouts([], Scripted(), [0]))


def test_an_environment_without_signals_is_told_how_to_become_a_world():
    import gymnasium

    with pytest.raises(TypeError, match="GymWorld"):
        world_spec(gymnasium.make("CartPole-v1"))


def test_labels_given_at_some_ticks_are_kept_and_the_others_are_nan():
    class Sometimes(Scripted):
        def act(self, observations, info):
            decision = super().act(observations, info)
            return decision if info["tick"][0] == 1 else Decision(decision.command)

    episode = next(rollouts(worlds(1), Sometimes(label=0.75), [4])).check(COUNT_SPEC)
    np.testing.assert_array_equal(episode.labels, [[np.nan], [0.75], [np.nan]])
    assert episode.targets.tolist() == [[0.25], [0.75], [0.25]]


def test_a_world_that_shows_nan_is_an_error():
    class Broken(CountWorld):
        def _seen(self):
            return {"observation.state": np.array([self.seed, np.nan], np.float32)}

    with pytest.raises(ValueError, match=r"observation\.state: nan"):
        next(rollouts([Broken()], Scripted(), [0]))


def test_an_expert_of_another_shape_is_an_error():
    class Odd(CountWorld):
        def expert_action(self):
            return np.float32(0.5)

    with pytest.raises(ValueError, match="expert_action: shape"):
        next(rollouts([Odd()], Expert(), [0]))


@pytest.mark.parametrize("command", [1.5, 3.0, -1.0])
def test_a_discrete_command_that_is_no_choice_is_an_error(command):
    from understudy.tasks import make_task

    with pytest.raises(ValueError, match="the actor's command"):
        next(rollouts([make_task("mountain-car").build()], Scripted(command), [0]))


class Patient(Scripted):
    """Lets the worlds of some seeds wait at some of its turns."""

    def __init__(self, waits):
        super().__init__()
        self.waits, self.turn = waits, 0

    def act(self, observations, info):
        self.turn += 1
        waiting = np.array([self.waits(int(seed), self.turn) for seed in self.seeds])
        command = np.where(waiting, np.nan, 0.25)[:, None]  # nobody looks at what is not decided
        return Decision(command.astype(np.float32), waiting=waiting)


def test_a_world_whose_actor_waits_stands_still_and_plays_the_same():
    seeds, worlds = [1, 2, 3], [CountWorld() for _ in range(2)]
    hasty = list(rollouts(worlds, Scripted(), seeds))
    late = list(rollouts(worlds, Patient(lambda seed, turn: seed == 1 and turn < 5), seeds))
    assert [episode.id for episode in late] == [episode.id for episode in hasty]


def test_an_actor_that_lets_all_worlds_wait_is_an_error():
    with pytest.raises(ValueError, match="lets all worlds wait"):
        list(rollouts([CountWorld()], Patient(lambda seed, turn: turn == 2), [1]))
