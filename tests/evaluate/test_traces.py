"""The picture of a trace: small, complete, and saying how far off it was."""

import numpy as np
import pytest

from understudy.evaluate.traces import draw_traces
from understudy.fleet import ExpertActor, Here
from understudy.tasks.panda_trace import PandaTrace


@pytest.fixture(scope="module")
def episodes():
    return list(
        Here(worlds=1).rollouts(PandaTrace(curve="square"), ExpertActor(), [10_000, 10_001])
    )


def test_a_drawing_is_small_and_holds_both_lines_of_both_views(episodes, tmp_path):
    draw_traces(tmp_path / "traces.svg", episodes)
    text = (tmp_path / "traces.svg").read_text()
    assert len(text) < 200_000
    assert text.count("stroke: #c0392b") == 2 * len(episodes)
    assert text.count("stroke: #bfbfbf") == 2 * len(episodes)


def test_the_same_episodes_give_the_same_picture_and_others_another(episodes, tmp_path):
    pictures = []
    for name, some in (("a", episodes), ("b", episodes), ("c", episodes[::-1])):
        draw_traces(tmp_path / f"{name}.png", some)
        pictures.append((tmp_path / f"{name}.png").read_bytes())
    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]
    assert np.frombuffer(pictures[0][:4], "S4")[0] == b"\x89PNG"
