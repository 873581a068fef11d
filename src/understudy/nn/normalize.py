"""Normalisers that live in a policy's weights; one that was never fitted raises."""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor, nn

Mode = Literal["mean_std", "min_max"]

RANGE_FLOOR = 1e-7  # below it a range counts as none
SHARE_FLOOR = 1e-3  # of the greatest magnitude: finer differences are not magnified further


@final
class Normalizer(nn.Module):
    """Maps a signal (..., D) to zero mean and unit deviation, or to [-1, 1], and back.

    `mean_std` as in robomimic and ACT; `min_max` as in Diffusion Policy (Chi et al. 2023), whose
    samples are clipped to that box. A constant dimension is shifted to 0, never scaled up, and comes
    back as the constant: its scale is 0. A joint that hardly moved is not magnified without end
    either, so that a little drift is not taken for a long way: ACT has a floor of 0.01 under the
    deviation, in whatever unit; here it is a thousandth of the greatest magnitude. The buffers begin as NaN, so that forgetting `fit` cannot
    pass for an answer.
    """

    offset: Tensor  # (D,)
    scale: Tensor  # (D,)

    def __init__(self, size: int, mode: Mode) -> None:
        super().__init__()
        self.mode: Mode = mode
        self.register_buffer("offset", torch.full((size,), torch.nan))
        self.register_buffer("scale", torch.full((size,), torch.nan))
        self._is_fitted = False

    @torch.no_grad()
    def fit(self, mean: Tensor, std: Tensor, least: Tensor, most: Tensor) -> None:
        """Set offset and scale from a signal's exact statistics, each (D,)."""
        magnitude = torch.maximum(least.abs(), most.abs())
        if self.mode == "mean_std":
            offset, scale, floor = mean, std, 1e-6 * magnitude
        else:
            offset, scale = (least + most) / 2, (most - least) / 2
            floor = torch.full_like(scale, RANGE_FLOOR)
        constant = scale <= floor
        least_scale = torch.maximum(scale, SHARE_FLOOR * magnitude)
        self.offset.copy_(offset)
        self.scale.copy_(torch.where(constant, torch.zeros_like(scale), least_scale))

    @property
    def span(self) -> tuple[Tensor, Tensor]:
        """Middle and half width of what becomes -1..1, (D,) each; 0 wide is the middle alone."""
        return self.offset, self.scale

    def forward(self, values: Tensor) -> Tensor:
        """Normalise (..., D)."""
        self._require_fitted()
        return (values - self.offset) / (self.scale + (self.scale == 0))

    def inverse(self, values: Tensor) -> Tensor:
        """Return (..., D) to the signal's own unit."""
        self._require_fitted()
        return values * self.scale + self.offset

    def _require_fitted(self) -> None:
        if not self._is_fitted:
            if not bool(torch.isfinite(self.scale).all() and torch.isfinite(self.offset).all()):
                raise RuntimeError(
                    "the normaliser was never fitted: call policy.prepare(windows) before training, "
                    "or load a checkpoint"
                )
            self._is_fitted = True
