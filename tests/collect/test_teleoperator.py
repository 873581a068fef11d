"""A person at the keyboard: what keys command, and what becomes of an episode."""

from dataclasses import replace

import numpy as np
import pytest

from understudy.cli.teleoperate import controls_of
from understudy.collect.source import Event, Script, Shown, Slider, Stopped
from understudy.collect.teleoperator import Teleoperator
from understudy.rollout import rollouts
from understudy.spec import STATE, Signal, Spec
from understudy.tasks import TASKS, make_task
from understudy.tasks.base import Controls
from understudy.tasks.panda_grasp import PandaGrasp
from understudy.tasks.two_arm_transfer import NAMES

SPEC = Spec(
    {STATE: Signal((2,))}, Signal((3,), low=(0, -1, 0), high=(1, 1, 5)), rate_hz=10.0, task="move"
)
CONTROLS = Controls(
    begin=((STATE, 1), 0.0, 2.0),
    push={"w": (0, 0.6), "s": (0, -0.6)},
    hold={"left": (1, -0.5)},
    put={"space": (2, (3.0, 2.0))},
)
SEEN = {STATE: np.array([[9.0, 0.5]], np.float32)}


def script(*events):
    """Events as (moment, "w+ w- blur ...") to a Script."""
    made = []
    for moment, words in events:
        for word in words.split():
            what = {"+": "down", "-": "up"}.get(word[-1])
            made.append((moment, Event(what, word[:-1]) if what else Event(word)))
    return Script(made)


def commands(source, ticks):
    """What is commanded in the first ticks."""
    actor = Teleoperator(CONTROLS, SPEC, source)
    actor.reset(np.array([True]), np.array([7]))
    info = ({"tick": np.array([tick])} for tick in range(ticks))
    return np.array([actor.act(SEEN, tick).command[0] for tick in info])


def test_an_episode_begins_where_the_arm_is_seen_and_after_the_start_key():
    source = script((0, "w+"), (3, "w- q+"), (99, "quit"))
    np.testing.assert_allclose(commands(source, 2), [[0.5, 0, 2], [0.5, 0, 2]])
    assert source.said[0][0] == "episode of seed 7: press Q to start"


def told(source):
    """The keys that are listed while an episode is waited for and while it runs, in order."""
    lines = {"press Q": [], "recording": []}
    for state, *_, help in source.said:
        lines["press Q" if "press Q" in state else "recording"].append(help)
    return [[part.split()[0] for part in found[0].split("   ")] for found in lines.values()]


def test_a_person_is_told_of_the_keys_that_do_something_at_that_moment():
    source = script((0, "q+"), (99, "quit"))
    actor = Teleoperator(CONTROLS, SPEC, source, undo=lambda: "undone")
    actor.reset(np.array([True]), np.array([7]))
    actor.act(SEEN, {"tick": np.array([0])})
    assert told(source) == [["Q", "U", "Esc"], ["E", "R", "backspace", "Esc"]]


def test_where_nothing_is_saved_nothing_is_said_of_undoing_it():
    source = script((0, "q+"), (99, "quit"))
    turns(source, 1, [0.8, 0.0, 4.0])
    assert told(source) == [["Q", "Esc"], ["T", "E", "R", "backspace", "Esc"]]


def test_a_held_key_comes_up_to_its_speed_and_a_released_one_stops():
    found = commands(script((0, "q+"), (1, "s+"), (9, "s-"), (99, "quit")), 10)[:, 0]
    np.testing.assert_allclose(
        np.diff(found), [-0.02, -0.03, -0.04, -0.05, -0.06, -0.06, -0.06, 0, 0], atol=1e-7
    )


def test_a_tap_between_two_ticks_is_not_lost():
    found = commands(script((0, "q+"), (2, "w+ w-"), (99, "quit")), 4)[:, 0]
    np.testing.assert_allclose(found, [0.5, 0.51, 0.51, 0.51], atol=1e-7)


def test_when_the_window_loses_the_keyboard_all_keys_are_released():
    found = commands(script((0, "q+"), (1, "w+ left+"), (3, "blur"), (99, "quit")), 5)
    np.testing.assert_allclose(found[:, 0], [0.51, 0.53, 0.53, 0.53, 0.53], atol=1e-7)
    np.testing.assert_allclose(found[:, 1], [-0.5, -0.5, 0, 0, 0])


