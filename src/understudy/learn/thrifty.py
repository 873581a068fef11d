"""ThriftyDAgger: call the expert for what is new or risky, as often as is wanted.

Hoque et al. 2021 (arXiv 2109.08273). Novelty is the spread of policies trained alike, risk the
learnt probability that the episode does not succeed after the learner's action. The thresholds are
quantiles over ticks that the learner plays alone, and the expert, once called, stays until it
agrees with the learner and the risk is below its median. What differs from the paper: the
thresholds are set before each round, in episodes of their own, and not moved during it, so that an
episode does not depend on those before it; and risk is learnt from how episodes ended, with the
help that there was, in the place of a Q-function of the learner alone, so it is too hopeful where
help came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from understudy.actor import Decision, Gate
from understudy.data.in_memory import InMemory
from understudy.data.store import Dataset
from understudy.data.windows import TASK, Windows
from understudy.episode import Episode
from understudy.learn.gates import Members, Scale
from understudy.nn.perceptron import perceptron
from understudy.policies.base import Policy
from understudy.policies.checkpoint import load_checkpoint
from understudy.spec import Spec

STEPS, BATCH, RATE, WIDTH = 1000, 256, 1e-3, 64
MOST = 2000  # ticks that thresholds are taken over


@final
class Risk(nn.Module):
    """Probability that an episode fails, from the vectors that are seen and the action."""

    mean: Tensor  # (D,)
    deviation: Tensor  # (D,)

    def __init__(self, spec: Spec) -> None:
        if not spec.vectors:
            raise ValueError("risk is learnt from vectors, and the world shows none")
        super().__init__()
        self.keys, self.action = spec.vectors, spec.action
        seen = sum(spec.observations[key].size for key in spec.vectors)
        size = seen + spec.action.size * (spec.action.choices or 1)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))
        self.network = perceptron([size, WIDTH, WIDTH], 0.0)
        self.last = nn.Linear(WIDTH, 1)

    def rows(self, observations: Mapping[str, NDArray[Any]], actions: NDArray[Any]) -> Tensor:
        """Observations {key: (n, *shape)} and actions (n, A) as rows (n, D)."""
        count = len(actions)
        parts = [np.asarray(observations[key], np.float32).reshape(count, -1) for key in self.keys]
        if self.action.choices:
            parts.append(np.eye(self.action.choices, dtype=np.float32)[actions].reshape(count, -1))
        else:
            parts.append(np.asarray(actions, np.float32).reshape(count, -1))
        return torch.from_numpy(np.concatenate(parts, 1))

    def forward(self, rows: Tensor) -> Tensor:
        """Return the logits (n,) of failure."""
        return self.last(self.network((rows - self.mean) / self.deviation)).squeeze(-1)

    @torch.inference_mode()
    def of(
        self, observations: Mapping[str, NDArray[Any]], actions: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return the probabilities of failure (n,)."""
        return self(self.rows(observations, actions)).sigmoid().double().numpy()


def fit_risk(dataset: Dataset, episodes: Sequence[int], spec: Spec, seed: int) -> Risk:
    """Learn from the judged ones of these episodes how they end; raises ValueError if none is judged."""
    judged = [e for e in (dataset[i] for i in episodes) if e.success is not None]
    if not judged:
        raise ValueError("risk is learnt from episodes that the world judged, and it judged none")
    torch.manual_seed(seed)
    risk = Risk(spec)
    rows = torch.cat(
        [
            risk.rows({k: np.asarray(e.observations[k]) for k in risk.keys}, e.actions)
            for e in judged
        ]
    )
    failed = torch.cat([torch.full((len(e),), float(not e.success)) for e in judged])
    risk.mean.copy_(rows.mean(0))
    risk.deviation.copy_(rows.std(0, correction=0).clamp_min(1e-6))
    optimiser = torch.optim.Adam(risk.parameters(), RATE)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        drawn = torch.randint(len(rows), (BATCH,), generator=generator)
        loss = functional.binary_cross_entropy_with_logits(risk(rows[drawn]), failed[drawn])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return risk.eval()


@final
@dataclass(frozen=True, kw_only=True)
class ThriftyGate:
    """The expert acts from a new or risky tick on, until it agrees with the learner and risk is low."""

    members: tuple[Path, ...]
    risk: Path  # what `save_risk` wrote
    novel_above: float
    risky_above: float
    agreed_below: float
    safe_below: float
    width: int = 16

    def build(self, spec: Spec) -> Gate:
        """Load the policies and the risk; raises ValueError for an action without limits."""
        members = Members(self.members, self.width, spec)
        return _Thrifty(self, Scale(spec.action), members, load_risk(self.risk, spec))


