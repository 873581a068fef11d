"""Actors that play a policy tick by tick, for N worlds at once: single actions, chunks, an ensemble.

A slot's result does not depend on its neighbours: its noise comes from (seed, chunk number), and the
network always sees batches of one constant width, padded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from understudy.actor import Decision
from understudy.data.windows import TASK, TICK
from understudy.policies.base import Policy
from understudy.policies.stochastic import Likelihood, require_stochastic

BLOCK = 64  # ticks whose noise is drawn at once


@final
class _Predictor:
    """Keeps each slot's last K observations and asks the policy for the slots that need a chunk."""

    def __init__(self, policy: Policy, width: int, task: str) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, got {width}")
        tasks = policy.config.tasks
        if tasks and task not in tasks:
            raise ValueError(f"the policy does not know the task {task!r}; it learnt: {tasks}")
        self.policy, self.width = policy.eval(), width
        self.device = next((t.device for t in [*policy.parameters(), *policy.buffers()]), "cpu")
        number = tasks.index(task) if tasks else 0
        self._tasks = torch.full((width,), number, device=self.device)
        self._history: dict[str, NDArray[Any]] = {}  # {key: (N, K, *shape)}

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        if not self._history:
            count, history = len(slots), self.policy.config.history
            self._history = {
                key: np.zeros((count, history, *signal.shape), signal.dtype)
                for key, signal in self.policy.spec.observations.items()
            }
            self._history[TICK] = np.zeros((count, history), np.int64)
            self._seeds = np.zeros(count, np.int64)
            self._chunks = np.zeros(count, np.int64)
            self._is_new = np.ones(count, np.bool_)
            self._has_seen = np.zeros(count, np.bool_)
        self._seeds[slots] = seeds[slots]
        self._chunks[slots] = 0
        self._is_new |= slots

    def see(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> None:
        """Append the newest observation; a new episode's first one fills its whole history.

        Slots that wait have seen it already.
        """
        slots: Any = ~self._has_seen if self._has_seen.any() else slice(None)
        new = np.flatnonzero(self._is_new)
        for key, history in self._history.items():
            newest = info[TICK] if key == TICK else observations[key]
            if history.shape[1] > 1:
                history[slots, :-1] = history[slots, 1:]
            history[slots, -1] = newest[slots]
            if len(new):
                history[new] = newest[new, None]
        self._is_new[new] = False
        self._has_seen[:] = False

    def wait(self, slots: NDArray[np.int64]) -> NDArray[np.bool_] | None:
        """Let slots stand still until they are asked for again, (N,) for a `Decision`; None for none."""
        if not len(slots):
            return None
        self._has_seen[slots] = True
        return self._has_seen.copy()

    def predict(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        """Return chunks (n, H, A) for the slots numbered `slots` (n,)."""
        parts = [
            self._predict(slots[start : start + self.width])
            for start in range(0, len(slots), self.width)
        ]
        self._chunks[slots] += 1
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def windows(self, slots: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Return what at most `width` slots (n,) saw last, {key: (width, K, *shape)}, padded."""
        if missing := self.width - len(slots):
            slots = np.concatenate([slots, np.repeat(slots[:1], missing)])
        observations = {
            key: torch.from_numpy(history[slots]).to(self.device)
            for key, history in self._history.items()
        }
        observations[TASK] = self._tasks
        return observations

    def _predict(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        shape = self.policy.noise_shape
        noise = np.zeros((self.width, *shape), np.float32)
        if noise.size:
            for row, slot in enumerate(slots):
                stream = np.random.default_rng([int(self._seeds[slot]), int(self._chunks[slot])])
                noise[row] = stream.standard_normal(shape, np.float32)
        with torch.inference_mode():
            chunk = self.policy.predict(
                self.windows(slots), torch.from_numpy(noise).to(self.device)
            )
        return chunk[: len(slots)].cpu().numpy()


@final
class Samples:
    """Draws each action from the policy's distribution, for learning by trying.

    A slot's noise comes from (stream, seed), so that two trainings that meet the same start draw
    differently. Raises ValueError for a policy that gives no distribution of one action.
    """

    requests = ()

    def __init__(
        self,
        policy: Policy,
        width: int = 1,
        stream: int = 0,
        source: str = "policy",
        task: str = "",
    ) -> None:
        self.source, self._stream = source, stream
        self._distribution = require_stochastic(policy).distribution
        self._signal = policy.spec.action
        self._likelihood = Likelihood(self._signal)
        self._predictor = _Predictor(policy, width, task)
        self._generators: dict[int, np.random.Generator] = {}
        self._noise = np.zeros((0, BLOCK, self._likelihood.draws), np.float32)  # (N, BLOCK, draws)

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Begin new episodes in the marked slots, each with noise of its own."""
        self._predictor.reset(slots, seeds)
        if not len(self._noise):
            self._noise = np.zeros((len(slots), *self._noise.shape[1:]), np.float32)
        for slot in map(int, np.flatnonzero(slots)):
            self._generators[slot] = np.random.default_rng([self._stream, int(seeds[slot])])
            self._generators[slot].standard_normal(out=self._noise[slot], dtype=np.float32)

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Return one draw for each active slot."""
        self._predictor.see(observations, info)
        active, width = np.flatnonzero(info["active"]), self._predictor.width
        at = info["tick"] % BLOCK
        for slot in active[(at[active] == 0) & (info["tick"][active] > 0)]:
            self._generators[slot].standard_normal(out=self._noise[slot], dtype=np.float32)
        command = np.zeros((len(self._noise), *self._signal.shape), self._signal.dtype)
        for start in range(0, len(active), width):
            slots = active[start : start + width]
            noise = np.zeros((width, self._noise.shape[2]), np.float32)
            noise[: len(slots)] = self._noise[slots, at[slots]]
            with torch.inference_mode():
                distribution = self._distribution(self._predictor.windows(slots))
                drawn = self._likelihood.draw(distribution, torch.from_numpy(noise))
            command[slots] = drawn[: len(slots)].numpy().reshape(len(slots), *self._signal.shape)
        return Decision(command)


@final
class Chunks:
    """Plays the first `execute` actions of each predicted chunk, then asks again.

    `task` is the text of what is to be done, for a policy that tells tasks apart. With `waits`,
    worlds whose queue is empty wait until they fill a batch, or no other world runs; episodes are
    the same, the network is asked less often.
    """

    requests = ()

    def __init__(
        self,
        policy: Policy,
        execute: int | None = None,
        width: int = 1,
        source: str = "policy",
        task: str = "",
        waits: bool = False,
    ) -> None:
        horizon = policy.config.horizon
        usual = min(policy.config.execute, horizon) or horizon
        self.execute = usual if execute is None else execute
        if not 1 <= self.execute <= horizon:
            raise ValueError(f"execute {self.execute} outside 1..{horizon}, the policy's horizon")
        self.source, self._waits = source, waits
        self._predictor = _Predictor(policy, width, task)
        self._signal = policy.spec.action
        self._queue: NDArray[Any] | None = None  # (N, H, A)

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Begin new episodes in the marked slots with empty queues."""
        self._predictor.reset(slots, seeds)
        if self._queue is None:
            horizon = self._predictor.policy.config.horizon
            self._queue = np.zeros((len(slots), horizon, *self._signal.shape), self._signal.dtype)
            self._played = np.full(len(slots), self.execute)
        self._played[slots] = self.execute

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Return each slot's next action; the network is asked for the slots whose queue is empty."""
        assert self._queue is not None, "reset comes before act"
        self._predictor.see(observations, info)
        empty = np.flatnonzero(info["active"] & (self._played >= self.execute))
        count = len(empty)
        if self._waits and count % self._predictor.width and count < info["active"].sum():
            count -= count % self._predictor.width
        if count:
            chunks = self._predictor.predict(empty[:count])
            self._queue[empty[:count]] = chunks.reshape(count, *self._queue.shape[1:])
            self._played[empty[:count]] = 0
        waiting = self._predictor.wait(empty[count:])
        command = self._queue[
            np.arange(len(self._queue)), np.minimum(self._played, self.execute - 1)
        ]
        self._played += info["active"] if waiting is None else info["active"] & ~waiting
        return Decision(command, waiting=waiting)

    def overruled(self, slots: NDArray[np.bool_], command: NDArray[Any]) -> None:
        """Forget what is left of the chunks in these slots: the world no longer follows them."""
        self._played[slots] = self.execute


@final
class Ensemble:
    """Predicts at every tick and averages all predictions of that tick (Zhao et al. 2023, ACT).

    The weights are exp(-decay * i) with i = 0 the oldest prediction. Continuous actions only.
    """

    requests = ()

    def __init__(
        self,
        policy: Policy,
        decay: float = 0.01,
        width: int = 1,
        source: str = "policy",
        task: str = "",
    ) -> None:
        if policy.spec.action.choices is not None:
            raise ValueError("choices cannot be averaged: play a discrete action by chunks")
        self.source, self._decay = source, decay
        self._predictor = _Predictor(policy, width, task)
        self._signal = policy.spec.action
        self._horizon = policy.config.horizon
        self._recent: NDArray[np.float64] | None = None  # (N, H made ago, H ahead, A)

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Begin new episodes in the marked slots without past predictions."""
        self._predictor.reset(slots, seeds)
        if self._recent is None:
            shape = (len(slots), self._horizon, self._horizon, *self._signal.shape)
            self._recent = np.zeros(shape, np.float64)
            self._made = np.zeros(len(slots), np.int64)
        self._made[slots] = 0

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Return each slot's averaged action."""
        assert self._recent is not None, "reset comes before act"
        self._predictor.see(observations, info)
        active = np.flatnonzero(info["active"])
        self._recent[active, 1:] = self._recent[active, :-1]
        chunks = self._predictor.predict(active)
        self._recent[active, 0] = chunks.reshape(len(active), *self._recent.shape[2:])
        self._made[active] += 1
        command = np.zeros((len(self._recent), *self._signal.shape), self._signal.dtype)
        for slot in active:
            count = min(int(self._made[slot]), self._horizon)
            ago = np.arange(count)
            weights = np.exp(-self._decay * (count - 1 - ago))  # i = 0 is the oldest
            command[slot] = np.tensordot(weights / weights.sum(), self._recent[slot, ago, ago], 1)
        return Decision(command)

    def overruled(self, slots: NDArray[np.bool_], command: NDArray[Any]) -> None:
        """Forget the past predictions in these slots: the world no longer follows them."""
        self._made[slots] = 0
