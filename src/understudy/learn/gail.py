"""GAIL and AIRL: learn by trying what an expert cannot be told from, with our own PPO.

Generative adversarial imitation learning (Ho & Ermon 2016, arXiv 1606.03476) and its variant with a
reward of the state alone (Fu, Luo & Levine 2018, arXiv 1710.11248). Episodes may end when they like: what
is terminated goes on in an absorbing state, whose worth is learnt like that of any other, and what ran
out of time is worth what the critic expects (Kostrikov et al. 2019, arXiv 1809.02925). Differences from
the papers: PPO for TRPO, a gradient penalty (Gulrajani et al. 2017, arXiv 1704.00028; Orsini et al. 2021,
arXiv 2106.00672), inputs that are standardised, and cloning to begin with if asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from understudy.data.store import Dataset
from understudy.fleet import Fleet
from understudy.learn.adamw import AdamW
from understudy.learn.clone import windows_of
from understudy.learn.critic import vectors_of
from understudy.learn.discriminator import (
    Coder,
    Regulariser,
    Shaped,
    StateAction,
    Transitions,
    scale_of,
)
from understudy.learn.flat import FlatParameters
from understudy.learn.fresh import at_random, orthogonal
from understudy.learn.memory import Memory
from understudy.learn.played import Played, played
from understudy.learn.ppo import PpoConfig, Progress, improve
from understudy.learn.reward import Judged
from understudy.learn.supervised import LearnConfig, TrainingState, averaged_weights, learn
from understudy.learn.taught import mixed_in
from understudy.nn.running import RunningMoments
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.stochastic import require_stochastic
from understudy.spec import STATE, Spec
from understudy.tasks.base import TaskConfig

PENALISED = (
    128  # points of each batch at which the gradient is looked at, which costs most of a step
)


@final
@dataclass(frozen=True, kw_only=True)
class GailConfig:
    """What tells expert and policy apart, and what it pays."""

    method: Literal["gail", "airl"] = "gail"
    """gail: of state and action; airl: a reward of the state, shaped, against the policy's likelihood."""
    reward: Literal["positive", "both", "negative"] = "both"
    """positive: -log(1-D), pays to stay; negative: log D, pays to end; both: their sum."""
    regulariser: Regulariser = "gradient_penalty"
    """What keeps the discriminator smooth."""
    penalty: float = 10.0
    """Weight of the gradient penalty."""
    updates: int = 8
    """Steps of the discriminator in a round."""
    pairs: int = 512
    """Ticks of the expert, and as many of the policy, in each."""
    discriminator_rate: float = 1e-3
    """Its learning rate."""
    discriminator_width: int = 64
    """Units of each of its two hidden layers."""
    memory: int = 0
    """Ticks of earlier rounds that stand for the policy beside the last one's; 0: none."""
    clone_steps: int = 0
    """Steps of cloning to begin with; 0: from nothing."""

    def __post_init__(self) -> None:
        for name in ("updates", "pairs", "discriminator_width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("penalty", "memory", "clone_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.discriminator_rate > 0:
            raise ValueError(f"discriminator_rate must be positive, got {self.discriminator_rate}")
        if self.method == "airl" and self.reward != "both":
            raise ValueError("airl's reward is log D - log(1-D), no other: leave reward at both")


def demonstrations_in(dataset: Dataset) -> NDArray[np.int64]:
    """Numbers of the selected episodes that are the expert's alone: a mixture's states are a learner's as well.

    Raises ValueError where there is none.
    """
    chosen = dataset.selected
    found = chosen[~mixed_in(dataset)[chosen]]
    if not len(found):
        raise ValueError(
            f"{dataset.folder} holds no demonstrations: {len(chosen)} of its {len(dataset)} episodes are "
            "selected, all of mixtures, in whose states the expert would not be: understudy train learns "
            "what it said there"
        )
    return found


def seen_in(spec: Spec) -> Spec:
    """What GAIL sees: all but the pictures. Raises ValueError where nothing is left."""
    if not spec.vectors:
        raise ValueError(
            f"GAIL leaves pictures out and needs vectors, such as {STATE}; the demonstrations show "
            f"only {', '.join(spec.cameras)}: cloning and DAgger learn from pictures"
        )
    return spec.only(spec.vectors)


def begun(config: PolicyConfig, dataset: Dataset, gail: GailConfig, seed: int) -> Policy:
    """Return the policy that GAIL begins with: cloned from the demonstrations, or fresh.

    Raises ValueError for a policy without a distribution, and where there are no demonstrations or
    only pictures.
    """
    windows = windows_of(
        config,
        dataset,
        inputs=tuple(seen_in(dataset.spec).observations),
        episodes=demonstrations_in(dataset),
        seed=seed,
    )
    torch.manual_seed(seed)
    policy = config.build(windows.spec)
    require_stochastic(policy)
    policy.prepare(windows)
    if not gail.clone_steps:
        at_random(policy)
        orthogonal(policy, torch.Generator().manual_seed(seed))
        return policy.eval()
    *_, last = learn(policy, windows, LearnConfig(steps=gail.clone_steps, seed=seed))
    policy.load_state_dict(averaged_weights(policy, last.state))
    return policy.eval()


def gail(
    policy: Policy,
    dataset: Dataset,
    task: TaskConfig,
    config: GailConfig,
    practice: PpoConfig,
    *,
    fleet: Fleet | None = None,
    adapts: bool = True,
    resume: TrainingState | None = None,
) -> Iterator[Progress]:
    """Improve `policy`, see `begun`, until the expert of `dataset` cannot be told from it.

    A policy that was cloned keeps its normalisers: `adapts` is False for it. Fleet and reports are
    PPO's, see `improve`, with the discriminator's accuracy and reward among the facts. Episodes of
    mixtures are left out, see `demonstrations_in`.
    """
    expert = [dataset[int(i)] for i in demonstrations_in(dataset)]
    shown = played(expert, policy.spec, policy.config.history)
    adversary = Adversary(policy, shown, config, practice)
    yield from improve(policy, task, practice, adversary, fleet=fleet, adapts=adapts, resume=resume)


@final
class Adversary:
    """Learns to tell a round from the demonstrations, and pays for being taken for the expert."""

    def __init__(
        self, policy: Policy, shown: Played, config: GailConfig, practice: PpoConfig
    ) -> None:
        self._policy, self._shown, self._config = policy, shown, config
        self._discount = practice.discount
        self._vectors = vectors_of(shown.batch.observations, policy)[:, -1]  # (R, D)
        self._size = self._vectors.shape[1]
        self._sight = RunningMoments(self._size)
        self._sight.update(self._vectors)
        signal = policy.spec.action
        scale = scale_of(signal, shown.batch.actions[shown.rows].flatten(1).float())
        self._coder = Coder(signal, self._sight, scale)
        torch.manual_seed(practice.seed)
        state = self._size + 1
        self.network = (
            StateAction(state, self._coder.actions, config.discriminator_width, config.regulariser)
            if config.method == "gail"
            else Shaped(state, practice.discount, config.discriminator_width, config.regulariser)
        )
        self._memory = Memory(config.memory, state, self._coder.actions)
        self._flat = FlatParameters(self.network)
        self._optimiser = AdamW(self._flat.values, self._flat.gradients, 0, 0.0)
        # rounds, the longest episode so far
        self._counts = torch.tensor([0, int(shown.lengths.max())])
        self._seed = practice.seed

    def judge(self, played: Played, likelihood: Callable[[Played], Tensor]) -> Judged:
        """Learn from a round, then say what it was worth."""
        vectors = vectors_of(played.batch.observations, self._policy)[:, -1]
        self._sight.update(vectors)
        self._counts[1] = max(int(self._counts[1]), int(played.lengths.max()))
        made = self._coded(played, vectors, likelihood)
        shown = self._coded(self._shown, self._vectors, likelihood)
        facts = self._learn(shown, made.beside(self._memory.rows))
        self._memory.add(made)
        self._counts[0] += 1
        with torch.no_grad():
            ticks = torch.arange(played.ticks)
            rewards = paid(self.network(made.rows(ticks)), self._config.reward)
            absorbed = paid(self.network(self._coder.absorbed(self._size)), self._config.reward)
        after = absorbed / (1 - self._discount) * torch.from_numpy(played.terminated).float()
        facts |= {"reward": float(rewards.mean()), "absorbed": float(absorbed)}
        return Judged(rewards, after, facts)

    def tensors(self) -> Mapping[str, Tensor]:
        """Weights, moments and counts."""
        return {
            "weights": self._flat.values,
            "first_moment": self._optimiser.first,
            "second_moment": self._optimiser.second,
            "counts": self._counts,
            **{f"memory.{key}": value for key, value in self._memory.tensors().items()},
            **{f"sight.{key}": value for key, value in self._sight.named_buffers()},
            **{f"network.{key}": value for key, value in self.network.named_buffers()},
        }

    def _coded(
        self, played: Played, vectors: Tensor, likelihood: Callable[[Played], Tensor]
    ) -> Transitions:
        is_airl = self._config.method == "airl"
        known = likelihood(played) if is_airl else torch.zeros(played.ticks)
        return self._coder.code(played, vectors, known, int(self._counts[1]))

    def _learn(self, shown: Transitions, made: Transitions) -> dict[str, float]:
        """Take the round's steps; returns means over them."""
        config, rounds = self._config, int(self._counts[0])
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + rounds)
        sums = torch.zeros(2)
        drawn = [
            torch.multinomial(
                rows.weights, config.updates * config.pairs, True, generator=generator
            ).split(config.pairs)
            for rows in (shown, made)
        ]
        for update in range(config.updates):
            experts, own = shown.rows(drawn[0][update]), made.rows(drawn[1][update])
            right, wrong = self.network(experts), self.network(own)
            loss = functional.softplus(-right).mean() + functional.softplus(wrong).mean()
            if config.regulariser == "gradient_penalty":
                some = torch.arange(min(config.pairs, PENALISED))
                share = torch.rand(len(some), 1, generator=generator)
                between = experts.rows(some).mixed(own.rows(some), share)
                loss = loss + config.penalty * steepness(self.network, between)
            self._flat.gradients.zero_()
            loss.backward()
            self._optimiser.update(rounds * config.updates + update, config.discriminator_rate)
            accuracy = ((right > 0).float().mean() + (wrong < 0).float().mean()) / 2
            sums += torch.stack([accuracy, loss]).detach()
        accuracy, loss = (sums / config.updates).tolist()
        return {"accuracy": accuracy, "discriminator": loss}


def paid(logits: Tensor, reward: Literal["positive", "both", "negative"]) -> Tensor:
    """What a logit of D = P(the expert did it) pays: -log(1-D), log D, or their sum log D - log(1-D)."""
    if reward == "positive":
        return functional.softplus(logits)
    return -functional.softplus(-logits) if reward == "negative" else logits


def steepness(network: nn.Module, rows: Transitions) -> Tensor:
    """Mean squared distance of the gradient's norm from 1, at these rows."""
    states, actions, following = inputs = [
        part.detach().requires_grad_() for part in (rows.states, rows.actions, rows.following)
    ]
    logits = network(Transitions(states, actions, following, rows.likelihoods, rows.weights))
    found = torch.autograd.grad(logits.sum(), inputs, create_graph=True, allow_unused=True)
    parts = [gradient for gradient in found if gradient is not None]
    return (torch.cat(parts, 1).norm(dim=1) - 1).square().mean()
