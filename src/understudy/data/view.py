"""One HTML page of a dataset: what it holds, what is odd in it, and some episodes in full.

It opens offline and runs nothing: no scripts, no requests; every text in it is escaped.
"""

from __future__ import annotations

import base64
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from understudy.data import charts
from understudy.data.charts import Chart, Line
from understudy.data.durable import replace_text
from understudy.data.page import template
from understudy.data.store import Dataset
from understudy.data.survey import SignalSurvey, jerkiness, names_of, survey
from understudy.data.video import RecordedFrames, VideoWriter, read_frames
from understudy.episode import Episode
from understudy.spec import ACTION, STATE, Signal, Spec

MOST_VIDEO_BYTES = 12_000_000  # of all pictures together; base64 makes them 16 MB
MOST_PICTURES = 900  # of one video; longer ones show every second, third ... picture
LONGEST_SIDE = 360  # pixels of a video's longer side; smaller pictures stay as they are
MOST_CHARTS = 40  # of one episode
MOST_ODDITIES = 12


@final
@dataclass(frozen=True)
class Film:
    """One camera's pictures of an episode."""

    camera: str
    content: str  # base64 of an mp4, or ""
    remark: str  # what is not as recorded, or why there is nothing


@final
@dataclass(frozen=True)
class Shown:
    """One episode in full."""

    number: int
    reason: str  # why it is shown
    episode: Episode
    tags: tuple[str, ...]
    excluded: bool
    films: tuple[Film, ...]
    charts: tuple[Chart, ...]
    left_out: str  # what is not drawn, in words
    legend: tuple[tuple[str, str], ...]  # (style, text)


def write_view(dataset: Dataset, path: Path, episodes: Sequence[int] | None = None) -> None:
    """Write the page to `path`, whole or not at all, below about 25 MB.

    `episodes` are shown in full: by default the first, the shortest, the longest and the most
    jerky of the selected ones. Raises IndexError for an episode that is not there.
    """
    outside = [i for i in episodes or () if not 0 <= i < len(dataset)]
    if outside:
        raise IndexError(f"episode {outside[0]}: {dataset.folder} has 0..{len(dataset) - 1}")
    signals, oddities = survey(dataset)
    chosen = dict.fromkeys(episodes, "chosen") if episodes else _telling(dataset)
    filters = {"number": charts.number, "share": _share, "bars": charts.bars, "size": _size}
    page = template(Path(__file__).with_name("view.html"), filters).render(
        name=dataset.folder.resolve().name,
        dataset=dataset,
        spec=dataset.spec,
        duration=_duration(int(dataset.lengths.sum()) / dataset.spec.rate_hz),
        facts=_facts(dataset),
        tasks=Counter(dataset.tasks).most_common(),
        lengths=charts.histogram("Lengths", dataset.lengths, "ticks") if len(dataset) else None,
        signals=signals,
        constants=[f"{s.key}: {d.name}" for s in signals for d in s.dimensions if d.is_constant],
        jumps=[odd for odd in oddities if odd.kind == "jump"],
        far=[odd for odd in oddities if odd.kind == "far value"],
        most=MOST_ODDITIES,
        shown=_shown(dataset, chosen, signals),
    )
    replace_text(path, page)


def _facts(dataset: Dataset) -> dict[str, str]:
    """What is said of the whole dataset, in the order of the page."""
    lengths, rate = dataset.lengths, dataset.spec.rate_hz
    facts = {"rate": f"{rate:g} Hz"}
    if len(lengths):
        facts["ticks in an episode"] = f"{lengths.min()} to {lengths.max()}"
        facts["median length"] = _duration(float(np.median(lengths)) / rate)
    episodes = [dataset[i] for i in range(len(dataset))]
    words = {True: "success", False: "failure", None: "not judged"}
    for name, counts in (
        ("outcome", Counter(words[episode.success] for episode in episodes)),
        ("commanded by", Counter(episode.source or "not stated" for episode in episodes)),
    ):
        several = ", ".join(f"{text} {count:,}" for text, count in counts.most_common(4))
        facts[name] = several if len(counts) > 1 else "".join(counts)
    helped = sum(e.intervention is not None and bool(e.intervention.any()) for e in episodes)
    if helped:
        facts["with interventions"] = f"{helped:,}"
    excluded = len(dataset) - len(dataset.selected)
    if excluded:
        facts["excluded by annotation"] = f"{excluded:,}; the numbers below leave them out"
    facts["format"] = f"LeRobot {dataset.version}"
    facts["fingerprint"] = dataset.fingerprint[:16]
    return facts


def _telling(dataset: Dataset) -> dict[int, str]:
    """{episode: why it is shown}."""
    selected = dataset.selected
    if not len(selected):
        return {}
    lengths, jerk = dataset.lengths[selected], jerkiness(dataset)[selected]
    reasons: dict[int, list[str]] = {}
    for at, reason in (
        (0, "first"),
        (lengths.argmin(), "shortest"),
        (lengths.argmax(), "longest"),
        (jerk.argmax(), "most jerky"),
    ):
        reasons.setdefault(int(selected[at]), []).append(reason)
    return {i: ", ".join(texts) for i, texts in reasons.items()}


def _shown(
    dataset: Dataset, chosen: dict[int, str], signals: Sequence[SignalSurvey]
) -> list[Shown]:
    room, shown, selected = MOST_VIDEO_BYTES, [], set(dataset.selected.tolist())
    flat = {s.key: [d.is_constant for d in s.dimensions] for s in signals}
    for number, reason in chosen.items():
        episode = dataset[number]
        films = []
        for key in dataset.spec.cameras:
            film = _film(dataset, key, number, room)
            room -= len(film.content) * 3 // 4
            films.append(film)
        plots, constant = _plots(dataset.spec, episode, flat)
        shown.append(
            Shown(
                number=number,
                reason=reason,
                episode=episode,
                tags=dataset.tags(number),
                excluded=number not in selected,
                films=tuple(films),
                charts=tuple(plots[:MOST_CHARTS]),
                left_out=_left_out(len(plots) - MOST_CHARTS, constant),
                legend=_legend(dataset.spec, episode),
            )
        )
    return shown