def test_of_two_held_keys_the_later_one_counts():
    keys = Controls(begin=(0, 0.0, 0), hold={"left": (1, -0.5), "right": (1, 0.5)})
    events = [(0, "q+"), (1, "left+"), (2, "right+"), (4, "right-"), (5, "right+"), (6, "left-")]
    actor = Teleoperator(keys, SPEC, script(*events, (99, "quit")))
    actor.reset(np.array([True]), np.array([7]))
    info = [{"tick": np.array([tick])} for tick in range(6)]
    found = [actor.act(SEEN, tick).command[0, 1] for tick in info]
    assert found == [-0.5, 0.5, 0.5, -0.5, 0.5, 0.5]


def test_an_episode_does_not_begin_at_the_speed_of_the_one_before():
    source = script((0, "q+"), (1, "w+"), (8, "w-"), (9, "w+"), (10, "q+"), (99, "quit"))
    actor = Teleoperator(CONTROLS, SPEC, source)
    found = []
    for ticks in (7, 2):
        actor.reset(np.array([True]), np.array([7]))
        for tick in range(ticks):
            found.append(actor.act(SEEN, {"tick": np.array([tick])}).command[0, 0])
    np.testing.assert_allclose(np.diff([0.5, *found[7:]]), [0.01, 0.02], atol=1e-7)


def test_a_put_value_stays_and_the_next_press_puts_the_next():
    found = commands(
        script((0, "q+"), (1, "space+"), (2, "space-"), (4, "space+"), (99, "quit")), 5
    )
    np.testing.assert_allclose(found[:, 2], [3, 3, 3, 2, 2])


def test_commands_end_at_the_limits():
    found = commands(script((0, "q+"), (1, "w+"), (99, "quit")), 20)
    assert found[:, 0].max() == 1.0


def test_a_slider_sets_its_number_until_something_else_does():
    controls = replace(CONTROLS, clock=2)
    source = Script(
        [
            (0, Event("down", "q")),
            (2, Event("slide", "action 0", 0.2)),
            (3, Event("slide", "action 0", 0.4)),
            (3, Event("slide", "action 2", 4.0)),  # the clock, which no hand sets
            (4, Event("down", "w")),
            (9, Event("quit")),
        ]
    )
    actor = Teleoperator(controls, SPEC, source, with_sliders=True)
    actor.reset(np.array([True]), np.array([7]))
    found = np.array([actor.act(SEEN, {"tick": np.array([t])}).command[0] for t in range(5)])
    np.testing.assert_allclose(found[:, 0], [0.5, 0.2, 0.4, 0.41, 0.43], atol=1e-6)
    np.testing.assert_allclose(found[:, 2], [0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-6)
    first, second = source.placed[0]
    assert (first, second.name) == (Slider("action 0", 0, 1, 0.5), "action 1")


def test_a_slider_says_where_a_released_key_comes_back_to():
    events = [(0, Event("down", "q")), (1, Event("slide", "action 1", 0.7))]
    keys = [(3, Event("down", "left")), (4, Event("up", "left")), (9, Event("quit"))]
    actor = Teleoperator(CONTROLS, SPEC, Script([*events, *keys]), with_sliders=True)
    actor.reset(np.array([True]), np.array([7]))
    found = [actor.act(SEEN, {"tick": np.array([t])}).command[0, 1] for t in range(5)]
    np.testing.assert_allclose(found, [0.7, 0.7, -0.5, 0.7, 0.7], atol=1e-6)


def test_what_sliders_said_before_the_start_does_not_count():
    source = Script(
        [(0, Event("slide", "action 0", 1.0)), (1, Event("down", "q")), (9, Event("quit"))]
    )
    actor = Teleoperator(CONTROLS, SPEC, source, with_sliders=True)
    actor.reset(np.array([True]), np.array([7]))
    assert actor.act(SEEN, {"tick": np.array([0])}).command[0, 0] == 0.5


def test_a_closed_window_stops_everything():
    with pytest.raises(Stopped):
        commands(script((0, "q+"), (3, "quit")), 9)


def played(source, keys=PandaGrasp.controls, seeds=range(5)):
    """The episodes until the window is closed."""
    task = PandaGrasp()
    world = Shown(task.build("rgb_array"), source)
    found = []
    try:
        found.extend(rollouts([world], Teleoperator(keys, task.spec, source), seeds))
    except Stopped:
        pass
    finally:
        world.close()
    return found


def test_e_ends_an_episode_and_the_world_says_whether_it_succeeded():
    (episode,) = played(script((0, "q+"), (5, "e+"), (30, "quit")))
    assert len(episode) == 5
    assert (episode.success, episode.truncated, episode.source) == (False, True, "person")


def test_backspace_goes_on_with_the_next_seed_and_r_begins_the_same_again():
    source = script(
        (0, "q+"), (2, "backspace+"), (4, "q+"), (6, "r+"), (8, "q+"), (12, "e+"), (40, "quit")
    )
    (episode,) = played(source)
    assert episode.seed == 1
    assert len(episode) == 4
    assert [said[0] for said in source.said if "press Q" in said[0]] == [
        f"episode of seed {seed}: press Q to start" for seed in (0, 1, 1, 2)
    ]


def test_keys_alone_can_lift_the_object():
    """What a person would press: down, a little forward, close, and up again."""
    source = script(
        (0, "q+"), (1, "x+"), (11, "x-"), (12, "w+ w-"), (13, "w+ w-"), (14, "w+ w-"), (15, "w+ w-"),
        (17, "space+"), (24, "z+"), (34, "z-"), (60, "quit"),
    )  # fmt: skip
    (episode,) = played(source)
    assert episode.success
    fingers = episode.actions[:, 3]
    assert fingers[0] == 1.0
    assert fingers[-1] == 0.0


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (Controls(begin=(0.0,)), "begin 1 elements, the action has 3"),
        (Controls(begin=(0, 0, 0), push={"w": (3, 1.0)}), "'w' changes element 3"),
        (Controls(begin=(0, 0, 0), push={"w": (0, 1.0)}, hold={"w": (1, 1.0)}), "two meanings: w"),
        (Controls(begin=(0, 0, 0), push={"q": (0, 1.0)}), "two meanings: q"),
        (
            Controls(
                begin=(0, 0, 0), push={"w": (1, 1.0)}, choose={"1": ("it", 0), "2": ("that", 2)}
            ),
            "'w' changes element 3",
        ),
        (
            Controls(begin=(0, 0, 0), push={"w": (0, 1.0)}, choose={"w": ("it", 0)}),
            "two meanings: w",
        ),
    ],
)
def test_a_map_that_does_not_fit_is_refused(keys, complaint):
    with pytest.raises(ValueError, match=complaint):
        Teleoperator(keys, SPEC, Script([]))


