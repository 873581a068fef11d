"""Whatever chooses actions: a person, a script, a policy, a recording, a mixture of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from understudy.episode import Episode
from understudy.spec import Signal

EXPERT_ACTION = "expert_action"
MIXTURE = "mixture of "  # how the source of a mixture's episodes begins


class Verdict(IntEnum):
    """What an actor (a person, most often) says of a running episode; all but NONE end it."""

    NONE = 0
    SUCCESS = 1
    FAILURE = 2
    DISCARD = 3  # drop it and go on to the next seed
    REDO = 4  # drop it and begin the same seed again
    END = 5  # it ends here; the world says whether that was success


@final
@dataclass(frozen=True)
class Decision:
    """The commands of one tick, for all N slots at once; rows of idle slots are ignored."""

    command: NDArray[Any]  # (N, A)
    label: NDArray[Any] | None = None  # (N, A) what an expert would do; NaN rows: it does not say
    intervention: NDArray[np.bool_] | None = None  # (N,) who corrects another was in control
    verdict: NDArray[np.int64] | None = None  # (N,) of Verdict


class Actor(Protocol):
    """Chooses actions for N worlds at once.

    `info` always has `active` (N,) bool and `tick` (N,) int64, and what `requests` names:
    `expert_action` (N, A) is what each world's own expert would do now.
    """

    @property
    def source(self) -> str:
        """Who acts, for the record: "person", "expert", a policy's fingerprint."""
        ...

    @property
    def requests(self) -> tuple[str, ...]:
        """Which further entries `info` must hold."""
        ...

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Begin new episodes in the marked slots (N,), each with its own seed (N,)."""
        ...

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Choose for all slots; observations are {key: (N, *shape)}."""
        ...


@final
class Expert:
    """Plays the world's own expert and labels each state with its action."""

    source = "expert"
    requests = (EXPERT_ACTION,)

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Nothing to begin: the expert lives in the world."""

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Return the expert's action as command and as label."""
        action = info[EXPERT_ACTION]
        return Decision(command=action, label=action)

    def overruled(self, slots: NDArray[np.bool_], command: NDArray[Any]) -> None:
        """Nothing to break off: the expert looks at the world anew at each tick."""


class Partner(Actor, Protocol):
    """An actor that shares its worlds with another."""

    def overruled(self, slots: NDArray[np.bool_], command: NDArray[Any]) -> None:
        """Take note that in the marked slots (N,) the other's `command` (N, A) is played."""
        ...


class Gate(Protocol):
    """Decides at every tick who acts, an expert or a learner."""

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Begin new episodes in the marked slots (N,); what is drawn comes from their seeds (N,)."""
        ...

    def expert_acts(
        self,
        observations: Mapping[str, NDArray[Any]],
        info: Mapping[str, NDArray[Any]],
        expert: Decision,
        learner: Decision,
    ) -> NDArray[np.bool_]:
        """Where the expert shall act now (N,), given what either would do."""
        ...


@final
class Mixture:
    """An expert and a learner of whom a gate decides, at every tick and for each slot, who acts.

    Both are asked at every tick. The command is that of who acts, the label the expert's wherever it
    gives one, whoever acts, and an intervention is a tick at which the expert acts. Whoever does not
    act learns what is played instead: a learner's plan from before an intervention ends with it.
    """

    def __init__(self, expert: Partner, learner: Partner, gate: Gate) -> None:
        self._expert, self._learner, self._gate = expert, learner, gate
        self.source = f"{MIXTURE}{expert.source}, {learner.source}"
        self.requests = tuple(dict.fromkeys((*expert.requests, *learner.requests)))

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Begin new episodes in the marked slots, of both and of the gate."""
        for part in (self._expert, self._learner, self._gate):
            part.reset(slots, seeds)

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Return the command of who acts, and the expert's label."""
        active = info["active"]
        expert = self._expert.act(observations, info)
        learner = self._learner.act(observations, info)
        by_expert = active & self._gate.expert_acts(observations, info, expert, learner)
        command = np.where(_beside(by_expert, expert.command), expert.command, learner.command)
        self._expert.overruled(active & ~by_expert, command)
        self._learner.overruled(by_expert, command)
        return replace(
            expert,
            command=command,
            label=expert.command if expert.label is None else expert.label,
            intervention=by_expert,
        )


def _beside(slots: NDArray[np.bool_], command: NDArray[Any]) -> NDArray[np.bool_]:
    """(N,) in the shape in which it goes with (N, A)."""
    return slots.reshape(-1, *[1] * (command.ndim - 1))


@final
class Random:
    """Draws actions uniformly between the limits of the signal; a floor to compare against."""

    source = "random"
    requests = ()

    def __init__(self, action: Signal) -> None:
        bounds = np.array([action.low, action.high], np.float64)
        if action.choices is None and (bounds.size == 0 or not np.isfinite(bounds).all()):
            raise ValueError(f"random actions need finite limits on every element, got {action}")
        self._action, self._bounds = action, bounds
        self._generators: list[np.random.Generator] = []

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Give each marked slot a generator of its own, from its seed."""
        if not self._generators:
            self._generators = [np.random.default_rng(0) for _ in slots]
        for slot in np.flatnonzero(slots):
            self._generators[slot] = np.random.default_rng(int(seeds[slot]))

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Draw one action for each active slot."""
        signal = self._action
        command = np.zeros((len(info["active"]), *signal.shape), signal.dtype)
        for slot in np.flatnonzero(info["active"]):
            generator = self._generators[slot]
            if signal.choices is not None:
                command[slot] = generator.integers(signal.choices, size=signal.shape)
            else:
                low, high = self._bounds.reshape(2, *signal.shape)
                command[slot] = generator.uniform(low, high)
        return Decision(command)


@final
class Replay:
    """Plays recorded episodes back, one per seed: whether a recording still does what it did."""

    source = "replay"
    requests = ()

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._by_seed = {e.seed: e for e in episodes if e.seed is not None}
        if not self._by_seed:
            raise ValueError("none of the episodes has a seed to begin a world with")
        self._playing: dict[int, Episode] = {}

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Look up the recording of each marked slot; raises KeyError for a seed never recorded."""
        for slot in np.flatnonzero(slots):
            self._playing[int(slot)] = self._by_seed[int(seeds[slot])]

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Return the recorded command of each slot's tick; past the end, the last one."""
        first = next(iter(self._by_seed.values())).actions
        command = np.zeros((len(info["active"]), *first.shape[1:]), first.dtype)
        for slot, episode in self._playing.items():
            command[slot] = episode.actions[min(int(info["tick"][slot]), len(episode) - 1)]
        return Decision(command)
