"""The page of a dataset: everything is in it, nothing runs in it, nothing is fetched by it."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest

from understudy.data.store import Dataset
from understudy.data.view import write_view
from understudy.episode import Episode
from understudy.spec import ENVIRONMENT_STATE, STATE, Signal, Spec

FRONT = "observation.images.front"
LENGTHS = (12, 30, 7, 15)
HOSTILE = "<script>alert(1)</script>\"'&"


def episode(spec: Spec, ticks: int, seed: int, task: str) -> Episode:
    time_s = np.arange(ticks) / spec.rate_hz
    wave = np.sin(3 * time_s + seed)[:, None].astype(np.float32)
    pictures = np.full((ticks, 48, 64, 3), 40 * seed + 30, np.uint8)
    return Episode(
        observations={
            STATE: np.repeat(wave, 2, 1),
            ENVIRONMENT_STATE: np.full((ticks, 1), 7, np.float32),
            FRONT: pictures,
        },
        actions=np.repeat(wave, 2, 1) + 0.1,
        rewards=np.zeros(ticks, np.float32),
        time_s=time_s,
        terminated=True,
        truncated=False,
        success=bool(seed % 2),
        intervention=np.arange(ticks) < 3,
        task=task,
        source="person",
        seed=seed,
    )


def recorded(folder: Path, task: str = "Lift it.", name: str = "elbow") -> Dataset:
    spec = Spec(
        {
            STATE: Signal((2,), unit="rad", names=("shoulder", name)),
            ENVIRONMENT_STATE: Signal((1,)),
            FRONT: Signal((48, 64, 3), "uint8"),
        },
        Signal((2,), unit="rad", names=("shoulder", name)),
        10.0,
        task,
    )
    with Dataset.create(folder, spec) as dataset:
        for seed, ticks in enumerate(LENGTHS):
            dataset.append(episode(spec, ticks, seed, task))
    return Dataset.open(folder)


class Page(HTMLParser):
    """Collects what a page consists of."""

    VOID = ("meta", "path", "br", "link", "img", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def dataset(tmp_path, monkeypatch) -> Dataset:
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    return recorded(tmp_path / "set")


def test_the_page_says_what_the_dataset_holds(dataset, tmp_path):
    write_view(dataset, tmp_path / "view.html")
    page = Page((tmp_path / "view.html").read_text("utf-8"))
    assert page.open == []
    for part in (
        "4 episodes, 64 ticks, 6.4 s",
        "Lift it.",
        "10 Hz",
        "rad",
        "failure 2, success 2",
        dataset.fingerprint,
        "1 number never changes: observation.environment_state: 0",
        "constant",
        " \N{MULTIPLICATION SIGN} ".join(("48", "64", "3")),
        "a person was in control",
    ):
        assert part in page.text


def test_first_shortest_longest_and_jerkiest_episodes_are_shown_by_default(dataset, tmp_path):
    write_view(dataset, tmp_path / "view.html")
    text = Page((tmp_path / "view.html").read_text("utf-8")).text
    shown = {int(i) for i in re.findall(r"Episode (\d+)", text)}
    assert {0, 1, 2} <= shown
    for reason in ("first", "shortest", "longest", "most jerky"):
        assert reason in text


def test_every_number_that_moves_is_drawn_with_its_command_over_what_was_seen(dataset, tmp_path):
    write_view(dataset, tmp_path / "view.html", [3])
    page = Page((tmp_path / "view.html").read_text("utf-8"))
    styles = [a["class"] for tag, a in page.tags if tag == "path" and "class" in a]
    assert styles.count("line command") == styles.count("line seen") == 2
    assert styles.count("shade") == 2
    assert "Not drawn: 1 that never change." in page.text


def test_pictures_of_the_shown_episodes_are_inside_and_play(dataset, tmp_path):
    write_view(dataset, tmp_path / "view.html", [3])
    page = Page((tmp_path / "view.html").read_text("utf-8"))
    (video,) = [attributes["src"] for tag, attributes in page.tags if tag == "video"]
    assert video is not None
    (tmp_path / "film.mp4").write_bytes(base64.b64decode(video.split("base64,")[1]))
    with av.open(str(tmp_path / "film.mp4")) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert container.streams.video[0].codec_context.name == "h264"
        assert float(container.streams.video[0].average_rate or 0) == 10
    assert len(frames) == 15
    assert abs(frames[0].mean() - 150) < 3


def test_nothing_runs_and_nothing_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    dataset = recorded(tmp_path / "set", task=HOSTILE, name=HOSTILE)
    dataset.annotate(0, tags=[HOSTILE])
    write_view(dataset, tmp_path / "view.html")
    content = (tmp_path / "view.html").read_text("utf-8")
    page = Page(content)
    assert "<script" not in content
    assert page.text.count("alert(1)") >= 3  # shown, as text
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "img", "object"} == set()
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        source = attributes.get("src") or attributes.get("href") or "data:"
        assert source.startswith("data:")
    assert "http" not in content.replace("http-equiv", "")
    assert "default-src 'none'" in content


def test_the_same_dataset_gives_the_same_page(dataset, tmp_path):
    write_view(dataset, tmp_path / "a.html")
    write_view(dataset, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert {p.name for p in tmp_path.glob("*.html")} | {"set", "cache"} == {
        p.name for p in tmp_path.iterdir()
    }


def test_excluded_episodes_are_left_out_and_said_to_be(dataset, tmp_path):
    dataset.annotate(1, exclude=True)
    write_view(dataset, tmp_path / "view.html")
    text = Page((tmp_path / "view.html").read_text("utf-8")).text
    assert "Episode 1 " not in text
    assert "excluded by annotation 1" in text
    write_view(dataset, tmp_path / "view.html", [1])
    assert "Episode 1 chosen" in Page((tmp_path / "view.html").read_text("utf-8")).text


def test_an_episode_that_is_not_there_is_refused_and_writes_nothing(dataset, tmp_path):
    with pytest.raises(IndexError, match=r"episode 4: .* has 0\.\.3"):
        write_view(dataset, tmp_path / "view.html", [0, 4])
    assert not (tmp_path / "view.html").exists()


def test_a_video_that_cannot_be_read_is_said_so_and_the_rest_is_shown(dataset, tmp_path):
    dataset.frames_source(FRONT, 0).path.write_bytes(b"no video")
    write_view(dataset, tmp_path / "view.html", [0, 1])
    page = Page((tmp_path / "view.html").read_text("utf-8"))
    assert "no video can be read from it" in page.text
    assert [tag for tag, _ in page.tags].count("video") == 1


def test_an_empty_dataset_has_a_page_too(tmp_path):
    spec = Spec({STATE: Signal((2,))}, Signal((2,)), 10.0)
    Dataset.create(tmp_path / "set", spec).close()
    write_view(Dataset.open(tmp_path / "set"), tmp_path / "view.html")
    assert "No episodes yet" in Page((tmp_path / "view.html").read_text("utf-8")).text


def test_foreign_datasets_have_a_page(real_data, tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    dataset = Dataset.open(real_data / "pusht_lerobot_v30")
    write_view(dataset, tmp_path / "view.html", [205])
    page = Page((tmp_path / "view.html").read_text("utf-8"))
    assert "206 episodes, 25,650 ticks, 42 min 45 s" in page.text
    assert [tag for tag, _ in page.tags].count("video") == 1
