"""Behaviour cloning: fit a policy to demonstrations by minimising its own loss.

AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101), linear warm-up and cosine decay, clipped
gradients, an exponential average of the weights. Each step is a pure function of (seed, step) and
the state, so that a run resumed from a saved state gives the same weights, bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal, final

import torch
from torch import Tensor

from understudy.data.augment import Augment, AugmentConfig
from understudy.data.windows import Batch, PastEnd, Windows
from understudy.learn.adamw import AdamW
from understudy.learn.ahead import Ahead
from understudy.learn.flat import FlatParameters, unflatten
from understudy.learn.group import ALONE, Group
from understudy.nn.ema import decay_at
from understudy.policies.base import Policy

REPORT_S = 1.0  # a slow step's report comes sooner than `report_every`, so that a bar can move


@final
@dataclass(frozen=True, kw_only=True)
class LearnConfig:
    """How a policy is optimised."""

    steps: int = 5000
    """Optimiser steps."""
    batch_size: int = 256
    """Samples a step, of all processes together."""
    learning_rate: float = 1e-3
    """Peak of the schedule, after warm-up."""
    weight_decay: float = 1e-4
    """AdamW's decay of weight matrices."""
    warmup_steps: int = 100
    """Steps over which the rate rises from 0."""
    gradient_clip: float = 1.0
    """Largest norm of the gradient."""
    ema_decay: float = 0.999
    """Most that the weights' average keeps at a step; 0 switches it off."""
    seed: int = 0
    """Of initial weights, order of samples and dropout."""
    report_every: int = 50
    """Steps between reports."""
    validate_every: int = 1000
    """Steps between looks at the held-out loss."""
    beta1: float = 0.9
    """How much of the gradients' average a step keeps."""
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    """Of products within the network; auto: bfloat16 where processor or GPU compute with it."""
    skips_allowed: int = 10
    """Steps that may be dropped because loss or gradient is not finite, before training stops."""
    past_end: PastEnd = "left_out"
    """Of a chunk, what lies past its episode's end: left_out of the loss, or the last action, held.

    held is right for positions that are commanded, wrong for speeds and steps.
    """
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "report_every", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "gradient_clip"):
            if not (getattr(self, name) > 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("weight_decay", "warmup_steps", "skips_allowed", "seed"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("ema_decay", "beta1"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")

    def rate_at(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, then a cosine down to 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        span = max(1, self.steps - self.warmup_steps)
        return (
            self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup_steps) / span))
        )


def native_precision(device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return bfloat16 where a device computes with it, else float32."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
    return "float32"


class DivergedError(RuntimeError):
    """Loss or gradient was not finite more often than allowed; the last checkpoint stands."""


@final
@dataclass(frozen=True)
class TrainingState:
    """What training goes on from: the tensors are live, copy them to keep them."""

    step: int  # steps done
    skipped: int
    tensors: Mapping[str, Tensor]  # weights, average, first and second moment: (P,) each


@final
@dataclass(frozen=True)
class Progress:
    """A report; `losses` are means over the steps since the last report that was due."""

    step: int  # steps done
    is_due: bool  # False: only the clock asked for it, so that a bar can move; not for the record
    losses: Mapping[str, float]
    held_out: Mapping[str, float] | None
    learning_rate: float
    samples_per_s: float
    waiting: float  # share of the time spent waiting for data, 0..1
    state: TrainingState


def learn(
    policy: Policy,
    windows: Windows,
    config: LearnConfig,
    held_out: Windows | None = None,
    resume: TrainingState | None = None,
    group: Group = ALONE,
) -> Iterator[Progress]:
    """Train `policy`, prepared already, in place; yields reports, the last one after the last step.

    The processes of a `group` each call it, with windows of their rank, and end with the same
    weights. A report that is due is over all of them.
    At the end, and whenever the caller stops iterating, the policy holds the raw weights of the
    step last reported: `averaged_weights` gives those to play with. Raises DivergedError.
    """
    if not any(p.requires_grad for p in policy.parameters()):
        losses = _validate(policy, held_out or windows)
        held = losses if held_out else None
        yield Progress(0, True, losses, held, 0.0, 0.0, 0.0, TrainingState(0, 0, {}))
        return
    yield from _Training(policy, windows, config, held_out, resume, group).reports()


def averaged_weights(policy: Policy, state: TrainingState) -> dict[str, Tensor]:
    """Return the policy's state_dict with the averaged weights in the place of the raw ones."""
    weights = {key: value.clone() for key, value in policy.state_dict().items()}
    return weights | unflatten(policy, state.tensors["average"]) if state.tensors else weights


@final
class _Training:
    """One call of `learn`."""

    def __init__(
        self,
        policy: Policy,
        windows: Windows,
        config: LearnConfig,
        held_out: Windows | None,
        resume: TrainingState | None,
        group: Group,
    ) -> None:
        self.group = group
        self.policy, self.windows, self.config, self.held_out = policy, windows, config, held_out
        self.augment = (
            None if config.augment == AugmentConfig() else Augment(config.augment, windows)
        )
        self.flat = FlatParameters(policy)
        self.average = self.flat.values.clone()
        self.optimiser = AdamW(
            self.flat.values,
            self.flat.gradients,
            self.flat.decayed,
            config.weight_decay,
            betas=(config.beta1, 0.999),
        )
        self.device = self.flat.values.device
        precision = config.precision
        if precision == "auto":
            precision = native_precision(self.device)
        self.is_low = precision == "bfloat16"
        self.step, self.skipped = 0, 0
        if resume is not None:
            self._restore(resume)
        self.sums: dict[str, float] = {}
        self.summed = 0  # steps that `sums` are over: those that were finite

    def reports(self) -> Iterator[Progress]:
        with closing(Ahead(self.windows, self.config.steps)) as ahead:
            yield from self._reports(ahead)

    def _reports(self, ahead: Ahead) -> Iterator[Progress]:
        config = self.config
        began, waited, done = time.perf_counter(), 0.0, 0
        self.policy.train()
        shown = began
        while self.step < config.steps:
            asked = time.perf_counter()
            batch = ahead.take(self.step).to(self.device)
            waited += time.perf_counter() - asked
            self._optimise(batch)
            self.step, done = self.step + 1, done + 1
            last = self.step == config.steps
            validates = last or self.step % config.validate_every == 0
            is_due = validates or self.step % config.report_every == 0
            if is_due or time.perf_counter() - shown > REPORT_S:
                seconds = time.perf_counter() - began
                yield Progress(
                    step=self.step,
                    is_due=is_due,
                    losses=self._losses(everywhere=is_due),
                    held_out=self._held_out() if validates else None,
                    learning_rate=config.rate_at(self.step - 1),
                    samples_per_s=done * config.batch_size / seconds,
                    waiting=waited / seconds,
                    state=self._state(),
                )
                self.policy.train()
                shown = time.perf_counter()
                if is_due:
                    self.sums, self.summed = {}, 0
                    began, waited, done = shown, 0.0, 0

    def _optimise(self, batch: Batch) -> None:
        config, flat = self.config, self.flat
        number = self.step * self.group.size + self.group.rank
        _seed(flat.values.device, _stream(config.seed, number))
        flat.gradients.zero_()
        if self.augment is not None:
            batch = self.augment(batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_low):
            losses = self.policy.loss(batch)
        losses["total"].backward()
        values = {name: float(value.detach()) for name, value in losses.items()}
        if not math.isfinite(values["total"]):
            flat.gradients.fill_(math.nan)  # which every process comes to know
        self.group.average(flat.gradients)
        norm = float(torch.linalg.vector_norm(flat.gradients))
        if not math.isfinite(norm):
            self._skip(values["total"], norm)
            return
        if norm > config.gradient_clip:
            flat.gradients.mul_(config.gradient_clip / norm)
        self.optimiser.update(self.step - self.skipped, config.rate_at(self.step))
        if config.ema_decay:
            keep = decay_at(self.step, most=config.ema_decay)
            self.average.lerp_(flat.values, 1 - keep)
        self.summed += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def _skip(self, loss: float, norm: float) -> None:
        self.skipped += 1
        if self.skipped > self.config.skips_allowed:
            raise DivergedError(
                f"step {self.step}: loss {loss}, gradient norm {norm}; {self.skipped} steps were not "
                f"finite, {self.config.skips_allowed} are allowed. The last checkpoint stands; try a "
                f"smaller --learning-rate than {self.config.learning_rate}, and `understudy data info`"
            )

    def _losses(self, everywhere: bool) -> dict[str, float]:
        """Means over the steps since the last report that was due, here or over all processes."""
        means = [total / self.summed for total in self.sums.values()]
        means = torch.tensor(means, dtype=torch.float64)
        if everywhere:
            self.group.average(means)
        return dict(zip(self.sums, means.tolist(), strict=True))

    def _held_out(self) -> dict[str, float] | None:
        if self.held_out is None:
            return None
        average = self.average if self.config.ema_decay else self.flat.values
        with self.flat.replaced_by(average):
            return _validate(self.policy, self.held_out)

    def _state(self) -> TrainingState:
        tensors = {
            "weights": self.flat.values,
            "average": self.average if self.config.ema_decay else self.flat.values,
            "first_moment": self.optimiser.first,
            "second_moment": self.optimiser.second,
        }
        return TrainingState(self.step, self.skipped, tensors)

    def _restore(self, state: TrainingState) -> None:
        self.step, self.skipped = state.step, state.skipped
        for name, live in self._state().tensors.items():
            live.copy_(state.tensors[name])


@torch.no_grad()
def _validate(policy: Policy, windows: Windows) -> dict[str, float]:
    """Mean losses over all windows, without dropout, with noise that is always the same.

    Every process of a group does all of it: it is little, and the same without a word exchanged.
    """
    policy.eval()
    device = next((p.device for p in policy.parameters()), torch.device("cpu"))
    _seed(device, 0)
    sums: dict[str, float] = {}
    for batch in windows.every():
        for name, value in policy.loss(batch.to(device)).items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(batch)
    return {name: total / len(windows) for name, total in sums.items()}


def _seed(device: torch.device, seed: int) -> None:
    """Seed the generator that dropout and noise draw from, so that it is no state to save.

    Not torch.manual_seed, which seeds every device and takes 120 us (this: 1 us) without a GPU.
    """
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def _stream(seed: int, step: int) -> int:
    """A 63-bit seed for each step, far apart for neighbours (SplitMix64's constants, Steele 2014)."""
    mixed = (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 30)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ (mixed >> 31)) >> 1
