"""What can be varied, and what is drawn from it."""

import numpy as np
import pytest

from understudy.learn.space import Range, Values, axes_of, axis_of, drawn, grid


def test_a_list_and_ranges_are_read_as_a_person_writes_them():
    assert axis_of("width=64, 128") == Values("width", ("64", "128"))
    assert axis_of("--batch_size=16..64") == Range("batch-size", 16, 64, is_whole=True)
    assert axis_of("learning-rate=1e-4..1e-2:log") == Range("learning-rate", 1e-4, 1e-2, True)
    assert axis_of("loss=l1,l2") == Values("loss", ("l1", "l2"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width", "expected OPTION=VALUE,VALUE"),
        ("width=", "expected OPTION=VALUE,VALUE"),
        ("=1,2", "expected OPTION=VALUE,VALUE"),
        ("width=1,,2", "expected OPTION=VALUE,VALUE"),
        ("width=1..2..3", "expected OPTION=VALUE,VALUE"),
        ("width=a..b", "expected OPTION=VALUE,VALUE"),
        ("width=8,8", "more than once"),
        ("width=5..5", "5 is not below 5"),
        ("rate=0..1:log", "above 0"),
    ],
)
def test_nonsense_is_refused_with_what_is_expected(text, said):
    with pytest.raises(ValueError, match=said):
        axis_of(text)


def test_an_option_is_varied_once_and_at_least_one_is():
    with pytest.raises(ValueError, match="an option twice"):
        axes_of(["width=1,2", "width=3..4"])
    with pytest.raises(ValueError, match="which options"):
        axes_of([])


def test_a_grid_has_every_combination_and_takes_no_range():
    choices = grid(axes_of(["width=1,2", "loss=l1,l2"]))
    assert [tuple(choice.values()) for choice in choices] == [
        ("1", "l1"),
        ("1", "l2"),
        ("2", "l1"),
        ("2", "l2"),
    ]
    with pytest.raises(ValueError, match=r"width=1,5,9 for one"):
        grid(axes_of(["width=1..9"]))


def test_what_is_drawn_is_even_over_the_axis_and_stays_within():
    axes = axes_of(["width=1..4", "rate=1e-4..1e-2:log", "share=0..1", "loss=l1,l2"])
    choices = drawn(axes, 4000, seed=0)
    assert len({tuple(choice.values()) for choice in choices}) == len(choices) == 4000
    widths = np.bincount([int(choice["width"]) for choice in choices])
    np.testing.assert_allclose(widths[1:], 1000, atol=120)
    rates = np.log10([float(choice["rate"]) for choice in choices])
    assert -4 <= rates.min() < rates.max() <= -2
    assert np.median(rates) == pytest.approx(-3, abs=0.05)
    assert np.mean([float(choice["share"]) for choice in choices]) == pytest.approx(0.5, abs=0.03)
    assert np.mean([choice["loss"] == "l1" for choice in choices]) == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_draws_the_same_and_few_combinations_are_drawn_once_each():
    axes = axes_of(["width=1..3", "loss=l1,l2"])
    assert drawn(axes, 4, seed=7) == drawn(axes, 4, seed=7) != drawn(axes, 4, seed=8)
    assert drawn(axes, 4, seed=7) == drawn(axes, 6, seed=7)[:4]
    every = {tuple(choice.values()) for choice in drawn(axes, 100, seed=7)}
    assert every == {(width, loss) for width in "123" for loss in ("l1", "l2")}
