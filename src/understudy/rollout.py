"""The loop: worlds and an actor in, episodes out. Nobody else steps worlds."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, final

import gymnasium
import numpy as np
from numpy.typing import NDArray

from understudy.actor import EXPERT_ACTION, Actor, Decision, Verdict
from understudy.episode import Episode
from understudy.spec import Spec, is_image


class Recording(Protocol):
    """One take that is being written down while it runs."""

    def frame(self, key: str, image: NDArray[np.uint8]) -> None:
        """Take the next frame (Y, X, 3) of camera `key`."""
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
class _Take:
    """The growing rows of one running episode."""

    def __init__(self, order: int, seed: int, spec: Spec, recording: Recording | None) -> None:
        self.order, self.seed, self.recording = order, seed, recording
        self._spec = spec
        self._rows: dict[str, list[Any]] = {key: [] for key in spec.observations}
        self._columns: dict[str, list[Any]] = {
            name: []
            for name in ("action", "label", "executed", "reward", "intervention", "time_s", "act_s")
        }
        self.episode: Episode | None = None

    @property
    def ticks(self) -> int:
        return len(self._columns["action"])

    def see(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Note what is seen before the next command."""
        self.seen = {
            key: np.array(signal.check(key, observation[key]))
            for key, signal in self._spec.observations.items()
        }
        self._time_s = float(info.get("time_s", self.ticks / self._spec.rate_hz))

    def note(
        self, decision: Decision, slot: int, act_s: float, reward: float, info: Mapping[str, Any]
    ) -> None:
        """Note the command given in the seen state and what came of it."""
        for key, value in self.seen.items():
            if self.recording is not None and is_image(key):
                self.recording.frame(key, value)
            else:
                self._rows[key].append(value)
        columns = self._columns
        columns["action"].append(decision.command[slot].copy())
        columns["reward"].append(reward)
        columns["time_s"].append(self._time_s)
        columns["act_s"].append(act_s)
        columns["label"].append(None if decision.label is None else decision.label[slot].copy())
        took = decision.intervention
        columns["intervention"].append(None if took is None else bool(took[slot]))
        columns["executed"].append(info.get("executed_action"))

    def finish(self, source: str, terminated: bool, truncated: bool, success: bool | None) -> None:
        """Assemble the episode; ticks without a label are NaN rows, without intervention False."""
        kept = {key: np.stack(rows) for key, rows in self._rows.items() if rows}
        executed = self._columns["executed"]
        if any(row is None for row in executed) and any(row is not None for row in executed):
            raise ValueError(
                f"the world of seed {self.seed} put executed_action into the info of some steps only"
            )
        self.episode = Episode(
            observations=kept,
            actions=np.array(self._columns["action"], self._spec.action.dtype),
            rewards=np.array(self._columns["reward"], np.float32),
            time_s=np.array(self._columns["time_s"], np.float64),
            terminated=terminated,
            truncated=truncated,
            success=success,
            final_observation=self.seen,
            labels=_filled(self._columns["label"], np.full(self._spec.action.shape, np.nan)),
            executed=_filled(executed, None),
            intervention=_filled(self._columns["intervention"], False),
            act_s=np.array(self._columns["act_s"], np.float32),
            task=self._spec.task,
            source=source,
            seed=self.seed,
        )


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
        self._observations = {
            key: np.zeros((len(worlds), *signal.shape), signal.dtype)
            for key, signal in self._spec.observations.items()
        }

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
            take = self._takes[slot] = _Take(order, seed, self._spec, recording)
            observation, info = self._worlds[slot].reset(seed=seed)
            take.see(observation, info)
            slots[slot], seeds[slot] = True, seed
        if starts:
            self._actor.reset(slots, seeds)

    def _tick(self) -> None:
        """One command for every running world; ended episodes make room for waiting seeds."""
        active = np.array([take is not None for take in self._takes])
        info = {
            "active": active,
            "tick": np.array([take.ticks if take else 0 for take in self._takes], np.int64),
        }
        for slot, take in enumerate(self._takes):
            if take is not None:
                for key, value in take.seen.items():
                    self._observations[key][slot] = value
        if self._experts:
            info[EXPERT_ACTION] = self._expert_actions(active)
        began = time.perf_counter()
        decision = self._actor.act(self._observations, info)
        self._act_s = time.perf_counter() - began
        acting = active if decision.waiting is None else active & ~decision.waiting
        if not acting.any():
            raise ValueError("the actor lets all worlds wait, and there is nothing to wait for")
        decision = _checked(decision, acting, self._spec)
        redo: list[tuple[int, int, int]] = []
        for slot in np.flatnonzero(acting):
            redo += self._step(int(slot), decision)
        self._begin(redo)
        self._begin([(slot, *self._waiting.pop()) for slot in self._free()])

    def _step(self, slot: int, decision: Decision) -> list[tuple[int, int, int]]:
        """Step one world; returns its (slot, order, seed) if the take is to be done again."""
        take = self._takes[slot]
        assert take is not None
        observation, reward, terminated, truncated, info = self._worlds[slot].step(
            decision.command[slot]
        )
        take.note(decision, slot, self._act_s, float(reward), info)
        take.see(observation, info)
        verdict = Verdict(0 if decision.verdict is None else int(decision.verdict[slot]))
        if verdict is Verdict.NONE and not (terminated or truncated):
            return []
        self._takes[slot] = None
        if verdict in (Verdict.DISCARD, Verdict.REDO):
            if take.recording is not None:
                take.recording.discard()
            if verdict is Verdict.REDO:
                return [(slot, take.order, take.seed)]
            self._finished[take.order] = None
            return []
        judged = {Verdict.SUCCESS: True, Verdict.FAILURE: False}.get(verdict)
        success = judged if judged is not None else info.get("is_success")
        take.finish(
            self._actor.source,
            terminated=bool(terminated),
            truncated=bool(truncated) or not terminated,
            success=None if success is None else bool(success),
        )
        self._finished[take.order] = take
        return []

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


def _checked(decision: Decision, acting: NDArray[np.bool_], spec: Spec) -> Decision:
    """The decision with commands in the action's dtype; rows of other slots are not looked at."""
    signal = spec.action
    command = np.zeros((len(acting), *signal.shape), signal.dtype)
    given = np.asarray(decision.command)
    if given.shape != command.shape:
        raise ValueError(f"the actor commanded shape {given.shape}, expected {command.shape}")
    command[acting] = signal.check("the actor's command", given[acting], (int(acting.sum()),))
    return replace(decision, command=command)


def _filled(rows: list[Any], absent: Any) -> NDArray[Any] | None:
    """Rows as an array with `absent` where there is none; None where there is none at all."""
    if all(row is None for row in rows):
        return None
    return np.array([absent if row is None else row for row in rows])
