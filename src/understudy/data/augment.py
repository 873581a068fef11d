"""Changes to a batch that its actions survive: colours, small shifts, noise on vectors.

What moves the picture and not the actions (turns, translations) is there too, off unless asked for:
it teaches that the same command is right for a scene that has moved. Everything is drawn from
torch's global generator, on the batch's device; a batch is never changed in place. All frames of a
window change alike, each camera by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from understudy.data.windows import Batch, Windows

# Weights of red, green and blue in brightness (ITU-R BT.601), and the axes of hue (YIQ).
LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


@final
@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far samples are changed in training; 0 switches a change off."""

    brightness: float = 0.0
    """Frames: multiplied by 1 - this to 1 + this; 0.2 is usual, for the next two as well."""
    contrast: float = 0.0
    """Frames: distance from their mean grey, likewise."""
    saturation: float = 0.0
    """Frames: distance of each pixel from its own grey, likewise."""
    hue: float = 0.0
    """Frames: turned by up to this share of the colour circle; 0.1 is usual."""
    shift: int = 0
    """Frames: moved by up to so many pixels, edges repeated; 4 is usual for frames of 84 to 96."""
    rotation_degrees: float = 0.0
    """Frames: turned by up to so much; moves the picture and not the actions."""
    translation: float = 0.0
    """Frames: moved by up to this share of their size; moves the picture and not the actions."""
    vector_noise: float = 0.0
    """Vectors: normal noise, in deviations of each number; 0.01 is usual."""

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1, got {getattr(self, name)}")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"hue must lie in 0..0.5, got {self.hue}")
        for name in ("shift", "rotation_degrees", "translation", "vector_noise"):
            if not (getattr(self, name) >= 0 and math.isfinite(getattr(self, name))):
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")

    @classmethod
    def usual(cls) -> AugmentConfig:
        """Return the values that are called usual above, without those that move the picture."""
        return cls(
            brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1, shift=4, vector_noise=0.01
        )


@final
class Augment:
    """Draws a changed copy of each batch."""

    def __init__(self, config: AugmentConfig, windows: Windows) -> None:
        self.config = config
        self._deviation = {
            key: torch.from_numpy(windows.statistics(key).std).float()
            for key in windows.spec.vectors
        }
        self._cameras = windows.spec.cameras

    def __call__(self, batch: Batch) -> Batch:
        """Return the batch with changed observations; frames stay uint8."""
        config, seen = self.config, dict(batch.observations)
        if config.vector_noise:
            for key, deviation in self._deviation.items():
                values = seen[key]
                spread = config.vector_noise * deviation.view(values.shape[2:]).to(values.device)
                seen[key] = values + spread * torch.randn_like(values)
        for key in self._cameras:
            seen[key] = self._frames(seen[key])
        return Batch(seen, batch.actions, batch.valid)

    def _frames(self, frames: Tensor) -> Tensor:
        """(B, K, Y, X, 3) uint8 to the same."""
        config = self.config
        if config.shift:
            frames = shifted(frames, config.shift)
        if config.rotation_degrees or config.translation:
            frames = moved(frames, config.rotation_degrees, config.translation)
        if config.brightness or config.contrast or config.saturation or config.hue:
            frames = recoloured(frames, config)
        return frames


def shifted(frames: Tensor, most: int) -> Tensor:
    """Move each row's frames by up to `most` pixels; edges repeat (Kostrikov et al. 2020, DrQ)."""
    count, history, rows, columns = frames.shape[:4]
    down, right = torch.randint(-most, most + 1, (2, count, 1), device=frames.device)
    row = (torch.arange(rows, device=frames.device) + down).clamp(0, rows - 1)  # (B, Y)
    column = (torch.arange(columns, device=frames.device) + right).clamp(0, columns - 1)  # (B, X)
    batch = torch.arange(count, device=frames.device)[:, None, None, None]
    tick = torch.arange(history, device=frames.device)[None, :, None, None]
    return frames[batch, tick, row[:, None, :, None], column[:, None, None, :]]


def moved(frames: Tensor, degrees: float, share: float) -> Tensor:
    """Turn each row's frames by up to `degrees` about the centre and move them by up to `share`."""
    count, history, rows, columns = frames.shape[:4]
    angle = math.radians(degrees) * _between(count, frames)  # (B,)
    down, right = 2 * share * _between(count, frames), 2 * share * _between(count, frames)
    cosine, sine, ratio = angle.cos(), angle.sin(), rows / columns
    where = torch.stack(
        [
            torch.stack([cosine, -sine * ratio, right], 1),
            torch.stack([sine / ratio, cosine, down], 1),
        ],
        1,
    )  # (B, 2, 3)
    where = where.repeat_interleave(history, 0)
    image = frames.flatten(0, 1).permute(0, 3, 1, 2).float()  # (B * K, 3, Y, X)
    grid = functional.affine_grid(where, list(image.shape), align_corners=False)
    turned = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
    return _pixels(turned.permute(0, 2, 3, 1)).view(frames.shape)


def recoloured(frames: Tensor, config: AugmentConfig) -> Tensor:
    """Change hue, saturation, contrast and brightness of each row's frames, in this order."""
    count, device = len(frames), frames.device
    luma, yiq = torch.tensor(LUMA, device=device), torch.tensor(YIQ, device=device)
    angle = 2 * math.pi * config.hue * _between(count, frames)
    turn = torch.eye(3, device=device).repeat(count, 1, 1)
    turn[:, 1, 1], turn[:, 1, 2] = angle.cos(), -angle.sin()
    turn[:, 2, 1], turn[:, 2, 2] = angle.sin(), angle.cos()
    hue = torch.linalg.inv(yiq) @ turn @ yiq  # (B, 3, 3)
    grey = luma.expand(3, 3)
    saturation, contrast, brightness = (
        (1 + most * _between(count, frames))[:, None, None]
        for most in (config.saturation, config.contrast, config.brightness)
    )
    colours = torch.lerp(grey, torch.eye(3, device=device), saturation) @ hue  # (B, 3, 3)
    pixels = frames.flatten(1, 3).float()  # (B, n, 3)
    mean = pixels.mean(1, keepdim=True) @ colours.mT @ luma  # (B, 1)
    pixels = pixels @ (brightness * contrast * colours).mT
    return _pixels(pixels + (brightness * (1 - contrast)) * mean[..., None]).view(frames.shape)


def _between(count: int, like: Tensor) -> Tensor:
    """Uniform numbers in -1..1, (count,)."""
    return 2 * torch.rand(count, device=like.device) - 1


def _pixels(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255).to(torch.uint8)