# hopper falls within a second, 125 commands of three torques; panda-trace follows what is drawn.
KEYLESS = {"hopper": "sliders", "panda-trace": "draw"}


@pytest.mark.parametrize("name", TASKS)
def test_every_tasks_keys_fit_it(name):
    task = make_task(name)
    if name in KEYLESS:
        with pytest.raises(ValueError, match=f"--device .*{KEYLESS[name]}"):
            controls_of(task, "keyboard")
        return
    controls = controls_of(task, "keyboard")
    Teleoperator(controls, task.spec, Script([]), takes_turns=True)


LEFT_OR_RIGHT = Controls(
    begin=(0.0, 0.0, 0.0),
    push={"w": (0, 0.6)},
    put={"space": (0, (1.0, 0.5))},
    choose={"left": ("the left", 0), "right": ("the right", 2)},
)


def chosen(source, ticks):
    actor = Teleoperator(LEFT_OR_RIGHT, SPEC, source)
    actor.reset(np.array([True]), np.array([7]))
    info = ({"tick": np.array([tick])} for tick in range(ticks))
    return np.array([actor.act(SEEN, tick).command[0] for tick in info])


def test_keys_lead_the_part_that_was_chosen_last():
    found = chosen(script((0, "q+"), (2, "w+ w-"), (3, "right+ w+ w- space+"), (99, "quit")), 4)
    np.testing.assert_allclose(found[:, 0], [0, 0.01, 0.01, 0.01], atol=1e-7)
    np.testing.assert_allclose(found[:, 2], [0, 0, 1.01, 1.01], atol=1e-7)


def test_a_key_that_is_held_goes_on_with_the_part_with_which_it_began():
    source = script((0, "q+"), (1, "w+"), (2, "right+"), (4, "space+"), (99, "quit"))
    found = chosen(source, 5)
    np.testing.assert_allclose(np.diff(found[:, 0]), [0.02, 0.03, 0.04, 0.05], atol=1e-7)
    np.testing.assert_allclose(found[:, 2], [0, 0, 0, 1, 1])


