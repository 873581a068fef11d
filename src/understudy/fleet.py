"""Where rollouts run: in this process, or in a pool of spawned worker processes.

What travels is plain data: the task's and the actor's configuration and the seeds. An episode of a
given seed is the same wherever it runs.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, Protocol, final

import gymnasium
import numpy as np
import torch

from understudy.actor import Actor, Expert, Random
from understudy.episode import Episode
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.player import Chunks, Ensemble
from understudy.rollout import Recorder, rollouts
from understudy.spec import Spec, is_image
from understudy.tasks.base import TaskConfig


class ActorConfig(Protocol):
    """Plain data from which a worker builds its actor."""

    def build(self, spec: Spec) -> Actor:
        """Build the actor for worlds of this Spec; raises ValueError where they do not fit."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class ExpertActor:
    """The task's own expert."""

    def build(self, spec: Spec) -> Actor:
        """Build it: it asks each world."""
        return Expert()


@final
@dataclass(frozen=True, kw_only=True)
class RandomActor:
    """Uniform random actions."""

    def build(self, spec: Spec) -> Actor:
        """Build it for the limits of the action."""
        return Random(spec.action)


@final
@dataclass(frozen=True, kw_only=True)
class PolicyActor:
    """A policy from a checkpoint folder, and the way it is played."""

    checkpoint: Path
    player: Literal["chunks", "ensemble"] = "chunks"
    execute: int | None = None  # of each chunk; None: as many as the policy's configuration says
    decay: float = 0.01  # of the ensemble
    width: int = 16  # rows of every batch that the network sees

    def build(self, spec: Spec) -> Chunks | Ensemble:
        """Load the policy; raises ValueError listing how it and the world differ."""
        loaded = load_checkpoint(self.checkpoint)
        loaded.policy.spec.require(spec)
        if self.player == "ensemble":
            return Ensemble(loaded.policy, self.decay, self.width, loaded.fingerprint, spec.task)
        return Chunks(loaded.policy, self.execute, self.width, loaded.fingerprint, spec.task)


@final
class Here:
    """Rollouts in this process, `worlds` side by side."""

    def __init__(self, worlds: int = 16) -> None:
        if worlds < 1:
            raise ValueError(f"worlds must be at least 1, got {worlds}")
        self.worlds = worlds

    def rollouts(
        self,
        task: TaskConfig,
        actor: ActorConfig,
        seeds: Sequence[int],
        recorder: Recorder | None = None,
    ) -> Iterator[Episode]:
        """Yield one episode per seed, in order."""
        worlds = [task.build() for _ in range(min(self.worlds, max(1, len(seeds))))]
        try:
            yield from rollouts(worlds, actor.build(task.spec), seeds, recorder)
        finally:
            for world in worlds:
                world.close()


@final
class Pool:
    """Rollouts in `workers` spawned processes, each with `worlds` worlds and one thread."""

    def __init__(self, workers: int, worlds: int = 16) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, got {workers}")
        if worlds < 1:
            raise ValueError(f"worlds must be at least 1, got {worlds}")
        self.workers, self.worlds = workers, worlds

    def rollouts(
        self,
        task: TaskConfig,
        actor: ActorConfig,
        seeds: Sequence[int],
        recorder: Recorder | None = None,
    ) -> Iterator[Episode]:
        """Yield one episode per seed, in order; raises RuntimeError when a worker dies.

        Recordings are written by this process, from episodes that the workers hand back whole.
        """
        share = max(1, min(2 * self.worlds, -(-len(seeds) // self.workers)))
        units = [list(seeds[start : start + share]) for start in range(0, len(seeds), share)]
        context = multiprocessing.get_context("spawn")
        workers = min(self.workers, max(1, len(units)))
        play = partial(_play, task, actor, self.worlds)
        with ProcessPoolExecutor(workers, context) as pool:
            try:
                for episodes in pool.map(play, units):
                    for episode in episodes:
                        yield episode if recorder is None else _record(recorder, episode)
            except BrokenProcessPool as error:
                raise RuntimeError(
                    "a worker process died (killed, or out of memory: try fewer --workers or --worlds)"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)


def _play(task: TaskConfig, actor: ActorConfig, worlds: int, seeds: list[int]) -> list[Episode]:
    """One unit of work, in a worker process."""
    torch.set_num_threads(1)
    built, player = _built(task, actor, worlds)
    return list(rollouts(built, player, seeds))


@cache
def _built(
    task: TaskConfig, actor: ActorConfig, worlds: int
) -> tuple[list[gymnasium.Env[Any, Any]], Actor]:
    """Worlds and actor of a worker, built at its first unit."""
    return [task.build() for _ in range(worlds)], actor.build(task.spec)


def _record(recorder: Recorder, episode: Episode) -> Episode:
    recording = recorder.begin()
    try:
        for key in filter(is_image, episode.observations):
            for image in np.asarray(episode.observations[key]):
                recording.frame(key, image)
    except BaseException:
        recording.discard()
        raise
    return recording.save(episode)
