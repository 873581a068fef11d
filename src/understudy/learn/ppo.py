"""Proximal policy optimisation (Schulman et al. 2017, arXiv 1707.06347) over whole episodes.

Each round plays episodes with actions drawn from the policy, judges them by a reward (the worlds' own,
or what GAIL learns), and improves the policy by clipped steps on them. What matters for it (Engstrom
et al. 2020, arXiv 2005.12729; Andrychowicz et al. 2021, arXiv 2006.05990): running norms of what is
seen and of returns, orthogonal first weights, advantages normalised in each batch, a falling rate. Differences:
episodes are never cut, so a round has about as many steps as asked for; the likelihood of what was
played is computed afterwards, for all of it at once; a round ends early when the policy has moved far enough.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor, nn

from understudy.fleet import Fleet, Here
from understudy.learn.adamw import AdamW
from understudy.learn.advantage import gains_of
from understudy.learn.critic import Critic, vectors_of
from understudy.learn.flat import FlatParameters
from understudy.learn.played import Played
from understudy.learn.practice import Practice
from understudy.learn.reward import Judged, Reward
from understudy.learn.supervised import DivergedError, TrainingState
from understudy.policies.base import Policy
from understudy.policies.stochastic import Likelihood, require_stochastic
from understudy.tasks.base import TaskConfig


@final
@dataclass(frozen=True, kw_only=True)
class PpoConfig:
    """How a policy learns by trying."""

    steps: int = 100_000
    """Steps of the worlds, in all; the last round is a whole one, so a few more are played."""
    steps_per_round: int = 2048
    """Steps that are played before the policy is improved on them; episodes are not cut."""
    epochs: int = 10
    """How often a round's steps are gone through, at most."""
    batch_size: int = 256
    """Steps that one step of the optimiser looks at, at least 2."""
    learning_rate: float = 1e-3
    """Of policy and critic, at the beginning; falls evenly to 0."""
    discount: float = 0.99
    """What a reward is worth one tick later."""
    trace: float = 0.95
    """Lambda of generalised advantages: 0 trusts the critic, 1 what was earned."""
    clip: float = 0.2
    """How far the likelihood of an action may move in a round: by this share."""
    divergence: float = 0.03
    """A round ends once the policy has moved so far from the one that played, in nats."""
    entropy: float = 0.0
    """Reward of staying undecided."""
    gradient_clip: float = 0.5
    """Largest norm of the gradient."""
    critic_width: int = 64
    """Units of each of the critic's two hidden layers."""
    critic_rounds: int = 0
    """First rounds in which only the critic learns: for a policy that is good already."""
    seed: int = 0
    """Of first weights, starts and all that is drawn."""

    def __post_init__(self) -> None:
        for name in ("steps", "steps_per_round", "epochs", "critic_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.batch_size < 2:
            raise ValueError(
                f"batch_size must be at least 2, got {self.batch_size}: advantages are normalised "
                "within a batch"
            )
        for name in ("learning_rate", "clip", "divergence", "gradient_clip"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("entropy", "critic_rounds", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not (0 <= self.discount < 1 and 0 <= self.trace <= 1):
            raise ValueError(f"discount lies in 0..1, without 1, trace in 0..1, got {self}")


@final
@dataclass(frozen=True)
class Progress:
    """A report after each round."""

    step: int  # steps of the worlds so far
    episodes: int  # so far
    mean_return: float  # of the worlds' own rewards in this round, actions drawn
    mean_length: float
    success: float | None  # share of this round's episodes, where the world judges
    facts: Mapping[str, float]
    learning_rate: float
    steps_per_s: float
    state: TrainingState


def improve(
    policy: Policy,
    task: TaskConfig,
    config: PpoConfig,
    reward: Reward,
    *,
    fleet: Fleet | None = None,
    adapts: bool = True,
    resume: TrainingState | None = None,
) -> Iterator[Progress]:
    """Improve `policy`, prepared already, in place; yields a report after each round.

    The rounds are played on `fleet`, whose workers stay until the end, or in this process; what is
    learnt is the same to the bit where the processes that play have as many threads.
    With `adapts` its normalisers of vectors follow what is seen; without, they stay as they are.
    A run that goes on from a report's state, in the weights that it had, ends with the same bits.
    Raises ValueError for a policy without a distribution, DivergedError, and RuntimeError for an
    episode that is lost.
    """
    if policy.config.tasks:
        raise ValueError(
            f"one task is tried at a time, the policy tells apart {policy.config.tasks}"
        )
    with fleet or Here() as ground:
        practice = Practice(policy, task, ground, config.steps_per_round, config.seed)
        yield from _Improvement(policy, practice, config, reward, adapts, resume).reports()


@final
class _Improvement:
    """One call of `improve`."""

    def __init__(
        self,
        policy: Policy,
        practice: Practice,
        config: PpoConfig,
        reward: Reward,
        adapts: bool,
        resume: TrainingState | None,
    ) -> None:
        self.policy, self.practice, self.config, self.reward = policy, practice, config, reward
        self.stochastic = require_stochastic(policy)
        self.likelihood = Likelihood(policy.spec.action)
        self.adapts = adapts
        sizes = self.stochastic.input.vectors.sizes
        self.critic = Critic(sum(sizes), policy.config.history, config.critic_width)
        generator = torch.Generator().manual_seed(config.seed)
        for parameter in self.critic.parameters():
            if parameter.ndim == 2:
                gain = 1.0 if len(parameter) == 1 else math.sqrt(2)
                nn.init.orthogonal_(parameter, gain, generator=generator)
            else:
                nn.init.zeros_(parameter)
        self.flat = FlatParameters(nn.ModuleList([policy, self.critic]))
        self.optimiser = AdamW(self.flat.values, self.flat.gradients, 0, 0.0)
        # steps of the worlds, rounds, optimiser steps
        self.counts = torch.zeros(3, dtype=torch.int64)
        if resume is not None:
            self._restore(resume)

    def reports(self) -> Iterator[Progress]:
        config = self.config
        self.policy.eval()
        while int(self.counts[0]) < config.steps:
            began = time.perf_counter()
            played = self.practice.round()
            step = int(self.counts[0])
            rate = config.learning_rate * (1 - min(1.0, step / config.steps))
            judged = self.reward.judge(played, self._likelihoods)
            facts = self._improve(played, judged, rate)
            self.counts += torch.tensor([played.ticks, 1, 0])
            judgements = [one for one in played.successes if one is not None]
            yield Progress(
                step=int(self.counts[0]),
                episodes=self.practice.episodes,
                mean_return=float(played.returns.mean()),
                mean_length=float(played.lengths.mean()),
                success=float(np.mean(judgements)) if judgements else None,
                facts={**judged.facts, **facts},
                learning_rate=rate,
                steps_per_s=played.ticks / (time.perf_counter() - began),
                state=self._state(),
            )

    @torch.no_grad()
    def _likelihoods(self, played: Played) -> Tensor:
        observations = {key: value[played.rows] for key, value in played.batch.observations.items()}
        distribution = self.stochastic.distribution(observations)
        return self.likelihood.log_likelihood(distribution, played.batch.actions[played.rows])

    def _improve(self, played: Played, judged: Judged, rate: float) -> dict[str, float]:
        """Go through a round's steps; returns means over the steps of the optimiser."""
        config, rows = self.config, played.rows
        observations = {key: value[rows] for key, value in played.batch.observations.items()}
        windows = vectors_of(played.batch.observations, self.policy)  # (R, K, D)
        actions, before = played.batch.actions[rows], self._likelihoods(played)
        if int(self.counts[1]) == 0:  # the critic has seen nothing yet
            self.critic.sight.update(windows[:, -1])
        gains, targets = self._gains(played, judged, windows)
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + int(self.counts[1]))
        learns = int(self.counts[1]) >= config.critic_rounds
        sums, done = torch.zeros(4), 0
        for _ in range(config.epochs):
            order = torch.randperm(len(rows), generator=generator)
            for index in order.split(config.batch_size):
                if len(index) < 2:
                    continue
                seen = {key: value[index] for key, value in observations.items()}
                self.flat.gradients.zero_()
                distribution = self.stochastic.distribution(seen)
                now = self.likelihood.log_likelihood(distribution, actions[index])
                surrogate, moved = clipped(now, before[index], gains[index], config.clip)
                entropy = self.likelihood.entropy(distribution).mean()
                error = (self.critic(windows[rows[index]]) - targets[index]).square().mean()
                policy_loss = surrogate - config.entropy * entropy if learns else 0.0 * surrogate
                (policy_loss + 0.5 * error).backward()
                self._step(rate)
                sums += torch.stack([surrogate, error, entropy, moved]).detach()
                done += 1
            if learns and float(sums[3]) / max(1, done) > config.divergence:
                break
        self.critic.sight.update(windows[:, -1])
        if self.adapts:
            sight = self.critic.sight
            self.stochastic.input.vectors.adapt(sight.mean.float(), sight.deviation)
        names = ("surrogate", "value_error", "entropy", "divergence")
        return dict(zip(names, (sums / max(1, done)).tolist(), strict=True))

    def _step(self, rate: float) -> None:
        norm = float(torch.linalg.vector_norm(self.flat.gradients))
        if not math.isfinite(norm):
            raise DivergedError(
                f"after {int(self.counts[0])} steps the gradient is {norm}: try a smaller "
                f"--learning-rate than {self.config.learning_rate}; the last checkpoint stands"
            )
        if norm > self.config.gradient_clip:
            self.flat.gradients.mul_(self.config.gradient_clip / norm)
        self.optimiser.update(int(self.counts[2]), rate)
        self.counts[2] += 1

    @torch.no_grad()
    def _gains(self, played: Played, judged: Judged, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and what the critic should say, (ticks,) each, in deviations of the returns."""
        earned = gains_of(played, judged, np.zeros(len(windows)), self.config.discount, 1.0)
        self.critic.scale.update(torch.from_numpy(earned)[:, None])
        unit = float(self.critic.scale.deviation)
        scaled = Judged(judged.rewards / unit, judged.after / unit)
        values = self.critic(windows).double()  # (R,)
        gains = torch.from_numpy(
            gains_of(played, scaled, values.numpy(), self.config.discount, self.config.trace)
        )
        return gains.float(), (gains + values[played.rows]).float()

    def _state(self) -> TrainingState:
        tensors = {
            "weights": self.flat.values,
            "first_moment": self.optimiser.first,
            "second_moment": self.optimiser.second,
            "counts": self.counts,
            "position": self.practice.position,
            **{f"critic.{key}": value for key, value in self.critic.named_buffers()},
            **{f"reward.{key}": value for key, value in self.reward.tensors().items()},
        }
        return TrainingState(int(self.counts[0]), 0, tensors)

    def _restore(self, state: TrainingState) -> None:
        for name, live in self._state().tensors.items():
            live.copy_(state.tensors[name])


def clipped(now: Tensor, before: Tensor, gains: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """The clipped surrogate, to be minimised, of log likelihoods and advantages (B,), and how far it has moved.

    Advantages are normalised within the batch. The distance is Schulman's estimate r - 1 - log r.
    """
    normal = (gains - gains.mean()) / (gains.std() + 1e-8)
    difference = now - before
    ratio = difference.exp()
    bounded = torch.minimum(ratio * normal, ratio.clamp(1 - clip, 1 + clip) * normal)
    return -bounded.mean(), (ratio - 1 - difference).mean()
