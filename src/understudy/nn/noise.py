"""From noise to samples: a diffusion's schedule, its training targets, and ways back in few steps.

Schedule: squared cosine (Nichol & Dhariwal 2021, arXiv 2102.09672), each beta at most 0.999.
Targets: the noise (Ho et al. 2020, arXiv 2006.11239), the clean sample, or the velocity (Salimans &
Ho 2022, arXiv 2202.00512). Ways back: DDPM (Ho et al.), DDIM (Song et al. 2020, arXiv 2010.02502)
and DPM-Solver++ of second order, multistep (Lu et al. 2022, arXiv 2211.01095). Rectified flow: Liu
et al. 2022 (arXiv 2209.03003). Clean estimates are clipped to [-1, 1], the box that actions are
normalised to (Chi et al. 2023). How far diffusers 0.42.1 agrees: docs/policies/diffusion.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul
from typing import Literal, final

import torch
from torch import Tensor, nn

Target = Literal["noise", "sample", "velocity"]
Sampler = Literal["ddpm", "ddim", "dpm"]
Network = Callable[[Tensor, Tensor], Tensor]
"""What a sampler asks: noisy samples (B, H, D) and their times (B,) in 0..1, for the target (B, H, D)."""

BETA_MOST = 0.999


@final
class Diffusion(nn.Module):
    """A schedule of `levels` noise levels and the quantity that a network is trained to give.

    Level 0 is the least noisy one; a network is told level / levels.
    """

    kept: Tensor  # (levels,) share of the variance that is signal, alpha bar

    def __init__(self, levels: int, target: Target) -> None:
        super().__init__()
        if levels < 1:
            raise ValueError(f"levels must be at least 1, got {levels}")
        self.levels, self.target = levels, target
        self.register_buffer("kept", _squared_cosine(levels), persistent=False)

    def add(self, clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return samples (B, H, D) at these levels (B,)."""
        kept = self._at(level)
        return kept.sqrt() * clean + (1 - kept).sqrt() * noise

    def wanted(self, clean: Tensor, noise: Tensor, level: Tensor) -> Tensor:
        """Return what the network should answer, (B, H, D)."""
        if self.target == "noise":
            return noise
        if self.target == "sample":
            return clean
        kept = self._at(level)
        return kept.sqrt() * noise - (1 - kept).sqrt() * clean

    def clean(self, noisy: Tensor, answer: Tensor, level: Tensor) -> Tensor:
        """Return the clean samples that an answer stands for, clipped to [-1, 1]."""
        kept = self._at(level)
        if self.target == "noise":
            estimate = (noisy - (1 - kept).sqrt() * answer) / kept.sqrt()
        elif self.target == "sample":
            estimate = answer
        else:
            estimate = kept.sqrt() * noisy - (1 - kept).sqrt() * answer
        return estimate.clamp(-1, 1)

    def time(self, level: Tensor) -> Tensor:
        """Return levels as a network is told them."""
        return level / self.levels

    def sample(
        self,
        network: Network,
        noise: Tensor,
        sampler: Sampler,
        steps: int,
        levels: Sequence[int] = (),
    ) -> Tensor:
        """Return samples (B, H, D) by `steps` calls of the network, at `levels` if they are given.

        `noise` (B, S, H, D) has S = `draws(sampler, steps)`: the beginning, and what DDPM adds later.
        """
        if not 1 <= steps <= self.levels:
            raise ValueError(f"steps {steps} outside 1..{self.levels}, the schedule's levels")
        levels = list(levels) or _spaced(self.levels, steps)
        way: dict[str, Callable[[Network, Tensor, list[int]], Tensor]] = {
            "ddpm": self._ddpm,
            "ddim": self._ddim,
            "dpm": self._dpm,
        }
        return way[sampler](network, noise, levels)

    def _estimate(self, network: Network, noisy: Tensor, level: int) -> Tensor:
        levels = torch.full((len(noisy),), level, device=noisy.device)
        return self.clean(noisy, network(noisy, self.time(levels)), levels)

    def _ddpm(self, network: Network, noise: Tensor, levels: list[int]) -> Tensor:
        """Draw from the posterior of the next level, equation 7 of Ho et al."""
        noisy = noise[:, 0]
        for step, (level, following) in enumerate(_pairs(levels)):
            clean = self._estimate(network, noisy, level)
            now, after = self._share(level), self._share(following)
            ratio = now / after  # alpha of this step
            mean = (
                math.sqrt(after) * (1 - ratio) * clean + math.sqrt(ratio) * (1 - after) * noisy
            ) / (1 - now)
            variance = (1 - after) / (1 - now) * (1 - ratio)
            noisy = mean if following < 0 else mean + math.sqrt(variance) * noise[:, step + 1]
        return noisy

    def _ddim(self, network: Network, noise: Tensor, levels: list[int]) -> Tensor:
        """Go back along the deterministic path, equation 12 of Song et al. with eta = 0."""
        noisy = noise[:, 0]
        for level, following in _pairs(levels):
            clean = self._estimate(network, noisy, level)
            now, after = self._share(level), self._share(following)
            added = (noisy - math.sqrt(now) * clean) / math.sqrt(1 - now)
            noisy = math.sqrt(after) * clean + math.sqrt(1 - after) * added
        return noisy

    def _dpm(self, network: Network, noise: Tensor, levels: list[int]) -> Tensor:
        """DPM-Solver++(2M), algorithm 2 of Lu et al. 2022; first order at the first and last step."""
        noisy, before, width_before = noise[:, 0], None, 0.0
        for level, following in _pairs(levels):
            clean = self._estimate(network, noisy, level)
            if following < 0:
                return clean
            now, after = self._share(level), self._share(following)
            width = _half_log_ratio(after) - _half_log_ratio(now)
            direction = clean
            if before is not None:
                direction = clean + width / (2 * width_before) * (clean - before)
            shrink = math.sqrt((1 - after) / (1 - now))
            noisy = shrink * noisy - math.sqrt(after) * math.expm1(-width) * direction
            before, width_before = clean, width
        return noisy

    def _at(self, level: Tensor) -> Tensor:
        return self.kept[level][:, None, None]

    def _share(self, level: int) -> float:
        return float(self.kept[level]) if level >= 0 else 1.0


