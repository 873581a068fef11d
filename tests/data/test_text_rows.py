"""Rows of numbers in a text: how they are separated, what is passed over, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from understudy.data.text_rows import parse_rows

FILE = Path("a.txt")


@pytest.mark.parametrize("between", [" ", "\t", ",", ", ", "   "])
def test_numbers_are_separated_by_spaces_tabs_or_commas(between):
    rows = np.arange(40.0).reshape(4, 10) / 7
    text = "\n".join(between.join(f"{value:.9g}" for value in row) for row in rows)
    np.testing.assert_allclose(parse_rows(text, FILE), rows, rtol=1e-8)


def test_names_in_the_first_line_remarks_and_empty_lines_are_passed_over():
    text = "x,y\n# recorded on Monday\n1,2\n\n3,4 # last\n"
    np.testing.assert_array_equal(parse_rows(text, FILE), [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1,2\n1,,2\n", "line 2: '1,,2'"),
        ("O.3 1\n1 2\n", "line 1: 'O.3 1'"),
        ("0,5 0,25\n", "line 1: '0,5 0,25'"),
    ],
)
def test_a_row_is_never_lost_or_read_as_another(text, complaint):
    with pytest.raises(ValueError, match=complaint):
        parse_rows(text, FILE)
