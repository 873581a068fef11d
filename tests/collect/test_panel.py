"""Sliders beside the picture, dragged by a mouse."""

import pytest

from understudy.collect.panel import MARGIN_PX, WIDTH_PX, Panel
from understudy.collect.source import Event, Slider

ONE, OTHER = Slider("one", -1.0, 1.0, 0.0), Slider("other", 0.0, 10.0, 2.5)


@pytest.fixture
def panel():
    made = Panel(720)
    made.place([ONE, OTHER])
    return made


def test_the_mouse_takes_the_slider_in_whose_row_it_is(panel):
    _, _, y = panel.track(1)
    (event,) = panel.press(WIDTH_PX // 2, y)
    assert event == Event("slide", "other", 5.0)
    assert panel.sliders == (ONE, Slider("other", 0.0, 10.0, 5.0))


def test_a_drag_ends_at_the_ends_and_with_the_button(panel):
    panel.press(WIDTH_PX // 2, panel.track(0)[2])
    assert panel.drag(-500)[0].value == -1.0
    assert panel.drag(WIDTH_PX - MARGIN_PX)[0].value == 1.0
    panel.release()
    assert panel.drag(100) == []
    assert panel.sliders[0].value == 1.0


def test_nothing_is_taken_beside_the_sliders(panel):
    for x, y in ((-1, 10), (WIDTH_PX, 10), (20, 2 * panel.row_px), (20, -5)):
        assert panel.press(x, y) == []


def test_knobs_stand_where_the_values_are(panel):
    begin, end, y = panel.track(1)
    assert panel.knob(1) == (round(begin + 0.25 * (end - begin)), y)


def test_many_sliders_share_the_height():
    panel = Panel(720)
    panel.place([Slider(str(n), 0, 1, 0) for n in range(30)])
    assert panel.track(29)[2] < 720


def test_an_empty_panel_has_nothing_to_take():
    assert Panel(720).press(10, 10) == []