def save_risk(risk: Risk, file: Path) -> Path:
    """Write the weights for `load_risk`."""
    save_file(risk.state_dict(), file)
    return file


def load_risk(file: Path, spec: Spec) -> Risk:
    """Read what `save_risk` wrote."""
    risk = Risk(spec)
    risk.load_state_dict(load_file(file))
    return risk.eval()


def calibrated(
    members: tuple[Path, ...],
    risk: Path,
    episodes: Sequence[Episode],
    spec: Spec,
    rate: float,
    width: int = 16,
) -> ThriftyGate:
    """Set the thresholds so that a share `rate` of the learner's ticks is new or risky.

    `episodes` are the learner's own, with the expert's labels. Both criteria get the quantile at
    which together they mark that share.
    """
    scale = Scale(spec.action)
    rows = InMemory(spec, episodes)
    ticks = np.unique(np.linspace(0, rows.lengths.sum() - 1, MOST).astype(np.int64))
    proposals = np.stack(
        [_proposed(load_checkpoint(folder).policy, rows, ticks) for folder in members]
    )  # (M, n, A)
    seen = {key: rows.column(key)[ticks] for key in spec.vectors}
    novelty = scale.spread(proposals)
    danger = load_risk(risk, spec).of(seen, proposals[0])
    apart = scale.apart(rows.column("label")[ticks], proposals[0])
    level = _level(novelty, danger, rate)
    return ThriftyGate(
        members=members,
        risk=risk,
        novel_above=float(np.quantile(novelty, level)),
        risky_above=float(np.quantile(danger, level)),
        agreed_below=float(apart.mean()),
        safe_below=float(np.median(danger)),
        width=width,
    )


def _level(one: NDArray[np.float64], other: NDArray[np.float64], rate: float) -> float:
    """The quantile above which one or the other lies at a share `rate` of the ticks."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        marked = (one > np.quantile(one, middle)) | (other > np.quantile(other, middle))
        low, high = (middle, high) if marked.mean() > rate else (low, middle)
    return high


@torch.inference_mode()
def _proposed(policy: Policy, episodes: InMemory, ticks: NDArray[np.int64]) -> NDArray[Any]:
    """The first action of the chunk that a policy predicts at each tick, (n, A)."""
    windows = Windows(
        episodes,
        history=policy.config.history,
        horizon=1,
        spec=policy.spec,
        frames=episodes,
    )
    found = []
    for part in np.array_split(ticks, -(-len(ticks) // 64)):
        seen = dict(windows.gather(part).observations)
        task = policy.config.tasks.index(episodes.spec.task) if policy.config.tasks else 0
        seen[TASK] = torch.full((len(part),), task)
        draws = [np.random.default_rng(int(t)).standard_normal(policy.noise_shape) for t in part]
        noise = torch.from_numpy(np.stack(draws).astype(np.float32))
        found.append(policy.predict(seen, noise)[:, 0].numpy())
    return np.concatenate(found).reshape(len(ticks), *episodes.spec.action.shape)


@final
class _Thrifty:
    def __init__(self, config: ThriftyGate, scale: Scale, members: Members, risk: Risk) -> None:
        self._config, self._scale, self._members, self._risk = config, scale, members, risk
        self._called: NDArray[np.bool_] | None = None

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        self._members.reset(slots, seeds)
        if self._called is None:
            self._called = np.zeros(len(slots), np.bool_)
        self._called[slots] = False

    def expert_acts(
        self,
        observations: Mapping[str, NDArray[Any]],
        info: Mapping[str, NDArray[Any]],
        expert: Decision,
        learner: Decision,
    ) -> NDArray[np.bool_]:
        assert self._called is not None, "reset comes before the first tick"
        config = self._config
        novelty = self._scale.spread(self._members.propose(observations, info))
        risk = self._risk.of(observations, learner.command)
        apart = self._scale.apart(expert.command, learner.command)
        call = (novelty > config.novel_above) | (risk > config.risky_above)
        stay = (apart > config.agreed_below) | (risk > config.safe_below)
        self._called = np.where(self._called, stay, call)
        return self._called.copy()
