"""What a person can do whatever they show: stop, undo what was saved last, leave."""

import pytest

from understudy.collect.person import Person
from understudy.collect.source import Event, Script, Stopped


def person(*events):
    """Somebody who presses a key a moment and has three things to undo, and what they are shown."""
    source = Script([(moment, event) for moment, event in enumerate(events)])
    saved = ["first", "second", "third"]
    return Person(source, lambda: f"undone: {saved.pop()}"), source, saved


@pytest.mark.parametrize("event", [Event("quit"), Event("down", "escape")])
def test_they_stop_by_closing_the_window_and_by_a_key(event):
    one, *_ = person(Event("down", "w"), event)
    assert one.events() == [Event("down", "w")]
    with pytest.raises(Stopped):
        one.events()


def test_at_the_end_they_are_waited_for_until_they_leave():
    one, source, saved = person(Event("down", "w"), Event("up", "q"), Event("down", "q"))
    one.linger("3 saved")
    assert source.said == [("3 saved", "U undo the last saved   Q leave   Esc stop")]
    assert len(saved) == 3


def test_what_is_undone_at_the_end_is_said_in_what_comes_next():
    one, source, saved = person(Event("down", "u"))
    one.linger("3 saved")
    assert saved == ["first", "second"]
    one.say(["draw", ""])
    assert source.said[-1] == ("draw", "undone: third")


def test_where_nothing_is_saved_there_is_nothing_to_undo():
    one = Person(Script([(0, Event("down", "u"))]), None)
    assert not one.undoes("u")
    assert one.notice == ""
