"""The loop: worlds and an actor in, episodes out. Nobody else steps worlds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from understudy.actor import EXPERT_ACTION, Actor, Decision, Verdict
from understudy.episode import Episode
from understudy.rows import Pictures, Rows
from understudy.spec import Spec


class Recording(Protocol):
    """One take that is being written down while it runs."""

    def frame(self, key: str, image: NDArray[np.uint8]) -> None:
        """Take the next frame (Y, X, 3) of camera `key`; it may change when this returns."""
        ...

    def save(self, episode: Episode) -> Episode:
        """Make the take durable; `episode` comes without cameras and returns with them."""
        ...

    def discard(self) -> None:
        """Leave no trace of the take."""
        ...


class Recorder(Protocol):
    """Where takes are written: a dataset, most often."""

    def begin(self) -> Recording:
        """Open a new take; several may be open at once."""
        ...


def world_spec(world: gymnasium.Env[Any, Any]) -> Spec:
    """Return the Spec that a world, wrapped or not, carries as `signals`."""
    try:
        spec = world.get_wrapper_attr("signals")
    except AttributeError:
        raise TypeError(
            f"{world} is no world: it has no `signals` (a Spec). Bundled tasks have it; "
            "wrap any other Gymnasium environment with understudy.tasks.gym.GymWorld"
        ) from None
    if not isinstance(spec, Spec):
        raise TypeError(f"`signals` of {world} is {type(spec).__name__}, expected Spec")
    return spec


def rollouts(
    worlds: Sequence[gymnasium.Env[Any, Any]],
    actor: Actor,
    seeds: Sequence[int],
    recorder: Recorder | None = None,
) -> Iterator[Episode]:
    """Yield one episode per seed, in the order of `seeds`, from N worlds that run side by side.

    World and actor are seeded from the episode's seed, and each slot is reset on its own, so an
    episode does not depend on its neighbours. A world that falls free takes the next seed. One whose
    actor waits for others stands still for that tick of theirs. A verdict ends an episode:
    DISCARD skips its seed, REDO begins it again. With a recorder, frames are written while the
    episode runs and episodes are saved in the order of seeds; closing the iterator, or an error,
    discards the takes that are open. Raises ValueError when the actor commands something that is
    not finite or has the wrong shape.
    """
    if not worlds:
        raise ValueError("rollouts need at least one world")
    yield from _Run(worlds, actor, seeds, recorder).episodes()


@final
@dataclass(eq=False)
class _Take:
    """A running episode, but for its rows."""

    order: int
    seed: int
    recording: Recording | None
    frames: dict[str, Pictures] = field(default_factory=dict)  # that nobody records
    executed: list[Any] = field(default_factory=list)
    episode: Episode | None = None

    def keep(self, key: str, image: NDArray[np.uint8]) -> None:
        """Take the next frame of a camera."""
        if self.recording is not None:
            self.recording.frame(key, image)
        elif key not in self.frames:
            self.frames[key] = Pictures(image)
        else:
            self.frames[key].add(image)


@final
class _Run:
    """One call of `rollouts`: which slot plays which seed, and what is done already."""

    def __init__(
        self,
        worlds: Sequence[gymnasium.Env[Any, Any]],
        actor: Actor,
        seeds: Sequence[int],
        recorder: Recorder | None,
    ) -> None:
        self._worlds, self._actor, self._recorder = worlds, actor, recorder
        self._waiting = list(enumerate(int(seed) for seed in seeds))[::-1]
        self._spec = world_spec(worlds[0])
        for world in worlds[1:]:
            self._spec.require(world_spec(world))
        self._takes: list[_Take | None] = [None] * len(worlds)
        self._finished: dict[int, _Take | None] = {}  # by order; None: discarded
        self._next = 0
        self._experts = (
            [w.get_wrapper_attr(EXPERT_ACTION) for w in worlds]
            if (EXPERT_ACTION in actor.requests)
            else []
        )
        count = len(worlds)
        self._rows = Rows(count)
        self._seen = {  # what each slot saw last
            key: np.zeros((count, *signal.shape), signal.dtype)
            for key, signal in self._spec.observations.items()
        }
        self._time_s, self._rewards = np.zeros(count), np.zeros(count, np.float32)

    def episodes(self) -> Iterator[Episode]:
        try:
            self._begin([(slot, *self._waiting.pop()) for slot in self._free()])
            while any(self._takes):
                self._tick()
                while self._next in self._finished:
                    take = self._finished.pop(self._next)
                    self._next += 1
                    if take is not None:
                        yield self._saved(take)
        finally:
            for take in [*self._takes, *self._finished.values()]:
                if take is not None and take.recording is not None:
                    take.recording.discard()

    def _free(self) -> list[int]:
        free = [slot for slot, take in enumerate(self._takes) if take is None]
        return free[: len(self._waiting)]

    def _begin(self, starts: list[tuple[int, int, int]]) -> None:
        """Reset the worlds of (slot, order, seed) and tell the actor."""
        slots = np.zeros(len(self._worlds), np.bool_)
        seeds = np.zeros(len(self._worlds), np.int64)
        for slot, order, seed in starts:
            recording = self._recorder.begin() if self._recorder else None
            self._takes[slot] = _Take(order, seed, recording)
            observation, info = self._worlds[slot].reset(seed=seed)
            self._see(slot, 0, observation, info)
            slots[slot], seeds[slot] = True, seed
        if starts:
            self._check_seen(np.flatnonzero(slots))
            self._actor.reset(slots, seeds)

    def _tick(self) -> None:
        """One command for every running world; ended episodes make room for waiting seeds."""
        active = np.array([take is not None for take in self._takes])
        info = {"active": active, "tick": self._rows.ticks.copy()}
        if self._experts:
            info[EXPERT_ACTION] = self._expert_actions(active)
        began = time.perf_counter()
        decision = self._actor.act(self._seen, info)
        act_s = time.perf_counter() - began
        acting = active if decision.waiting is None else active & ~decision.waiting
        if not acting.any():
            raise ValueError("the actor lets all worlds wait, and there is nothing to wait for")
        slots = np.flatnonzero(acting)
        decision = _checked(decision, slots, len(self._takes), self._spec)
        self._note(slots, decision, act_s)
        ends = [end for slot in slots.tolist() if (end := self._step(slot, decision)) is not None]
        self._rows.write("reward", slots, self._rewards)
        self._rows.advance(slots)
        self._check_seen(slots)
        self._begin([start for end in ends if (start := self._end(*end)) is not None])
        self._begin([(slot, *self._waiting.pop()) for slot in self._free()])

    def _note(self, slots: NDArray[np.int64], decision: Decision, act_s: float) -> None:
        """Note what is seen in these slots and what is commanded there."""
        rows = self._rows
        for key in self._spec.vectors:
            rows.write(key, slots, self._seen[key])
        rows.write("action", slots, decision.command)
        rows.write("time_s", slots, self._time_s)
        rows.write("act_s", slots, np.full(len(self._takes), act_s, np.float32))
        rows.write_some("label", slots, decision.label)
        rows.write_some("intervention", slots, decision.intervention)

    def _step(self, slot: int, decision: Decision) -> tuple[Any, ...] | None:
        """Step one world; return what `_end` has to know where the episode ends here."""
        take = self._takes[slot]
        assert take is not None
        observation, reward, terminated, truncated, info = self._worlds[slot].step(
            decision.command[slot]
        )
        for key in self._spec.cameras:
            take.keep(key, self._seen[key][slot])
        executed = info.get("executed_action")
        if executed is not None:
            take.executed.append(executed)
        self._rewards[slot] = reward
        self._see(slot, int(self._rows.ticks[slot]) + 1, observation, info)
        verdict = Verdict.NONE if decision.verdict is None else Verdict(int(decision.verdict[slot]))
        if verdict is Verdict.NONE and not (terminated or truncated):
            return None
        return slot, verdict, bool(terminated), bool(truncated), info.get("is_success")

    def _see(
        self, slot: int, tick: int, observation: Mapping[str, Any], info: Mapping[str, Any]
    ) -> None:
        """Keep what a slot sees before its next command; `_check_seen` looks at the numbers."""
        for key, signal in self._spec.observations.items():
            value, seen = np.asarray(observation[key]), self._seen[key]
            if value.shape != signal.shape or value.dtype != seen.dtype:
                value = signal.check(key, value)
            seen[slot] = value
        time_s = info.get("time_s")
        self._time_s[slot] = tick / self._spec.rate_hz if time_s is None else time_s

    def _check_seen(self, slots: NDArray[np.int64]) -> None:
        """Raise ValueError where a number is not finite, or a choice none of the signal's."""
        for key, signal in self._spec.observations.items():
            seen = self._seen[key]
            if signal.choices is None and (seen.dtype.kind != "f" or np.isfinite(seen).all()):
                continue
            for slot in slots:
                signal.check(key, seen[slot])

    def _end(
        self, slot: int, verdict: Verdict, terminated: bool, truncated: bool, is_success: Any
    ) -> tuple[int, int, int] | None:
        """End the episode of a slot; returns its (slot, order, seed) if it is to be done again."""
        take = self._takes[slot]
        assert take is not None
        self._takes[slot] = None
        if verdict in (Verdict.DISCARD, Verdict.REDO):
            self._rows.clear(slot)
            if take.recording is not None:
                take.recording.discard()
            if verdict is Verdict.REDO:
                return slot, take.order, take.seed
            self._finished[take.order] = None
            return None
        judged = {Verdict.SUCCESS: True, Verdict.FAILURE: False}.get(verdict)
        success = judged if judged is not None else is_success
        take.episode = replace(
            self._assembled(slot, take),
            terminated=terminated,
            truncated=truncated or not terminated,
            success=None if success is None else bool(success),
        )
        self._rows.clear(slot)
        self._finished[take.order] = take
        return None

    def _assembled(self, slot: int, take: _Take) -> Episode:
        """The episode of a slot; ticks without a label are NaN rows, without intervention False."""
        rows = self._rows
        if len(take.executed) not in (0, rows.ticks[slot]):
            raise ValueError(
                f"the world of seed {take.seed} put executed_action into the info of some steps only"
            )
        kept = {key: frames.all() for key, frames in take.frames.items()}
        return Episode(
            observations={key: rows.read(key, slot) for key in self._spec.vectors} | kept,
            actions=rows.read("action", slot),
            rewards=rows.read("reward", slot),
            time_s=rows.read("time_s", slot),
            terminated=False,
            truncated=False,
            final_observation={key: seen[slot].copy() for key, seen in self._seen.items()},
            labels=rows.read_some("label", slot, np.nan),
            executed=np.array(take.executed) if take.executed else None,
            intervention=rows.read_some("intervention", slot, False),
            act_s=rows.read("act_s", slot),
            task=self._spec.task,
            source=self._actor.source,
            seed=take.seed,
        )

    def _expert_actions(self, active: NDArray[np.bool_]) -> NDArray[Any]:
        signal = self._spec.action
        actions = np.zeros((len(self._worlds), *signal.shape), signal.dtype)
        for slot in np.flatnonzero(active):
            actions[slot] = signal.check(EXPERT_ACTION, self._experts[slot]())
        return actions

    def _saved(self, take: _Take) -> Episode:
        assert take.episode is not None
        if take.recording is None:
            return take.episode.identified()
        recording, take.recording = take.recording, None
        return recording.save(take.episode)


def _checked(decision: Decision, slots: NDArray[np.int64], count: int, spec: Spec) -> Decision:
    """The decision of N slots with commands in the action's dtype; other slots' are not looked at."""
    signal = spec.action
    command = np.zeros((count, *signal.shape), signal.dtype)
    given = np.asarray(decision.command)
    if given.shape != command.shape:
        raise ValueError(f"the actor commanded shape {given.shape}, expected {command.shape}")
    command[slots] = signal.check("the actor's command", given[slots], (len(slots),))
    return replace(decision, command=command)
