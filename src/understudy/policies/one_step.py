"""One step: a student that gives in one call what a flow or diffusion policy gives in several.

The teacher's path from noise to actions is deterministic (Euler, DDIM, DPM-Solver++), so each noise
belongs to one chunk, and the student learns that map by regression: the distillation of rectified
flow (Liu et al. 2022, arXiv 2209.03003, section 2.2; Luhman & Luhman 2021, arXiv 2101.02388), with
the pairs made while it learns, on the demonstrations' observations. A student with the teacher's
network begins with its weights. In published comparisons one-step students keep the score of their
teacher (Wang et al. 2024, OneDP, arXiv 2410.21257, by another loss).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from understudy.data.windows import Batch, Windows
from understudy.nn.vision import VisionConfig
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.checkpoint import load_checkpoint
from understudy.policies.denoiser import DenoiserConfig, presets_with
from understudy.policies.heads import ActionCode
from understudy.policies.observe import Observations
from understudy.spec import Spec


@final
@dataclass(frozen=True, kw_only=True)
class OneStepConfig(PolicyConfig):
    """One call in the place of many: learns from a flow or diffusion policy, for fast control."""

    presets: ClassVar[Mapping[str, Preset]] = presets_with({})

    history: int = 2
    horizon: int = 16
    execute: int = 8
    teacher: str = ""
    """The policy to learn from: a run or a checkpoint of flow or diffusion; needed in training."""
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    vision: VisionConfig = field(default_factory=VisionConfig)

    def build(self, spec: Spec) -> Policy:
        """Build the student for these signals."""
        return OneStep(self, spec)


@final
class OneStep(Policy):
    """A map from noise to chunks of actions."""

    config: OneStepConfig

    def __init__(self, config: OneStepConfig, spec: Spec) -> None:
        action = ActionCode(spec.action, "min_max")
        super().__init__(config, spec, noise_shape=(config.horizon, action.size), clips=True)
        self.config = config
        self.input = Observations(spec, config, config.vision, mode="min_max")
        self.action = action
        self.network = config.denoiser.build(
            action.size, config.horizon, config.history * self.input.size
        )
        self._teacher: list[Policy] = []  # not a module of ours: a checkpoint holds no teacher

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers, and begin with the teacher's weights where they fit."""
        self.input.prepare(windows)
        self.action.prepare(windows)
        own, given = self.state_dict(), self._taught_by(torch.device("cpu")).state_dict()
        if all(key in given and given[key].shape == own[key].shape for key in own):
            self.load_state_dict({key: given[key] for key in own})

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared distance of normalised actions from the teacher's, for the same noise."""
        seen = self.input(batch.observations).flatten(1)
        noise = torch.randn(len(batch), *self.noise_shape, device=seen.device)
        with torch.no_grad():
            teacher = self._taught_by(seen.device)
            chunks = teacher.predict(batch.observations, noise.view(-1, *teacher.noise_shape))
        wanted = self.action.encode(Batch({}, chunks, torch.ones_like(batch.valid)))
        return {"total": (self._generated(noise, seen) - wanted).square().mean()}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return the chunk (B, H, A) that belongs to the noise (B, H, D)."""
        seen = self.input(observations).flatten(1)
        return self.action.decode(self._generated(noise, seen).clamp(-1, 1))

    def _generated(self, noise: Tensor, seen: Tensor) -> Tensor:
        """Normalised actions (B, H, D): one whole Euler step of a flow."""
        time = torch.zeros(len(noise), device=noise.device)
        return noise + self.network(noise, time, seen).float()

    def _taught_by(self, device: torch.device) -> Policy:
        """The teacher, read at the first question; raises ValueError for one that cannot teach."""
        if not self._teacher:
            if not self.config.teacher:
                raise ValueError(
                    "one_step learns from another policy: --teacher RUN, a run of flow or diffusion"
                )
            teacher = load_checkpoint(Path(self.config.teacher)).policy
            self._require(teacher)
            self._teacher.append(teacher.requires_grad_(False))
        return self._teacher[0].to(device)  # prepare asks before the student is moved

    def _require(self, teacher: Policy) -> None:
        teacher.spec.require(self.spec)
        mine, theirs = self.config, teacher.config
        wrong = [
            f"{name}: has {getattr(theirs, name)}, the student {getattr(mine, name)}"
            for name in ("history", "horizon", "tasks")
            if getattr(theirs, name) != getattr(mine, name)
        ]
        drawn, wanted = (
            torch.Size(teacher.noise_shape).numel(),
            torch.Size(self.noise_shape).numel(),
        )
        if drawn != wanted:
            wrong.append(
                f"noise: takes {drawn} numbers, one chunk has {wanted}; a teacher is a flow, or a "
                "diffusion with ddim or dpm, whose answer follows from its first noise alone"
            )
        if wrong:
            raise ValueError(
                f"{self.config.teacher} cannot teach this student:\n  " + "\n  ".join(wrong)
            )
