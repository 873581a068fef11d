"""Gates of DAgger: who acts at a tick, the expert or the learner; plain data that workers build.

`BetaGate` draws (Ross, Gordon & Bagnell 2011, arXiv 1011.0686), `SafeGate` compares what the two
would do (SafeDAgger: Zhang & Cho 2017, arXiv 1605.06450), `EnsembleGate` doubts as well
(EnsembleDAgger: Menda et al. 2019, arXiv 1807.08364), `PersonGate` leaves it to the person
(HG-DAgger: Kelly et al. 2019, arXiv 1810.02890); `ThriftyGate` has a module of its own.

SafeDAgger and EnsembleDAgger spare the expert at ticks that they find safe, SafeDAgger by a
classifier that foretells the discrepancy. Here the expert is asked at every tick, since every state
is labelled, so both measure it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray

from understudy.actor import Decision, Gate
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.player import Chunks
from understudy.spec import Signal, Spec

Schedule = Literal["exponential", "linear", "zero"]
STREAM = 0xBE7A  # sets a gate's draws apart from others of the same seed


class GateConfig(Protocol):
    """Plain data from which a worker builds its gate."""

    def build(self, spec: Spec) -> Gate:
        """Build the gate for worlds of this Spec; raises ValueError where it cannot judge them."""
        ...


def beta(schedule: Schedule, number: int, decay: float = 0.7, over: int = 15) -> float:
    """Share of ticks that the expert acts in round `number`; 1 in round 0, the demonstrations.

    exponential: decay to the power of the number; linear: down to 0 in round `over`; zero: the
    learner alone.
    """
    if number < 1:
        return 1.0
    if schedule == "exponential":
        return decay**number
    return max(0.0, 1 - number / over) if schedule == "linear" else 0.0


@final
@dataclass(frozen=True, kw_only=True)
class BetaGate:
    """The expert acts with probability `share`, drawn from each slot's seed every `hold` ticks.

    A policy that plays chunks learns a whole chunk only where the expert acted for as long as one
    lasts, so `hold` is its horizon.
    """

    share: float
    hold: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must lie in 0..1, got {self.share}")
        if self.hold < 1:
            raise ValueError(f"hold must be at least 1 tick, got {self.hold}")

    def build(self, spec: Spec) -> Gate:
        """Build it."""
        return _Drawn(self)


@final
@dataclass(frozen=True, kw_only=True)
class SafeGate:
    """The expert acts where learner and expert differ by more than `discrepancy`.

    In shares of the range of the action's element that differs most; choices that differ do so by 1.
    """

    discrepancy: float = 0.1

    def build(self, spec: Spec) -> Gate:
        """Build it; raises ValueError for an action without limits."""
        return _Safe(self, Scale(spec.action))


@final
@dataclass(frozen=True, kw_only=True)
class EnsembleGate:
    """The expert acts where learner and expert differ, or where policies trained alike disagree.

    `doubt` bounds the spread of what the `members` (checkpoints) would do now, see `Scale.spread`.
    """

    members: tuple[Path, ...]
    discrepancy: float = 0.1
    doubt: float = 0.05
    width: int = 16

    def build(self, spec: Spec) -> Gate:
        """Load the members; raises ValueError for an action without limits."""
        return _Doubting(self, Scale(spec.action), Members(self.members, self.width, spec))


@final
@dataclass(frozen=True, kw_only=True)
class PersonGate:
    """The expert, a person, acts when they say so."""

    def build(self, spec: Spec) -> Gate:
        """Build it."""
        return _Person()


@final
class Scale:
    """Differences of actions, in shares of their range."""

    def __init__(self, action: Signal) -> None:
        limits = np.array([action.low, action.high], np.float64)
        if action.choices is None and (limits.size == 0 or not np.isfinite(limits).all()):
            raise ValueError(f"a gate that compares actions needs limits of all, got {action}")
        self._choices = action.choices
        self._range = np.ones(action.size) if action.choices else limits[1] - limits[0]  # (A,)

    def apart(self, one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
        """How far two actions (N, A) are apart (N,), by the element that differs most."""
        difference = (
            (one != other) if self._choices else np.abs(np.subtract(one, other, dtype=float))
        )
        return (difference.reshape(len(one), -1) / self._range).max(1)

    def spread(self, proposals: NDArray[Any]) -> NDArray[np.float64]:
        """How much M proposals (M, N, A) disagree (N,), by the element that they disagree on most.

        Their standard deviation; of choices, the share that is not the commonest.
        """
        flat = proposals.reshape(*proposals.shape[:2], -1)  # (M, N, A)
        if self._choices:
            votes = np.stack([(flat == choice).mean(0) for choice in range(self._choices)])
            return (1 - votes.max(0)).max(1)
        return (flat.astype(np.float64).std(0) / self._range).max(1)


@final
class Members:
    """Policies that were trained alike, asked at every tick what they would do now.

    Each draws the noise of a slot from the same seed, so that they differ by their weights alone.
    """

    def __init__(self, folders: tuple[Path, ...], width: int, spec: Spec) -> None:
        if len(folders) < 2:
            raise ValueError(f"doubt needs at least 2 policies, got {len(folders)}")
        loaded = [load_checkpoint(folder).policy for folder in folders]
        for policy in loaded:
            policy.spec.require(spec)
        self._players = [Chunks(policy, 1, width, task=spec.task) for policy in loaded]

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Begin new episodes."""
        for player in self._players:
            player.reset(slots, seeds)

    def propose(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> NDArray[Any]:
        """Return what each would do, (M, N, A)."""
        return np.stack([player.act(observations, info).command for player in self._players])


@final
class _Drawn:
    def __init__(self, config: BetaGate) -> None:
        self._config = config
        self._generators: list[np.random.Generator] = []

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        if not self._generators:
            self._generators = [np.random.default_rng(0) for _ in slots]
            self._acts = np.zeros(len(slots), np.bool_)
        for slot in np.flatnonzero(slots):
            self._generators[slot] = np.random.default_rng([int(seeds[slot]), STREAM])

    def expert_acts(
        self,
        observations: Mapping[str, NDArray[Any]],
        info: Mapping[str, NDArray[Any]],
        expert: Decision,
        learner: Decision,
    ) -> NDArray[np.bool_]:
        due = info["active"] & (info["tick"] % self._config.hold == 0)
        for slot in np.flatnonzero(due):
            self._acts[slot] = self._generators[slot].random() < self._config.share
        return self._acts.copy()


@final
class _Safe:
    def __init__(self, config: SafeGate, scale: Scale) -> None:
        self._config, self._scale = config, scale

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        pass

    def expert_acts(
        self,
        observations: Mapping[str, NDArray[Any]],
        info: Mapping[str, NDArray[Any]],
        expert: Decision,
        learner: Decision,
    ) -> NDArray[np.bool_]:
        return self._scale.apart(expert.command, learner.command) > self._config.discrepancy


@final
class _Doubting:
    def __init__(self, config: EnsembleGate, scale: Scale, members: Members) -> None:
        self._config, self._scale, self._members = config, scale, members

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        self._members.reset(slots, seeds)

    def expert_acts(
        self,
        observations: Mapping[str, NDArray[Any]],
        info: Mapping[str, NDArray[Any]],
        expert: Decision,
        learner: Decision,
    ) -> NDArray[np.bool_]:
        doubt = self._scale.spread(self._members.propose(observations, info))
        differ = self._scale.apart(expert.command, learner.command) > self._config.discrepancy
        return differ | (doubt > self._config.doubt)


@final
class _Person:
    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        pass

    def expert_acts(
        self,
        observations: Mapping[str, NDArray[Any]],
        info: Mapping[str, NDArray[Any]],
        expert: Decision,
        learner: Decision,
    ) -> NDArray[np.bool_]:
        if expert.intervention is None:
            raise ValueError("this expert does not say when it takes over")
        return expert.intervention
