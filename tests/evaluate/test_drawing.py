"""Axes place values and carry round numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.evaluate.drawing import Axis, number, padded


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(1e-6, 1e6, allow_nan=False),
    st.integers(3, 7),
)
def test_ticks_lie_on_the_axis_few_and_evenly(low, span, count):
    axis = Axis(low, low + max(span, 1e-9 * abs(low)))
    places = [tick.at for tick in axis.ticks(count)]
    assert 1 <= len(places) <= 2 * count
    assert all(-0.1 <= place <= 100.1 for place in places)


def test_ticks_are_round():
    assert [tick.text for tick in Axis(-204, -82).ticks(4)] == [
        "\N{MINUS SIGN}200",
        "\N{MINUS SIGN}150",
        "\N{MINUS SIGN}100",
    ]
    assert [tick.text for tick in Axis(0.004, 3.0, logarithmic=True).ticks()] == [
        "0.01",
        "0.1",
        "1",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1500, "1,500"),
        (20_000, "20k"),
        (2.5e6, "2.5M"),
        (0.05, "0.05"),
        (-1e-6, "\N{MINUS SIGN}1e-06"),
    ],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_an_axis_is_never_empty():
    axis = padded(-200.0, -200.0, 0.1)
    assert axis.at(-200.0) == pytest.approx(50.0)
