import xml.etree.ElementTree as tree

from understudy.evaluate.landscape import draw_landscape
from understudy.statistics import rate


def points(words):
    return [(word, rate([True] * (place + 1) + [False] * 3), place < 2) for place, word in words]


def test_numbers_stand_where_they_lie_and_words_side_by_side(tmp_path):
    options = {
        "width": points(enumerate(["64", "256", "128"])),
        "rate": points(enumerate(["0.01", "0.0001", "0.001"])),
        "loss": points(enumerate(["l1", "l2", "l1"])),
    }
    draw_landscape(tmp_path / "a.svg", options, "success", log=["rate"])
    text = (tmp_path / "a.svg").read_text()
    assert tree.fromstring(text) is not None
    for label in ("width", "rate", "loss", "success", "64", "128", "256", "l1", "l2"):
        assert f"<!-- {label} -->" in text  # how matplotlib names what it writes
    assert text.count("<!-- l1 -->") == 1
