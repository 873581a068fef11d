"""One row for each episode, and what the rows add up to: never a rate without its n and interval."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from understudy.config import from_plain, to_plain
from understudy.data.durable import replace_text
from understudy.episode import Episode, Lost
from understudy.statistics import Estimate, mean, rate
from understudy.tasks.base import TaskConfig

if TYPE_CHECKING:  # the fleet brings torch, which counting does not need
    from understudy.fleet import ActorConfig

Purpose = Literal["report", "selection"]

# Nothing is ever chosen on report seeds; demonstrations have those below 10,000.
PURPOSES: dict[str, range] = {"report": range(100_000, 2**63), "selection": range(10_000, 20_000)}
FORMAT = "understudy.report/1"
LARGEST_FILE = 2**28  # bytes


@final
@dataclass(frozen=True)
class Row:
    """What one episode came to."""

    seed: int
    success: bool | None  # None: the world does not say
    return_: float  # sum of the rewards
    max_reward: float
    length: int  # ticks
    initial_state_hash: str  # over the first observation, all keys
    act_ms_median: float | None = None  # the actor's thinking time for this world, of its ticks
    act_ms_p99: float | None = None


@final
class Rows(Sequence[Row]):
    """The first rows of a list that grows: each report of a measurement under way has them uncopied."""

    def __init__(self, rows: list[Row]) -> None:
        self._rows, self._count = rows, len(rows)

    def followed_by(self, row: Row) -> Rows:
        """These and one more."""
        rows = self._rows if len(self._rows) == self._count else self._rows[: self._count]
        rows.append(row)
        return Rows(rows)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, at: Any) -> Any:
        return self._rows[: self._count][at] if isinstance(at, slice) else self._rows[self._at(at)]

    def __iter__(self) -> Iterator[Row]:
        return islice(self._rows, self._count)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def _at(self, at: int) -> int:
        if not -self._count <= at < self._count:
            raise IndexError(f"row {at} of {self._count}")
        return at % self._count


@final
@dataclass(frozen=True)
class Outcome:
    """What a measurement keeps of one episode."""

    source: str  # who acted
    row: Row


@final
@dataclass(frozen=True)
class Report:
    """A measurement, finished or under way: who did what, in which worlds, with what result."""

    task: str
    task_config: Mapping[str, Any]
    goal: str  # the task in words
    rate_hz: float
    score: Literal["return", "max_reward"]
    actor: str
    actor_config: Mapping[str, Any]
    source: str  # who acted, as the episodes say: "expert", a policy's fingerprint
    purpose: Purpose
    seeds: tuple[int, ...]  # asked for
    rows: Sequence[Row]  # done, in the order of seeds
    lost: tuple[Lost, ...] = ()  # seeds that gave no episode, and why
    versions: Mapping[str, str] = field(default_factory=dict)  # of what it was made with

    @cached_property
    def success_rate(self) -> Estimate | None:
        """None unless every episode was judged: a world that does not say has no rate."""
        outcomes = self.successes
        return None if outcomes is None else rate(outcomes)

    @cached_property
    def mean_return(self) -> Estimate:
        """Mean sum of rewards."""
        return mean([row.return_ for row in self.rows])

    @cached_property
    def mean_max_reward(self) -> Estimate:
        """Mean of each episode's highest reward."""
        return mean([row.max_reward for row in self.rows])

    @cached_property
    def mean_score(self) -> Estimate:
        """Mean of what the task calls its score."""
        return mean(self.scores)

    @cached_property
    def mean_length(self) -> Estimate:
        """Mean number of ticks."""
        return mean([row.length for row in self.rows])

    @property
    def successes(self) -> NDArray[np.bool_] | None:
        """(n,), or None unless every episode was judged."""
        outcomes = [row.success for row in self.rows]
        return None if None in outcomes or not outcomes else np.array(outcomes, np.bool_)

    @property
    def scores(self) -> NDArray[np.float64]:
        """(n,) what the task calls its score: the return, or the highest reward."""
        return np.array([self.score_of(row) for row in self.rows], np.float64)

    @property
    def failures(self) -> tuple[Row, ...]:
        """Episodes that the world judged a failure."""
        return tuple(row for row in self.rows if row.success is False)

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds that were asked for and gave no episode: not yet run, discarded, or lost."""
        done = {row.seed for row in self.rows}
        return tuple(seed for seed in self.seeds if seed not in done)

    @property
    def starts(self) -> int:
        """How many different first observations there were; fewer than rows means repeats."""
        return len({row.initial_state_hash for row in self.rows})

    @property
    def act_ms(self) -> tuple[float, float] | None:
        """Thinking time per tick in ms: the typical (median) episode's median and 99th percentile."""
        times = [
            (row.act_ms_median, row.act_ms_p99)
            for row in self.rows
            if row.act_ms_median is not None and row.act_ms_p99 is not None
        ]
        if not times:
            return None
        median, p99 = np.median(np.array(times), axis=0)
        return float(median), float(p99)

    def score_of(self, row: Row) -> float:
        """What the task calls the score of one episode."""
        return row.return_ if self.score == "return" else row.max_reward

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.actor} on {self.task}: no rollout of {len(self.seeds)} is done"
        success = self.success_rate
        parts = [] if success is None else [f"success {success}"]
        parts.append(f"{self.score.replace('_', ' ')} {self.mean_score}")
        if self.missing:
            lost = f", {len(self.lost)} lost" if self.lost else ""
            parts.append(f"{len(self.rows)} of {len(self.seeds)} rollouts{lost}")
        return f"{self.actor} on {self.task}: " + "; ".join(parts)

    def to_json(self, path: Path) -> None:
        """Write the report to `path`, whole or not at all; `from_json` reads it back."""
        facts = {part.name: getattr(self, part.name) for part in fields(self)}
        facts["rows"] = [to_plain(row) for row in self.rows]
        facts["lost"] = [to_plain(lost) for lost in self.lost]
        text = json.dumps({"format": FORMAT, **facts}, indent=1, allow_nan=False)
        replace_text(path, text + "\n")

    @classmethod
    def from_json(cls, path: Path) -> Report:
        """Read what `to_json` wrote.

        Raises ValueError naming the file and the entry where it is not such a report, or where its
        seeds are not those of its purpose.
        """
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path} is larger than {LARGEST_FILE} bytes: no report of ours")
        try:
            facts = json.loads(path.read_text("utf-8"), parse_constant=_no_number)
        except ValueError as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
        found = facts.get("format") if isinstance(facts, dict) else None
        if found != FORMAT:
            raise ValueError(f"{path}: format {found!r}, expected {FORMAT!r}")
        return _read(facts, path)