def draws(sampler: Sampler, steps: int) -> int:
    """Return how many standard normal samples one generation takes."""
    return steps if sampler == "ddpm" else 1


def euler(network: Network, noise: Tensor, steps: int) -> Tensor:
    """Follow a rectified flow's velocity from noise (time 0) to a sample (time 1), (B, H, D)."""
    values = noise
    for step in range(steps):
        time = torch.full((len(noise),), step / steps, device=noise.device)
        values = values + network(values, time) / steps
    return values


def _squared_cosine(levels: int) -> Tensor:
    def signal(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [
        min(1 - signal((i + 1) / levels) / signal(i / levels), BETA_MOST) for i in range(levels)
    ]
    return torch.tensor([*accumulate((1 - beta for beta in betas), mul)])


def _spaced(levels: int, steps: int) -> list[int]:
    """Levels from the noisiest one down, evenly; the last step leaps from the last of them to 0.

    Diffusers' "trailing", which loses least at few steps (Lin et al. 2023, arXiv 2305.08891).
    """
    return [round(levels * (steps - i) / steps) - 1 for i in range(steps)]


def _pairs(levels: list[int]) -> list[tuple[int, int]]:
    """Each level with the one that follows it; -1 stands for no noise at all."""
    return list(zip(levels, [*levels[1:], -1], strict=True))


def _half_log_ratio(kept: float) -> float:
    """Half the logarithm of signal over noise, lambda of Lu et al."""
    return 0.5 * math.log(kept / (1 - kept))
