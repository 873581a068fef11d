"""Who did it, the expert or the policy: networks that tell two sets of transitions apart.

GAIL (Ho & Ermon 2016, arXiv 1606.03476) looks at state and action. AIRL (Fu, Luo & Levine 2018, arXiv
1710.11248) has a reward of the state alone, shaped by a potential, and compares with the policy's own
likelihood. Episodes that are terminated go on in an absorbing state (Kostrikov et al. 2019, arXiv
1809.02925): all numbers 0 and a flag of 1, which makes ending as good or bad as the expert finds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from understudy.learn.played import Played
from understudy.nn.running import RunningMoments
from understudy.spec import Signal

Regulariser = Literal["gradient_penalty", "spectral_norm", "none"]


@final
@dataclass(frozen=True)
class Transitions:
    """What is told apart: M rows; those of absorbing states stand for as many ticks as `weights` says."""

    states: Tensor  # (M, D + 1) standardised, then 1 where absorbed
    actions: Tensor  # (M, A') limits at -1 and 1, or one number a choice
    following: Tensor  # (M, D + 1)
    likelihoods: Tensor  # (M,) log likelihood under the policy; 0 where absorbed
    weights: Tensor  # (M,)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """All five, in their order."""
        return self.states, self.actions, self.following, self.likelihoods, self.weights

    def beside(self, other: Transitions) -> Transitions:
        """Return these rows, then the other's."""
        pairs = zip(self.parts, other.parts, strict=True)
        return Transitions(*(torch.cat(pair) for pair in pairs))

    def rows(self, index: Tensor) -> Transitions:
        """Return some rows, each as one tick."""
        return Transitions(
            self.states[index],
            self.actions[index],
            self.following[index],
            self.likelihoods[index],
            torch.ones(len(index)),
        )

    def mixed(self, other: Transitions, share: Tensor) -> Transitions:
        """Return points between two sets of rows, `share` (M, 1) of the way to the other."""
        return Transitions(
            torch.lerp(self.states, other.states, share),
            torch.lerp(self.actions, other.actions, share),
            torch.lerp(self.following, other.following, share),
            torch.lerp(self.likelihoods, other.likelihoods, share[:, 0]),
            self.weights,
        )


class Discriminator(Protocol):
    """Gives the logit of "the expert did it"."""

    def __call__(self, rows: Transitions) -> Tensor:
        """Return logits (M,)."""
        ...


@final
class StateAction(nn.Module):
    """GAIL's: any function of state and action."""

    def __init__(self, state: int, action: int, width: int, regulariser: Regulariser) -> None:
        super().__init__()
        self.network = layers(state + action, width, regulariser)

    def forward(self, rows: Transitions) -> Tensor:
        """Return logits (M,)."""
        return self.network(torch.cat([rows.states, rows.actions], 1))[:, 0]


@final
class Shaped(nn.Module):
    """AIRL's: g(s) + discount h(s') - h(s), minus the policy's log likelihood of the action."""

    def __init__(self, state: int, discount: float, width: int, regulariser: Regulariser) -> None:
        super().__init__()
        self.discount = discount
        self.reward = layers(state, width, regulariser)
        self.potential = layers(state, width, regulariser)

    def forward(self, rows: Transitions) -> Tensor:
        """Return logits (M,)."""
        shaping = self.discount * self.potential(rows.following) - self.potential(rows.states)
        return (self.reward(rows.states) + shaping)[:, 0] - rows.likelihoods


def layers(inputs: int, width: int, regulariser: Regulariser) -> nn.Sequential:
    """Two hidden layers, of bounded slope if asked for."""
    linear = [nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, 1)]
    if regulariser == "spectral_norm":
        linear = [spectral_norm(layer) for layer in linear]
    return nn.Sequential(linear[0], nn.Tanh(), linear[1], nn.Tanh(), linear[2])


@final
class Coder:
    """Turns rows of episodes into what a discriminator sees."""

    def __init__(self, signal: Signal, sight: RunningMoments, scale: tuple[Tensor, Tensor]) -> None:
        self._choices, self._sight = signal.choices, sight
        self._middle, self._half = scale
        self.actions = signal.size * (signal.choices or 1)

    def code(
        self, played: Played, vectors: Tensor, likelihoods: Tensor, horizon: int
    ) -> Transitions:
        """Return the ticks, then one absorbing row for each episode that was terminated.

        `vectors` (R, D) are what was seen at every row, `likelihoods` (ticks,) those of the actions. An
        absorbing row stands for the ticks that are left of `horizon`.
        """
        rows = played.rows
        flags = torch.zeros(len(vectors), 1)
        states = torch.cat([self._sight(vectors), flags], 1)
        absorbed = torch.zeros(1, states.shape[1])
        absorbed[0, -1] = 1.0
        ended = torch.from_numpy(played.terminated)
        states[played.ends[ended]] = absorbed
        count = int(ended.sum())
        left = (horizon - torch.from_numpy(played.lengths)[ended]).clamp_min(0).float()
        actions = self._coded(played.batch.actions[rows].flatten(1))
        nothing = torch.zeros(count, self.actions)
        absorbing = absorbed.expand(count, -1)
        return Transitions(
            states=torch.cat([states[rows], absorbing]),
            actions=torch.cat([actions, nothing]),
            following=torch.cat([states[rows + 1], absorbing]),
            likelihoods=torch.cat([likelihoods, torch.zeros(count)]),
            weights=torch.cat([torch.ones(len(rows)), left]),
        )

    def absorbed(self, size: int) -> Transitions:
        """The one row of being absorbed, among `size` numbers of a state."""
        state = torch.zeros(1, size + 1)
        state[0, -1] = 1.0
        none = torch.zeros(1)
        return Transitions(state, torch.zeros(1, self.actions), state, none, none + 1)

    def _coded(self, actions: Tensor) -> Tensor:
        if self._choices is not None:
            return nn.functional.one_hot(actions, self._choices).flatten(1).float()
        return ((actions - self._middle) / self._half).clamp(-1, 1)


def scale_of(signal: Signal, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Middle and half width of actions: the signal's limits where it has them, else what was shown (n, A)."""
    low, high = shown.amin(0), shown.amax(0)
    if signal.low and signal.high:
        limits = torch.tensor([signal.low, signal.high])
        low = torch.where(limits[0].isfinite(), limits[0], low)
        high = torch.where(limits[1].isfinite(), limits[1], high)
    half = (high - low) / 2
    return (low + high) / 2, torch.where(half > 0, half, 1.0)
