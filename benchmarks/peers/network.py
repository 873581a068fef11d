"""A policy of ours within a peer's loop, so that both sides play the same outputs.

Runs on the peer's Python. What its environment has it takes from there; our source, and the simulators
that it lacks, come from the paths that it is told.
"""

import importlib
import sys
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch


def find_ours(paths: list[str]) -> None:
    """Let imports look there last."""
    sys.path += paths


class Network:
    """Plays chunks for worlds that run in step: all ask for the next chunk at the same tick."""

    def __init__(self, folder: str) -> None:
        load = importlib.import_module("understudy.policies.checkpoint").load_checkpoint
        self.policy: Any = load(Path(folder)).policy
        config = self.policy.config
        self.execute = min(config.execute, config.horizon) or config.horizon
        self.seen: deque[dict[str, torch.Tensor]] = deque(maxlen=config.history)
        self.seeds: list[int] = []
        self.reset()

    def reset(self) -> None:
        """All worlds begin an episode."""
        self.ticks, self.chunks = 0, 0
        self.seen.clear()

    def actions(self, observations: dict[str, torch.Tensor]) -> torch.Tensor:
        """The next action (N, A) after observations {key: (N, *shape)}; the noise is that of the seeds."""
        while len(self.seen) < (self.seen.maxlen or 1) - 1:
            self.seen.append(observations)
        self.seen.append(observations)
        at = self.ticks % self.execute
        if at == 0:
            self.chunk = self._predicted()
        self.ticks += 1
        return self.chunk[:, at]

    def _predicted(self) -> torch.Tensor:
        windows = {
            key: torch.stack([self._raw(key, seen[key]) for seen in self.seen], 1)
            for key in self.policy.spec.observations
        }
        count = len(next(iter(windows.values())))
        windows["tick"] = torch.full((count, len(self.seen)), self.ticks)
        windows["task"] = torch.zeros(count, dtype=torch.int64)
        noise = np.zeros((count, *self.policy.noise_shape), np.float32)
        if noise.size:
            for row, seed in enumerate(self.seeds):
                stream = np.random.default_rng([seed, self.chunks])
                noise[row] = stream.standard_normal(noise.shape[1:], np.float32)
        self.chunks += 1
        with torch.inference_mode():
            return self.policy.predict(windows, torch.from_numpy(noise))

    def _raw(self, key: str, seen: torch.Tensor) -> torch.Tensor:
        """Pictures as our networks take them, (N, Y, X, 3) uint8; LeRobot has made them (N, 3, Y, X)."""
        if seen.ndim < 4 or seen.dtype == torch.uint8:
            return seen
        return seen.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
