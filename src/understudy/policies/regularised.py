"""Cloning regularised by a diffusion model: -log pi(a|s) + weight * L(X, pi(s)).

A small denoiser of the shown actions (Ho et al. 2020, arXiv 2006.11239) learns beside the policy. Its
answer pi(s) is noised to X and denoised; L is the squared way to what comes back, which is held fixed:
the gradient of score distillation (Poole et al. 2022, arXiv 2209.14988), towards the nearest actions
that were shown. Near relatives train on the denoiser's loss itself (Chen et al. 2023, arXiv 2302.13335).

What it can do: where the same was shown in two ways, likelihood alone answers with their average, which
is neither; a heavy L makes that answer unstable and it settles on one way, the same for neighbours.
What it cannot do: remove what all demonstrations have in common, noise that is spread evenly about the
right answer (likelihood averages that already), or tell a good way from a bad one. The denoiser has to
know what is seen: one of actions alone pulls towards actions of other situations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, distributions, nn

from understudy.data.windows import Batch, Windows
from understudy.nn.embed import waves
from understudy.nn.forward_kinematics import ForwardKinematics
from understudy.nn.noise import Diffusion
from understudy.nn.perceptron import perceptron
from understudy.nn.vision import VisionConfig
from understudy.physics.arms import ARMS, ArmName
from understudy.policies.base import Policy, PolicyConfig, Preset
from understudy.policies.heads import ActionCode, Last, masked_mean, positive
from understudy.policies.observe import Observations
from understudy.spec import Spec

# Of 50 levels those at which two ways of a unit apart are still two; the denoiser knows no others, as
# nothing is ever drawn from it.
LEVELS, USED = 50, 10
TIME_FEATURES = 16
FAR_M = 0.1  # a tool's error that counts as 1 in the loss


@final
@dataclass(frozen=True, kw_only=True)
class RegularisedConfig(PolicyConfig):
    """Gaussian cloning, pulled towards shown actions by a diffusion model of them."""

    presets: ClassVar[Mapping[str, Preset]] = MappingProxyType(
        {"small": Preset(), "paper": Preset(learn={"steps": 10_000})}
    )

    width: int = 128
    """Units of each hidden layer."""
    depth: int = 3
    """Hidden layers."""
    prior_weight: float = 1000.0
    """Of the way to the denoised answer, beside a log-likelihood per number; 0: no denoiser at all."""
    prior_width: int = 128
    """Units of each of the denoiser's three hidden layers."""
    least_deviation: float = 1e-2
    """Floor under the standard deviations, in halves of the action's range."""
    arm: Literal["none", ArmName] = "none"
    """An arm whose joint angles are commanded: where they put its flange is learnt as well."""
    position_weight: float = 100.0
    """With an arm: of the squared distance of its flange from where the shown angles put it, in 0.1 m."""
    vision: VisionConfig = field(default_factory=VisionConfig)

    def __post_init__(self) -> None:
        PolicyConfig.__post_init__(self)
        if min(self.width, self.depth, self.prior_width) < 1:
            raise ValueError(f"width, depth and prior_width must be at least 1, got {self}")
        if not (self.prior_weight >= 0 and self.position_weight >= 0):
            raise ValueError(f"weights must not be negative, got {self}")
        if not self.least_deviation > 0:
            raise ValueError(f"least_deviation must be positive, got {self.least_deviation}")

    def build(self, spec: Spec) -> Policy:
        """Build the networks; raises ValueError where the actions are not the arm's joint angles."""
        if self.arm != "none":
            count = len(ARMS[self.arm].joints)
            if spec.action.choices is not None or spec.action.size != count:
                raise ValueError(
                    f"arm {self.arm!r} is commanded by {count} angles, the action is {spec.action}"
                )
        return Regularised(self, spec)