def seeds_for(purpose: Purpose, n: int) -> range:
    """The first n seeds of a purpose: 100,000 and up for reports, 10,000 to 19,999 for selection."""
    seeds = _range_of(purpose)
    if not 1 <= n <= len(seeds):
        raise ValueError(f"{n} seeds for {purpose}: expected 1..{len(seeds)}")
    return seeds[:n]


def measure(
    episodes: Iterable[Episode | Outcome | Lost],
    task: TaskConfig,
    actor: ActorConfig,
    seeds: Sequence[int],
    *,
    task_name: str,
    actor_name: str,
    purpose: Purpose = "report",
) -> Iterator[Report]:
    """Yield the report so far after each of `episodes`; the last one is the whole measurement.

    It is `go_on` from the report that `begin` gives, and raises ValueError as they do.
    """
    report = begin(task, actor, seeds, task_name=task_name, actor_name=actor_name, purpose=purpose)
    return go_on(report, episodes)


def begin(
    task: TaskConfig,
    actor: ActorConfig,
    seeds: Sequence[int],
    *,
    task_name: str,
    actor_name: str,
    purpose: Purpose = "report",
    versions: Mapping[str, str] | None = None,
) -> Report:
    """Return a report in which nothing is done yet; `versions` are of all that its rows depend on.

    Raises ValueError for seeds that are repeated or are not those of the purpose.
    """
    _check_seeds(seeds, purpose)
    spec = task.spec
    return Report(
        task=task_name,
        task_config=_described(task),
        goal=spec.task,
        rate_hz=spec.rate_hz,
        score=task.score,
        actor=actor_name,
        actor_config=_described(actor),
        source="",
        purpose=purpose,
        seeds=tuple(int(seed) for seed in seeds),
        rows=(),
        versions=dict(versions or {}),
    )


def go_on(report: Report, episodes: Iterable[Episode | Outcome | Lost]) -> Iterator[Report]:
    """Yield the report with each of `episodes` in it, one more at a time.

    They are rollouts of its actor in worlds of its task, one for each seed that is missing, or what
    `outcome_of` keeps of them; seeds that were lost are named and counted nowhere. Raises ValueError
    for an episode that was not asked for, comes twice, comes from another actor, or has a reward
    that is not finite.
    """
    place = {seed: number for number, seed in enumerate(report.seeds)}
    awaited, rows = set(report.missing), Rows(list(report.rows))
    for found in episodes:
        result = outcome_of(found) if isinstance(found, Episode) else found
        seed = result.seed if isinstance(result, Lost) else result.row.seed
        if seed not in awaited:
            raise ValueError(
                f"the episode of seed {seed} {'comes twice' if seed in place else 'was not asked for'}"
            )
        awaited.remove(seed)
        if isinstance(result, Lost):
            report = replace(report, lost=(*report.lost, result))
        else:
            if report.rows and result.source != report.source:
                raise ValueError(
                    f"the episode of seed {seed} is by {result.source!r}, those before it by "
                    f"{report.source!r}; a report is of one actor"
                )
            rows = rows.followed_by(result.row)
            if report.rows and place[report.rows[-1].seed] > place[seed]:
                rows = Rows(sorted(rows, key=lambda row: place[row.seed]))
            report = replace(report, source=result.source, rows=rows)
        yield report


