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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from understudy.learn.adamw import AdamW
from understudy.learn.flat import FlatParameters
from understudy.learn.played import Played
from understudy.learn.practice import Practice
from understudy.learn.supervised import DivergedError, TrainingState
from understudy.nn.perceptron import perceptron
from understudy.nn.running import RunningMoments
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.heads import Mixture
from understudy.policies.stochastic import Likelihood, require_stochastic
from understudy.spec import Spec
from understudy.tasks.base import TaskConfig


@final
@dataclass(frozen=True, kw_only=True)
class PpoConfig:
    """How a policy learns by trying."""

    steps: int = 100_000
    """Steps of the worlds, in all."""
    steps_per_round: int = 2048
    """Steps that are played before the policy is improved on them; episodes are not cut."""
    worlds: int = 16
    """Worlds side by side."""
    epochs: int = 10
    """How often a round's steps are gone through, at most."""
    batch_size: int = 256
    """Steps that one step of the optimiser looks at."""
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
        for name in ("steps", "steps_per_round", "worlds", "epochs", "batch_size", "critic_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
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
class Judged:
    """What a round was worth."""

    rewards: Tensor  # (ticks,)
    after: Tensor  # (E,) value of all that follows an episode that was terminated
    facts: Mapping[str, float] = field(default_factory=dict)  # for the report


class Reward(Protocol):
    """What judges a round."""

    def judge(self, played: Played, likelihood: Callable[[Played], Tensor]) -> Judged:
        """Return the rewards; `likelihood` gives log likelihoods (ticks,) under the policy."""
        ...

    def tensors(self) -> Mapping[str, Tensor]:
        """All that it has learnt, live."""
        ...


@final
class OwnReward:
    """The worlds' own rewards; what is terminated earns nothing more."""

    def judge(self, played: Played, likelihood: Callable[[Played], Tensor]) -> Judged:
        """Return what the worlds gave."""
        return Judged(played.rewards[played.rows], torch.zeros(len(played.lengths)))

    def tensors(self) -> Mapping[str, Tensor]:
        """Nothing is learnt."""
        return {}


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


def advantages(
    rewards: NDArray[np.float64],
    values: NDArray[np.float64],
    last: float,
    discount: float,
    trace: float,
) -> NDArray[np.float64]:
    """Generalised advantages (T,) of one episode (Schulman et al. 2016, arXiv 1506.02438).

    `values` (T,) are the critic's, `last` is what lies beyond the last tick: its value of the final
    observation where time ran out, what termination is worth where the world ended it.
    """
    ahead = np.append(values[1:], last)
    surprises = rewards + discount * ahead - values
    return discounted(surprises, discount * trace)


def gains_of(
    played: Played,
    judged: Judged,
    values: NDArray[np.float64],
    discount: float,
    trace: float,
) -> NDArray[np.float64]:
    """Generalised advantages (ticks,) of a round, from the critic's values at every row (R,)."""
    rewards = np.split(judged.rewards.double().numpy(), np.cumsum(played.lengths)[:-1])
    after = judged.after.double().numpy()
    found, first = [], 0
    for episode, given in enumerate(rewards):
        stop = first + len(given)
        last = after[episode] if played.terminated[episode] else values[stop]
        found.append(advantages(given, values[first:stop], float(last), discount, trace))
        first = stop + 1
    return np.concatenate(found)


def discounted(values: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """Return at each tick (T,) the sum of all from there on, each tick later worth `keep` as much."""
    sums = accumulate(reversed(values.tolist()), lambda later, value: value + keep * later)
    return np.array([*sums])[::-1]


def improve(
    policy: Policy,
    task: TaskConfig,
    config: PpoConfig,
    reward: Reward,
    *,
    adapts: bool = True,
    resume: TrainingState | None = None,
) -> Iterator[Progress]:
    """Improve `policy`, prepared already, in place; yields a report after each round.

    With `adapts` its normalisers of vectors follow what is seen; without, they stay as they are.
    A run that goes on from a report's state, in the weights that it had, ends with the same bits.
    Raises ValueError for a policy without a distribution, and DivergedError.
    """
    require_stochastic(policy)
    if policy.config.tasks:
        raise ValueError(
            f"one task is tried at a time, the policy tells apart {policy.config.tasks}"
        )
    with Practice(policy, task, config.worlds, config.steps_per_round, config.seed) as practice:
        yield from _Improvement(policy, practice, config, reward, adapts, resume).reports()


def fresh(config: PolicyConfig, spec: Spec, seed: int) -> Policy:
    """Return a policy to begin with where nobody has shown anything: `improve` fits its normalisers.

    Until then observations are taken as they are; actions lie around the middle of their limits.
    Raises ValueError for a policy without a distribution, or an action without limits.
    """
    torch.manual_seed(seed)
    policy = config.build(spec)
    vectors = require_stochastic(policy).input.vectors
    vectors.adapt(torch.zeros(sum(vectors.sizes)), torch.ones(sum(vectors.sizes)))
    if isinstance(policy.head, Mixture):
        limits = torch.tensor([spec.action.low, spec.action.high])
        if not limits.numel() or not bool(limits.isfinite().all()):
            raise ValueError(f"to try at random, actions need limits, got {spec.action}")
        middle, half = limits.mean(0), (limits[1] - limits[0]) / 2
        policy.head.normalizer.fit(middle, half, limits[0], limits[1])
    orthogonal(policy, torch.Generator().manual_seed(seed))
    return policy.eval()


def orthogonal(policy: Policy, generator: torch.Generator) -> None:
    """Give a fresh policy first weights of equal gain, and a head that has no preference yet."""
    for name, parameter in policy.named_parameters():
        if parameter.ndim >= 2:
            gain = 0.01 if name.startswith("head.") else math.sqrt(2)
            nn.init.orthogonal_(parameter, gain, generator=generator)
        elif not name.startswith("input."):
            nn.init.zeros_(parameter)


@final
class Critic(nn.Module):
    """What a state is worth, in deviations of the returns; it sees all vectors of the window."""

    def __init__(self, size: int, history: int, width: int) -> None:
        super().__init__()
        self.sight = RunningMoments(size)
        self.scale = RunningMoments(1, memory=20_000)  # of returns, which change as it gets better
        self.network = nn.Sequential(
            *perceptron([history * size, width, width], 0.0), nn.Linear(width, 1)
        )

    def forward(self, vectors: Tensor) -> Tensor:
        """Return (B,) of windows (B, K, D)."""
        return self.network(self.sight(vectors).flatten(1))[:, 0]


def vectors_of(observations: Mapping[str, Tensor], policy: Policy) -> Tensor:
    """All vectors that the policy sees, side by side, (B, K, D)."""
    parts = [observations[key].flatten(2).float() for key in policy.spec.vectors]
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1)


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
            if learns and float(sums[3]) / done > config.divergence:
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
