"""A gamepad presses keys, as far as its sticks are pushed."""

import numpy as np

from understudy.collect.gamepad import Gamepad
from understudy.collect.source import Event, Script
from understudy.collect.teleoperator import Teleoperator
from understudy.spec import STATE, Signal, Spec
from understudy.tasks.base import Controls

SPEC = Spec({STATE: Signal((1,))}, Signal((2,), low=(-9, 0), high=(9, 1)), 10.0, "move")
CONTROLS = Controls(
    begin=(0.0, 1.0),
    push={"w": (0, 1.0), "s": (0, -1.0)},
    put={"space": (1, (0.0, 1.0))},
    pad={"left y-": "w", "left y+": "s", "a": "space"},
)


def commands(*events, ticks):
    """What is commanded in the first ticks of an episode that begins at moment 0."""
    script = Script([(0, Event("down", "pad start")), *events, (99, Event("quit"))])
    actor = Teleoperator(CONTROLS, SPEC, Gamepad(script, CONTROLS.pad))
    actor.reset(np.array([True]), np.array([1]))
    seen = {STATE: np.zeros((1, 1), np.float32)}
    return np.array([actor.act(seen, {"tick": np.array([t])}).command[0] for t in range(ticks)])


def test_a_stick_moves_as_far_as_it_is_pushed_and_stops_in_its_middle():
    full = commands((1, Event("axis", "left y", -1.0)), ticks=12)[:, 0]
    half = commands((1, Event("axis", "left y", -0.575)), ticks=12)[:, 0]
    np.testing.assert_allclose(half, full / 2, atol=1e-6)
    assert abs(full[-1] - full[-2] - 0.1) < 1e-6  # at its speed
    let_go = commands(
        (1, Event("axis", "left y", 1.0)), (7, Event("axis", "left y", 0.1)), ticks=12
    )[:, 0]
    assert let_go[5] < let_go[4]
    np.testing.assert_array_equal(let_go[6:], let_go[6])


def test_a_stick_that_changes_sides_does_not_go_on_to_the_first():
    found = commands(
        (1, Event("axis", "left y", -1.0)), (6, Event("axis", "left y", 1.0)), ticks=12
    )[:, 0]
    steps = np.diff(found)
    assert (steps[:4] > 0).all()
    assert (steps[5:] < 0).all()


def test_a_stick_pushed_farther_is_not_pressed_anew():
    """A put value changes when a key is pressed, and a ramp begins again: neither may happen."""
    steady = commands((1, Event("axis", "left y", -1.0)), ticks=9)[:, 0]
    trembling = [(1 + n, Event("axis", "left y", -1.0 + 0.001 * (n % 2))) for n in range(8)]
    np.testing.assert_allclose(commands(*trembling, ticks=9)[:, 0], steady, atol=2e-3)


def test_buttons_press_their_keys_and_others_pass():
    found = commands(
        (1, Event("down", "pad a")),
        (2, Event("up", "pad a")),
        (4, Event("down", "pad a")),
        ticks=6,
    )[:, 1]
    np.testing.assert_array_equal(found, [0, 0, 0, 1, 1, 1])


def test_buttons_are_listed_for_the_keys_that_are():
    script = Script([(5, Event("quit"))])
    gamepad = Gamepad(script, CONTROLS.pad)
    gamepad.say(["press Q to start", "W S up and down", "Q start   U undo   Esc stop"])
    gamepad.say(["recording", "E end   backspace discard   Esc stop"])
    assert [lines[-1] for lines in script.said] == [
        "gamepad: start start   X undo", "gamepad: back end   B discard",
    ]  # fmt: skip


def test_keys_of_the_same_names_as_buttons_stay_what_they_are():
    passed = [Event("down", key) for key in ("a", "b", "x", "y", "escape")]
    script = Script([*((0, event) for event in passed), (0, Event("blur")), (5, Event("quit"))])
    assert Gamepad(script, CONTROLS.pad).events() == [*passed, Event("blur")]