def outcome_of(episode: Episode) -> Outcome:
    """Return what a measurement keeps of an episode, for fleets that play far away."""
    return Outcome(episode.source, row_of(episode))


def row_of(episode: Episode) -> Row:
    """Return what one episode came to; raises ValueError without a seed or with a reward of NaN."""
    if episode.seed is None:
        raise ValueError("an episode without a seed cannot be measured: nobody could repeat it")
    rewards = np.asarray(episode.rewards, np.float64)
    if not np.isfinite(rewards).all():
        tick = int(np.argmin(np.isfinite(rewards)))
        raise ValueError(f"the episode of seed {episode.seed} has reward {rewards[tick]} at {tick}")
    times_ms = None if episode.act_s is None else 1e3 * np.asarray(episode.act_s, np.float64)
    return Row(
        seed=int(episode.seed),
        success=episode.success,
        return_=float(rewards.sum()),
        max_reward=float(rewards.max()),
        length=len(episode),
        initial_state_hash=initial_state_hash(episode),
        act_ms_median=None if times_ms is None else float(np.median(times_ms)),
        act_ms_p99=None if times_ms is None else float(np.percentile(times_ms, 99)),
    )


def initial_state_hash(episode: Episode) -> str:
    """Hash of the first observation, all keys: equal starts, equal hashes.

    A camera that was recorded to video hashes as decoded, so compare recorded with recorded.
    """
    digest = hashlib.blake2b(digest_size=8)
    for key in sorted(episode.observations):
        first = np.ascontiguousarray(episode.observations[key][0])
        little = first.astype(first.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{key} {first.dtype.name} {first.shape}\n".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def _range_of(purpose: str) -> range:
    if purpose not in PURPOSES:
        raise ValueError(f"purpose {purpose!r}, expected one of {', '.join(PURPOSES)}")
    return PURPOSES[purpose]


def _check_seeds(seeds: Sequence[int], purpose: str) -> None:
    if not len(seeds):
        raise ValueError("a measurement needs at least one seed")
    allowed = _range_of(purpose)
    wrong = [int(seed) for seed in seeds if int(seed) not in allowed]
    if wrong:
        raise ValueError(
            f"seeds {wrong[:5]} are not for {purpose}. Reports have seeds from 100,000, selection "
            "10,000 to 19,999 (purpose='selection'), demonstrations those below"
        )
    repeated = [seed for seed, count in Counter(int(s) for s in seeds).items() if count > 1]
    if repeated:
        raise ValueError(f"seeds {repeated[:5]} are given more than once; a rollout counts once")


def _described(config: Any) -> dict[str, Any]:
    """A configuration as JSON can hold it."""
    plain = {"type": type(config).__name__, **to_plain(config)}
    return json.loads(json.dumps(plain, default=str))


def _read(facts: Mapping[str, Any], path: Path) -> Report:
    kinds: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("task", "goal", "score", "actor", "source", "purpose"), str),
        **dict.fromkeys(("task_config", "actor_config"), dict),
        **dict.fromkeys(("seeds", "rows"), list),
        "rate_hz": (int, float),
    }
    for name, kind in kinds.items():
        if not isinstance(facts.get(name), kind):
            raise ValueError(f"{path}: {name} is {facts.get(name)!r}, expected {kind}")
    versions = facts.get("versions", {})
    if not isinstance(versions, dict):
        raise ValueError(f"{path}: versions is {versions!r}, expected names and versions")
    if facts["score"] not in ("return", "max_reward"):
        raise ValueError(f"{path}: score {facts['score']!r}, expected 'return' or 'max_reward'")
    if not all(isinstance(seed, int) for seed in facts["seeds"]):
        raise ValueError(f"{path}: seeds are not whole numbers")
    _check_seeds(facts["seeds"], facts["purpose"])
    rows = tuple(_read_row(row, f"{path}: row {at}") for at, row in enumerate(facts["rows"]))
    lost = tuple(from_plain(Lost, entry, f"{path}: lost") for entry in facts.get("lost", []))
    if not {row.seed for row in rows} <= set(facts["seeds"]):
        raise ValueError(f"{path}: it has rows of seeds that were not asked for")
    return Report(
        **{name: facts[name] for name in kinds if name not in ("seeds", "rows")},
        seeds=tuple(facts["seeds"]),
        rows=rows,
        lost=lost,
        versions=versions,
    )


def _read_row(data: Any, where: str) -> Row:
    needed = {part.name for part in fields(Row) if part.default is MISSING}
    if not isinstance(data, dict) or not needed <= data.keys():
        raise ValueError(f"{where}: expected the entries {', '.join(sorted(needed))}")
    return from_plain(Row, data, where)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")
