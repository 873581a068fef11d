"""The page says what was measured, opens offline, runs nothing and believes no text."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from understudy.evaluate.compare import compare
from understudy.evaluate.film import Film, choose, film
from understudy.evaluate.report import write_report

ATTACK = "\"><script>alert(1)</script><img src=x onerror='alert(2)'>{{ 7 * 7 }}"


class Page(HTMLParser):
    """Collects elements, attributes and text; fails on a tag that is closed but not open."""

    VOID = frozenset({"meta", "br", "img", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words)).replace("\N{NO-BREAK SPACE}", " ")


@pytest.fixture(scope="module")
def films(task, timid, timid_actor, tmp_path_factory):
    return list(film(task, timid_actor, choose(timid, 2), tmp_path_factory.mktemp("films")))


@pytest.fixture
def written(tmp_path):
    def write(report, **parts):
        path = tmp_path / "report.html"
        write_report(path, report, **parts)
        return Page(path.read_text("utf-8"))

    return write


def test_the_page_says_the_result_with_interval_and_n(written, timid):
    page = written(timid)
    done = len(timid.rows) - len(timid.failures)
    assert f"timid succeeds in {done} of 40 worlds" in page.text
    assert timid.success_rate.shown_interval in page.text
    assert "n = 40" in page.text
    for row in timid.failures:
        assert str(row.seed) in page.text


def test_all_parts_have_their_place(written, timid, expert, films):
    curves = [
        {
            "step": s,
            "total": 1 / (s + 1),
            "held_out_total": 2 / (s + 1),
            "learning_rate": 1.0 - s / 20,
        }
        for s in range(10)
    ]
    page = written(
        timid,
        comparison=compare(timid, expert),
        curves=[*curves, {"step": 10, "total": float("nan")}],
        videos=films,
        data_summary={"episodes": 12, "ticks": 34_567, "fingerprint": "abc123"},
        provenance={"date": "2026-01-02", "versions": {"numpy": "2.4"}},
        commands=["understudy evaluate runs/car"],
        notes=["A note."],
    )
    for words in (
        "Compared with expert",
        "only expert",
        "Return in each shared world",
        "Rollouts",
        "Learning rate",
        "held out",
        "34,567",
        "abc123",
        "versions.numpy",
        "2026-01-02",
        "understudy evaluate runs/car",
        "A note.",
    ):
        assert words in page.text
    assert page.tags.count("video") == 2
    assert page.tags.count("svg") == 5


def test_the_page_asks_nobody_and_runs_nothing(written, timid, expert, films):
    page = written(timid, comparison=compare(timid, expert), videos=films)
    assert not {"script", "link", "iframe", "img", "object", "embed", "form"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith("data:video/mp4;base64,")
        assert "url(" not in (value or "")
    (policy,) = [v for n, v in page.attributes if n == "content" and "default-src" in v]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy


def test_text_from_outside_stays_text(written, timid, expert):
    hostile = replace(
        timid,
        task=ATTACK,
        actor=ATTACK,
        goal=ATTACK,
        source=ATTACK,
        task_config={ATTACK: ATTACK},
        actor_config={"a": [ATTACK]},
    )
    other = replace(expert, task=ATTACK, task_config={ATTACK: ATTACK}, actor=ATTACK + "b")
    page = written(
        hostile,
        comparison=compare(hostile, other),
        curves=[{"step": 0, ATTACK: 1.0}, {"step": 1, ATTACK: 2.0}],
        data_summary={ATTACK: ATTACK},
        provenance={"date": ATTACK},
        commands=[ATTACK],
        notes=[ATTACK],
    )
    assert not {"script", "img"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_a_reader_is_warned_of_what_weakens_the_result(written, timid):
    same = tuple(replace(row, initial_state_hash="0") for row in timid.rows)
    row = timid.rows[0]
    path = Path(__file__)  # any file: its content is not looked at
    page = written(
        replace(timid, rows=same, purpose="selection", seeds=(*timid.seeds, 100_999)),
        videos=[Film(path, row, "length 3 measured, 4 filmed")],
    )
    assert "Measured on selection seeds" in page.text
    assert "1 of 41 rollouts gave no episode" in page.text
    assert "in only 1 different states" in page.text
    assert "Not the measured episode: length 3 measured, 4 filmed" in page.text


def test_without_judgement_the_score_stands_first(written, timid):
    rows = tuple(replace(row, success=None) for row in timid.rows)
    page = written(replace(timid, rows=rows, score="max_reward"))
    assert "timid reaches a mean max reward of \N{MINUS SIGN}1" in page.text
    assert "Success rate" not in page.text


def test_a_single_episode_makes_a_page_without_an_interval(written, timid, expert):
    one = replace(timid, seeds=timid.seeds[:1], rows=timid.rows[:1])
    other = replace(expert, seeds=expert.seeds[:1], rows=expert.rows[:1])
    page = written(one, comparison=compare(one, other))
    assert "interval unknown" in page.text


def test_an_empty_report_is_refused(written, timid):
    with pytest.raises(ValueError, match="nothing to report"):
        written(replace(timid, rows=()))


def test_large_reports_stay_below_eight_megabytes(timid, expert, tmp_path):
    seeds = tuple(range(100_000, 103_000))
    large = [
        replace(
            r, seeds=seeds, rows=tuple(replace(r.rows[k % 40], seed=s) for k, s in enumerate(seeds))
        )
        for r in (timid, expert)
    ]
    video = tmp_path / "video.mp4"
    video.write_bytes(bytes(150_000))
    films = [Film(video, timid.rows[0])] * 60
    path = tmp_path / "report.html"
    write_report(path, large[0], comparison=compare(*large), videos=films)
    assert path.stat().st_size < 8_000_000
    page = Page(path.read_text("utf-8"))
    assert page.tags.count("video") == 33
    assert "27 videos were left out" in page.text