@final
class Regularised(Policy):
    """A Gaussian over H actions from K observations; its mean is played."""

    config: RegularisedConfig

    def __init__(self, config: RegularisedConfig, spec: Spec) -> None:
        super().__init__(config, spec)
        self.config = config
        self.input = Observations(spec, config, config.vision)
        self.action = ActionCode(spec.action, "min_max")
        self.shape = (config.horizon, self.action.size)
        seen, numbers = config.history * self.input.size, config.horizon * self.action.size
        self.network = perceptron([seen, *[config.width] * config.depth], 0.0)
        self.means = Last(config.width, numbers)
        self.deviations = Last(config.width, numbers)
        self.denoiser = (
            _Denoiser(self.shape, seen, config.prior_width) if config.prior_weight else None
        )
        self.noising = Diffusion(LEVELS, "sample")
        self.arm = None
        if config.arm != "none":
            chain = ARMS[config.arm].flange_chain
            self.arm = ForwardKinematics(chain.offsets_m, chain.turns)

    def prepare(self, windows: Windows) -> None:
        """Fit the normalisers of observations and actions."""
        self.input.prepare(windows)
        self.action.prepare(windows)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Negative log likelihood per number, and what else is asked for, over the valid steps.

        Reported are "likelihood"; "denoising", the denoiser's own loss on what was shown; "prior", L;
        "position" in squares of 0.1 m.
        """
        seen = self.input(batch.observations).flatten(1)
        shown = self.action.encode(batch)
        normal = self._answer(seen)
        likelihood = masked_mean(normal.log_prob(shown).mean(-1), batch.valid)
        total, losses = -likelihood, {"likelihood": likelihood}
        if self.denoiser is not None:
            known = seen.detach()
            back = self._denoised(self.denoiser, shown, known)
            losses["denoising"] = _apart(back, shown, batch.valid)
            with torch.no_grad():
                back = self._denoised(self.denoiser, normal.mean, known)
            losses["prior"] = _apart(normal.mean, back, batch.valid)
            total = total + losses["denoising"] + self.config.prior_weight * losses["prior"]
        if self.arm is not None:
            there, wanted = (self.arm(self.action.decode(a)) for a in (normal.mean, shown))
            errors = ((there - wanted) / FAR_M).square().sum(-1)  # (B, H)
            losses["position"] = masked_mean(errors, batch.valid)
            total = total + self.config.position_weight * losses["position"]
        return {"total": total, **losses}

    def predict(self, observations: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """Return the means (B, H, A), or the likeliest choices."""
        return self.action.decode(self._answer(self.input(observations).flatten(1)).mean)

    def _answer(self, seen: Tensor) -> distributions.Normal:
        """Gaussians over coded actions (B, H, D)."""
        features = self.network(seen)
        means = self.means(features).view(-1, *self.shape)
        deviations = positive(self.deviations(features)).view(-1, *self.shape)
        least = self.config.least_deviation
        return distributions.Normal(means, deviations + least, validate_args=False)

    def _denoised(self, denoiser: nn.Module, clean: Tensor, known: Tensor) -> Tensor:
        """What the denoiser makes of coded actions (B, H, D) at random levels of noise."""
        level = torch.randint(USED, (len(clean),), device=clean.device)
        noisy = self.noising.add(clean, torch.randn_like(clean), level)
        return denoiser(noisy, self.noising.time(level), known).float()


@final
class _Denoiser(nn.Module):
    """From noisy actions (B, H, D), times (B,) and what is known (B, G) to clean actions (B, H, D)."""

    def __init__(self, shape: tuple[int, int], known: int, width: int) -> None:
        super().__init__()
        self.shape = shape
        numbers = shape[0] * shape[1]
        self.network = perceptron([numbers + TIME_FEATURES + known, width, width, width], 0.0)
        self.last = Last(width, numbers)

    def forward(self, noisy: Tensor, time: Tensor, known: Tensor) -> Tensor:
        parts = [noisy.flatten(1), waves(100 * time, TIME_FEATURES), known]
        return self.last(self.network(torch.cat(parts, -1))).view(-1, *self.shape)


def _apart(one: Tensor, other: Tensor, valid: Tensor) -> Tensor:
    """Mean square of the difference (B, H, D) over the valid steps."""
    return masked_mean((one - other).square().mean(-1), valid)