def test_a_person_is_told_what_the_keys_lead_and_each_episode_begins_with_the_first():
    source = script((0, "q+"), (2, "right+"), (4, "q+"), (99, "quit"))
    actor = Teleoperator(LEFT_OR_RIGHT, SPEC, source)
    for _ in range(2):
        actor.reset(np.array([True]), np.array([7]))
        for tick in range(2):
            actor.act(SEEN, {"tick": np.array([tick])})
    recording = [said[0] for said in source.said if "recording" in said[0]]
    led = [line.partition("keys lead ")[2] for line in recording]
    assert led == ["the left", "the right", "the left", "the left"]


def test_a_key_leads_one_joint_of_the_iiwa_and_time_goes_on():
    episode = led("kuka-sliders:trace=free,seconds=2", [[1, "down", "s"], [240, "up", "s"]], 300)
    moved = episode.actions[-1] - episode.actions[0]
    assert moved[1] == pytest.approx(0.5 * (239 - 72) / 240, abs=0.01)  # after a ramp of 0.6 s
    assert np.abs(np.delete(moved[:7], 1)).max() == 0
    np.testing.assert_allclose(episode.actions[:, 7], np.arange(1, 301) / 240, atol=1e-5)


def test_keys_lead_the_arm_that_was_chosen_and_its_gripper():
    keys = [[1, "down", "left"], [1, "down", "d"], [9, "up", "d"], [10, "down", "right"],
            [11, "down", "space"], [12, "down", "z"], [20, "up", "z"]]  # fmt: skip
    episode = led("two-arm-transfer", keys, 25)
    moved = dict(zip(NAMES, episode.actions[-1] - episode.actions[0], strict=True))
    assert {name for name, way in moved.items() if abs(way) > 1e-6} == {
        "left_elbow", "right_waist", "right_gripper",
    }  # fmt: skip
    assert moved["left_elbow"] > 0.05
    assert moved["right_waist"] < -0.05
    assert moved["right_gripper"] == -0.5


def led(name, keys, ticks):
    """An episode of so many ticks that begins at moment 0 and in which keys are pressed."""
    events = [[0, "down", "q"], *keys, [ticks, "down", "e"], [ticks + 5, "quit"]]
    task = make_task(name)
    world = task.build()
    source = Script([(moment, Event(*rest)) for moment, *rest in events])
    actor = Teleoperator(controls_of(task, "keyboard"), task.spec, source)
    (episode,) = rollouts([world], actor, [0])
    world.close()
    return episode


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is no script"),
        ("{}", "expected a list"),
        ('[[0, "down", "q"], [3, "slide", ["x"], 1]]', r"entry 1: .*\['x'\]"),
        ('[[0, "slide", "x", "far"]]', r"entry 0: .*'far'"),
        ('[[0, "down"], [1, "press", "q"]]', r"entry 1: .*expected \[moment, what, name, value\]"),
    ],
)
def test_a_script_that_is_not_right_says_where(text, complaint, tmp_path):
    (tmp_path / "keys.json").write_text(text)
    with pytest.raises(ValueError, match=complaint):
        Script.read(tmp_path / "keys.json")


def turns(source, ticks, played):
    """Decisions of a person who takes turns with a policy that commands `played` at all times."""
    actor = Teleoperator(CONTROLS, SPEC, source, takes_turns=True)
    actor.reset(np.array([True]), np.array([7]))
    found = []
    for tick in range(ticks):
        decision = actor.act(SEEN, {"tick": np.array([tick])})
        found.append(decision)
        actor.overruled(np.logical_not(decision.intervention), np.array([played], np.float32))
    return found


def test_a_person_takes_over_from_what_was_commanded_last_and_gives_back():
    source = script((0, "q+"), (2, "w+"), (3, "t+ t-"), (6, "t+"), (99, "quit"))
    found = turns(source, 7, [0.8, 0.0, 4.0])
    assert [bool(d.intervention[0]) for d in found] == [False] * 2 + [True] * 3 + [False] * 2
    labels = np.array([d.label[0] for d in found])
    assert np.isnan(labels[[0, 1, 5, 6]]).all()
    np.testing.assert_allclose(labels[2:5, 0], [0.81, 0.83, 0.86], atol=1e-6)
    np.testing.assert_allclose(labels[2:5, 2], 4)
    assert any("the policy leads" in said[0] for said in source.said)
    assert any("you lead" in said[0] for said in source.said)


def test_the_key_that_takes_over_can_have_no_other_meaning():
    controls = replace(CONTROLS, hold={"t": (1, 0.5)})
    Teleoperator(controls, SPEC, script((0, "q+")))
    with pytest.raises(ValueError, match="two meanings: t"):
        Teleoperator(controls, SPEC, script((0, "q+")), takes_turns=True)