# pictures


def _film(dataset: Dataset, key: str, number: int, room: int) -> Film:
    """Encode one camera of one episode small enough for a page."""
    camera = key.removeprefix("observation.").removeprefix("images.")
    try:
        source = dataset.frames_source(key, number)
        every = -(-source.count // MOST_PICTURES)
        content = _encoded(source, dataset.spec.rate_hz, every)
    except (ValueError, OSError) as error:
        return Film(camera, "", str(error))
    if len(content) > room:
        return Film(camera, "", "left out: the page has enough pictures already")
    remark = "" if every == 1 else f"one picture in {every}"
    return Film(camera, base64.b64encode(content).decode(), remark)


def _encoded(source: RecordedFrames, rate_hz: float, every: int) -> bytes:
    """An mp4 at true speed that browsers play, which AV1 and yuv444p are not sure to be."""
    shrink = min(1.0, LONGEST_SIDE / max(source.size))
    height, width = (max(2, round(side * shrink / 2) * 2) for side in source.size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        writer = VideoWriter(path, (height, width, 3), rate_hz / every, gop=30)
        try:
            frames = read_frames(source.path, source.first, source.count, (height, width))
            for index, image in enumerate(frames):
                if index % every == 0:
                    writer.write(image)
            writer.close()
        except BaseException:
            writer.discard()
            raise
        return path.read_bytes()


# plots


def _plots(
    spec: Spec, episode: Episode, flat: Mapping[str, Sequence[bool]]
) -> tuple[list[Chart], int]:
    """Every number of an episode over time, and how many are left out as they never change.

    What is commanded lies over what is seen of it; `flat` says which numbers are constant.
    """
    plots, constant = [], 0
    beside = STATE if _comparable(spec, episode) else None
    for i, name in enumerate(names_of(spec.action)):
        if flat[ACTION][i] and (beside is None or flat[beside][i]):
            constant += 1
            continue
        lines = [] if beside is None else [_line(episode, beside, i, "seen")]
        lines += [_line(episode, ACTION, i, "command")]
        if episode.executed is not None:
            lines += [Line("executed", _rows(episode.executed, episode)[:, i], "executed")]
        title = name if beside is None else _joint_name(spec, i)
        plots.append(_chart(spec, episode, title, spec.action, lines))
    for key in spec.vectors:
        signal, short = spec.observations[key], key.removeprefix("observation.")
        for i, name in enumerate(names_of(signal)):
            if key != beside and flat[key][i]:
                constant += 1
            elif key != beside:
                line = _line(episode, key, i, "seen")
                plots.append(_chart(spec, episode, f"{short}: {name}", signal, [line]))
    if episode.rewards.any():
        line = Line("reward", episode.rewards, "seen")
        plots.append(_chart(spec, episode, "reward", Signal(()), [line]))
    return plots, constant


def _chart(
    spec: Spec, episode: Episode, title: str, signal: Signal, lines: Sequence[Line]
) -> Chart:
    return charts.over_time(title, signal.unit, lines, spec.rate_hz, episode.intervention)


def _line(episode: Episode, key: str, i: int, style: str) -> Line:
    values = episode.actions if key == ACTION else episode.observations[key]
    return Line(key, _rows(values, episode)[:, i], style)


def _comparable(spec: Spec, episode: Episode) -> bool:
    """Whether the action's numbers are targets for the state's: same names, or unit and range."""
    state, action = spec.observations.get(STATE), spec.action
    if state is None or state.size != action.size or action.choices is not None:
        return False
    if action.names and action.names == state.names:
        return True
    if action.unit != state.unit:
        return False
    seen, done = _rows(episode.observations[STATE], episode), _rows(episode.actions, episode)
    shared = np.minimum(seen.max(0), done.max(0)) - np.maximum(seen.min(0), done.min(0))
    return bool((shared >= 0.3 * np.maximum(np.ptp(seen, 0), np.ptp(done, 0))).mean() > 0.5)


def _rows(values: Any, episode: Episode) -> NDArray[np.float64]:
    return np.asarray(values, np.float64).reshape(len(episode), -1)


def _joint_name(spec: Spec, i: int) -> str:
    """What to call a number that is commanded and seen."""
    seen, commanded = names_of(spec.observations[STATE])[i], names_of(spec.action)[i]
    return commanded if seen == commanded or not spec.observations[STATE].names else seen


def _legend(spec: Spec, episode: Episode) -> tuple[tuple[str, str], ...]:
    legend = [("command", "commanded (action)"), ("seen", "seen (observation)")]
    if episode.executed is not None:
        legend.append(("executed", "executed after limits"))
    if episode.intervention is not None and episode.intervention.any():
        legend.append(("shade", "a person was in control"))
    return tuple(legend)


# words


def _left_out(numbers: int, constant: int) -> str:
    parts = []
    if numbers > 0:
        parts.append(f"{numbers} more numbers")
    if constant:
        parts.append(f"{constant} that never change")
    return " and ".join(parts)


def _share(value: float) -> str:
    percent = 100 * value
    return "0 %" if not percent else "< 1 %" if percent < 1 else f"{percent:.0f} %"


def _size(signal: Signal) -> str:
    return " \N{MULTIPLICATION SIGN} ".join(map(str, signal.shape)) or "1"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
