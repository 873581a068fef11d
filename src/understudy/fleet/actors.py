"""Who acts, as plain data that travels to workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self, final

import torch
from safetensors.numpy import load, save

from understudy.actor import Actor, Expert, Partner, Random
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.lean import Lean
from understudy.policies.player import Chunks, Ensemble, Samples
from understudy.spec import Spec


class ActorConfig(Protocol):
    """Plain data from which a worker builds its actor."""

    def build(self, spec: Spec) -> Actor:
        """Build the actor for worlds of this Spec; raises ValueError where they do not fit."""
        ...


class PartnerConfig(ActorConfig, Protocol):
    """Of an actor that can also share its worlds with another."""

    def partner(self, spec: Spec) -> Partner:
        """Build it as one that answers at every tick; raises ValueError where worlds and it do not fit."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class ExpertActor:
    """The task's own expert."""

    def build(self, spec: Spec) -> Actor:
        """Build it: it asks each world."""
        return Expert()

    def partner(self, spec: Spec) -> Partner:
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
    precision: Literal["float32", "bfloat16"] = "float32"  # of the network's products

    def build(self, spec: Spec) -> Chunks | Ensemble:
        """Load the policy; raises ValueError listing how it and the world differ.

        Worlds may stand still until enough of them need a chunk, see `Chunks`.
        """
        return self._built(spec, waits=True)

    def partner(self, spec: Spec) -> Chunks | Ensemble:
        """Load the policy as one that lets no world stand still: the other would have decided already."""
        return self._built(spec, waits=False)

    def _built(self, spec: Spec, *, waits: bool) -> Chunks | Ensemble:
        loaded = load_checkpoint(self.checkpoint)
        loaded.policy.spec.require(spec)
        policy = Lean(loaded.policy) if self.precision == "bfloat16" else loaded.policy
        if self.player == "ensemble":
            return Ensemble(policy, self.decay, self.width, loaded.fingerprint, spec.task)
        source, task = loaded.fingerprint, spec.task
        return Chunks(policy, self.execute, self.width, source, task, waits)


@final
@dataclass(frozen=True, kw_only=True)
class LearningActor:
    """A policy as it is at this moment, whose actions are drawn from its distribution."""

    config: PolicyConfig
    spec: Spec  # of the policy
    weights: bytes  # safetensors
    stream: int  # of the noise, see `Samples`
    width: int = 16  # rows of every batch that the network sees

    @classmethod
    def of(cls, policy: Policy, stream: int) -> Self:
        """Take down what the policy is now; it may go on learning."""
        weights = save({key: value.numpy() for key, value in policy.state_dict().items()})
        return cls(config=policy.config, spec=policy.spec, weights=weights, stream=stream)

    def build(self, spec: Spec) -> Samples:
        """Build the policy; raises ValueError listing how it and the world differ.

        What others in this process draw stays as it is: first weights are drawn for nothing.
        """
        self.spec.require(spec)
        with torch.random.fork_rng(devices=[]):
            policy = self.config.build(self.spec)
        weights = load(self.weights)
        policy.load_state_dict({key: torch.tensor(value) for key, value in weights.items()})
        return Samples(policy, self.width, self.stream, task=spec.task)
