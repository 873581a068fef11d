"""k nearest neighbours: play what the demonstrator did where it looked most alike.

Nothing is optimised: `prepare` keeps the demonstrations. Pari et al. 2021 (VINN, arXiv 2112.01511)
show how far this goes; Atkeson, Moore & Schaal 1997 is the older source. The features are what the
newest observation shows, the whole window of K, or the observation and the episode's progress
("phase"), which tells apart the two ways through a state that a path crosses twice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from scipy.spatial import KDTree
from torch import Tensor

from understudy.data.windows import TASK, TICK, Batch, Windows
from understudy.nn.normalize import Normalizer
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.crossings import crossings
from understudy.policies.observe import VectorInput, require_tasks
from understudy.spec import Spec

APART = 1e3  # deviations of the state that lie between two tasks: a neighbour is of the same task


@final
@dataclass(frozen=True, kw_only=True)
class KnnConfig(PolicyConfig):
    """Nearest neighbours: no training, a first look at whether the data can carry the task."""

    reads_cameras: ClassVar[bool] = False

    k: int = 3
    """Neighbours that are averaged, or that vote on a discrete action."""
    weights: Literal["uniform", "distance"] = "distance"
    """distance: a neighbour counts by one over its distance."""
    feature: Literal["state", "history", "phase"] = "state"
    """What is compared: the newest observation, all K of them, or the newest and the phase."""
    phase_weight: float = 3.0
    """Deviations of the state that one whole mean episode length counts as, for phase."""

    scale: Literal["each", "together"] = "each"
    """each: numbers are compared in their own deviations; together: those of a signal in the largest of
    them, as is right for joints of one unit, of which some hardly move."""

    emphasis: tuple[str, ...] = ()
    """KEY=FACTOR: differences in an observation count so many times, as in observation.state=3."""

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if self.k < 1 or not self.phase_weight >= 0:
            raise ValueError(f"k must be at least 1, phase_weight not negative, got {self}")

    def build(self, spec: Spec) -> Policy:
        """Build an empty memory for these signals."""
        return Knn(self, spec)


@final
class Knn(Policy):
    """The demonstrations themselves, searched exactly with a k-d tree."""

    config: KnnConfig
    features: Tensor  # (n, F) what is compared
    actions: Tensor  # (n, A)
    last: Tensor  # (n,) int64, the last row of each row's episode
    ticks: Tensor  # () mean episode length

    def __init__(self, config: KnnConfig, spec: Spec) -> None:
        super().__init__(config, spec, growing=("features", "actions", "last"))
        self.config = config
        self.input = VectorInput(spec)
        if not spec.vectors:
            raise ValueError(f"knn reads vectors, there are only cameras: {list(spec.cameras)}")
        seen = config.history if config.feature == "history" else 1
        size = seen * self.input.size + (config.feature == "phase") + len(config.tasks)
        self.emphasis = _factors(config.emphasis, self.input.keys)
        self.choices = spec.action.choices
        dtype = torch.int64 if self.choices else torch.float32
        self.register_buffer("features", torch.empty(0, size))
        self.register_buffer("actions", torch.empty(0, spec.action.size, dtype=dtype))
        self.register_buffer("last", torch.empty(0, dtype=torch.int64))
        self.register_buffer("ticks", torch.tensor(torch.nan))
        self._tree: KDTree | None = None  # over `features`, made at the first question

    def prepare(self, windows: Windows) -> None:
        """Keep every tick of the demonstrations."""
        require_tasks(self.config.tasks, windows)
        self.input.prepare(windows)
        if self.config.scale == "together":
            for encoder in self.input.encoders:
                assert isinstance(encoder, Normalizer)
                encoder.scale.fill_(encoder.scale.max())
        self.ticks.fill_(len(windows) / windows.episode_count)
        parts = list(windows.every())
        with torch.no_grad():
            self.features = torch.cat([self._feature(part.observations) for part in parts])
        self.actions = torch.cat([part.actions[:, 0] for part in parts])
        starts = torch.cat([part.observations[TICK][:, -1] for part in parts]) == 0
        episode = torch.cumsum(starts, 0) - 1  # (n,)
        ends = torch.cat([torch.nonzero(starts)[1:, 0] - 1, torch.tensor([len(starts) - 1])])
        self.last = ends[episode]
        self._tree = None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of the demonstrations cannot be played back from what is compared, in sentences."""
        found = crossings(self.features.numpy(), self.last.numpy()).remarks
        remedy = "remedy: compare more, with --feature phase or history, or an observation that remembers"
        return (*found, remedy) if found else ()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the error of the predicted chunk, for the record: nothing is optimised."""
        predicted = self.predict(batch.observations, torch.zeros(len(batch), 0))
        if self.choices:
            wrong = (predicted != batch.actions).float().mean(-1)  # (B, H)
        else:
            scale = self.actions.std(0).clamp_min(1e-6)
            wrong = ((predicted - batch.actions).abs() / scale).mean(-1)  # (B, H)
        return {"total": (wrong * batch.valid).sum() / batch.valid.sum()}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return the weighted mean, or the majority, of the k nearest rows' next H actions."""
        if not len(self.features):
            raise RuntimeError("the memory is empty: call prepare(windows), or load a checkpoint")
        if self._tree is None:
            self._tree = KDTree(self.features.cpu().numpy())
        k = min(self.config.k, len(self.features))
        query = self._feature(observations).cpu().numpy()
        distance, row = self._tree.query(query, k=k)
        distance, row = distance.reshape(-1, k), row.reshape(-1, k)  # (B, k), for k = 1 too
        rows = torch.from_numpy(row)[..., None] + torch.arange(self.config.horizon)  # (B, k, H)
        rows = torch.minimum(rows, self.last.cpu()[torch.from_numpy(row)][..., None])
        chunks = self.actions.cpu()[rows]  # (B, k, H, A)
        weight = self._weight(torch.from_numpy(distance))[..., None, None]  # (B, k, 1, 1)
        device = self.features.device
        if self.choices:
            votes = torch.nn.functional.one_hot(chunks, self.choices) * weight[..., None]
            return votes.sum(1).argmax(-1).to(device)  # (B, H, A)
        return (chunks * weight).sum(1).float().to(device)  # (B, H, A)

    def _weight(self, distance: Tensor) -> Tensor:
        """Weights (B, k) that sum to one; an exact match takes all, another task's row nothing."""
        same = (
            distance < APART if self.config.tasks else torch.ones_like(distance, dtype=torch.bool)
        )
        if not same.any(1).all():
            raise ValueError("there is no demonstration of this task among those that were kept")
        weight = same.double()
        if self.config.weights == "distance":
            weight = weight / distance.clamp_min(1e-9)
        return weight / weight.sum(1, keepdim=True)

    def _feature(self, observations: Mapping[str, Tensor]) -> Tensor:
        """(B, F) from {key: (B, K, *shape)}."""
        parts = zip(self.emphasis, self.input(observations), strict=True)
        seen = torch.cat([factor * part for factor, part in parts], -1)  # (B, K, D)
        compared = [seen.flatten(1) if self.config.feature == "history" else seen[:, -1]]
        if self.config.feature == "phase":
            phase = self.config.phase_weight * observations[TICK][:, -1:] / self.ticks  # (B, 1)
            compared.append(phase.float())
        if self.config.tasks:
            chosen = torch.nn.functional.one_hot(observations[TASK], len(self.config.tasks))
            compared.append(APART * chosen.float())
        return torch.cat(compared, 1)


def _factors(emphasis: Sequence[str], keys: Sequence[str]) -> list[float]:
    """How much each observation counts; raises ValueError for what is not KEY=FACTOR."""
    factors = dict.fromkeys(keys, 1.0)
    for text in emphasis:
        key, _, factor = text.partition("=")
        if key not in factors:
            raise ValueError(f"emphasis {text!r}: no vector {key!r}; there is: {', '.join(keys)}")
        try:
            factors[key] = float(factor)
        except ValueError:
            raise ValueError(f"emphasis {text!r}: expected KEY=FACTOR") from None
        if not 0 <= factors[key] < math.inf:
            raise ValueError(f"emphasis {text!r}: a factor is at least 0")
    return list(factors.values())
