"""From camera frames to features: ResNet-18 with group normalisation, or a small strided network.

ResNet-18 (He et al. 2015, arXiv 1512.03385) with group in the place of batch normalisation, which an
average of weights would break, and a spatial softmax (Levine et al. 2015, arXiv 1504.00702), as in
Diffusion Policy (Chi et al. 2023) and robomimic. Frames stay uint8 until they are here; a random
crop in training becomes the centre in use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

# Of ImageNet's pixels in 0..1: what published weights were trained with.
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_DEVIATION = (0.229, 0.224, 0.225)
Norm = Callable[[int], nn.Module]
GROUP_CHANNELS = 16  # of a group of the normalisation, as in Diffusion Policy


@final
@dataclass(frozen=True, kw_only=True)
class VisionConfig:
    """How camera frames are read; each camera has an encoder of its own."""

    encoder: Literal["small", "resnet18"] = "small"
    """small: four convolutions, for processors; resnet18: 11 million weights, for a GPU."""
    features: int = 64
    """Numbers that a frame becomes."""
    keypoints: int = 32
    """Places that the spatial softmax looks for."""
    crop: float = 0
    """What is seen, anywhere in training, the centre in use: a square of so many pixels, or below 1
    that share of each side; 0: all of it."""
    pretrained: str = ""
    """A safetensors file with the encoder's weights under torchvision's names; none: random."""

    def __post_init__(self) -> None:
        for name, least in (("features", 1), ("keypoints", 1), ("crop", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")


@final
class ImageEncoder(nn.Module):
    """One camera: frames (B, K, Y, X, 3) uint8 to features (B, K, features)."""

    def __init__(self, config: VisionConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.frames = FrameReader(config, shape)
        self.places = SpatialSoftmax(self.frames.channels, config.keypoints)
        self.last = nn.Linear(2 * config.keypoints, config.features)

    def prepare(self) -> None:
        """Begin with the pretrained weights, if there are any."""
        self.frames.prepare()

    def forward(self, frames: Tensor) -> Tensor:
        """Return (B, K, features)."""
        features = functional.relu(self.last(self.places(self.frames(frames))))
        return features.unflatten(0, frames.shape[:2])  # (B, K, features)


@final
class FrameReader(nn.Module):
    """Frames (B, K, Y, X, 3) uint8, cropped and standardised, to feature maps (B * K, C, y, x)."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: VisionConfig, shape: tuple[int, ...]) -> None:
        super().__init__()
        if len(shape) != 3 or shape[2] != 3:
            raise ValueError(f"frames must be (Y, X, 3), got {shape}")
        self.config, self.size = config, crop_size(config.crop, shape)
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).mul_(255), persistent=False)
        self.register_buffer("deviation", torch.tensor(PIXEL_DEVIATION).mul_(255), persistent=False)
        self.network = _small() if config.encoder == "small" else Resnet18()
        self.channels = 128 if config.encoder == "small" else 512

    def prepare(self) -> None:
        """Load the pretrained weights, if there are any; raises ValueError where they do not fit."""
        if self.config.pretrained:
            load_pretrained(self.network, Path(self.config.pretrained))

    def forward(self, frames: Tensor) -> Tensor:
        """Return (B * K, C, y, x)."""
        if self.config.crop:
            frames = crop(frames, self.size, self.training)
        pixels = (frames.flatten(0, 1).float() - self.mean) / self.deviation
        return self.network(pixels.permute(0, 3, 1, 2))  # channels last in memory


@final
class SpatialSoftmax(nn.Module):
    """Where in the frame each of P features is: feature maps (N, C, y, x) to (N, 2 P) in -1..1."""

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.maps = nn.Conv2d(channels, keypoints, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the mean column and row of each softmax over pixels."""
        maps = self.maps(features).float()  # (N, P, y, x)
        weight = maps.flatten(2).softmax(-1).view(maps.shape)
        row, column = (torch.linspace(-1, 1, n, device=maps.device) for n in maps.shape[2:])
        return torch.cat([weight.sum(2) @ column, weight.sum(3) @ row], 1)  # (N, 2 P)


def crop_size(crop: float, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return (Y, X) of what is seen of frames of a shape; raises ValueError where it does not fit."""
    rows, columns = shape[:2]
    if crop == 0:
        return rows, columns
    if crop < 1:
        return max(1, round(crop * rows)), max(1, round(crop * columns))
    if crop != int(crop) or crop > min(rows, columns):
        raise ValueError(
            f"crop {crop:g}: frames are {shape[:2]}; expected a share below 1, or whole pixels that "
            "are not more than the shorter side"
        )
    return int(crop), int(crop)


def crop(frames: Tensor, size: tuple[int, int], is_random: bool) -> Tensor:
    """Cut (B, K, Y, X, 3) to (B, K, *size, 3): the centre, or one random place for each row."""
    (rows, columns), (height, width) = frames.shape[2:4], size
    if not is_random:
        top, left = round((rows - height) / 2), round((columns - width) / 2)
        return frames[:, :, top : top + height, left : left + width]
    count, device = len(frames), frames.device
    top = torch.randint(rows - height + 1, (count, 1), device=device)
    left = torch.randint(columns - width + 1, (count, 1), device=device)
    row = (top + torch.arange(height, device=device))[:, None, :, None]  # (B, 1, height, 1)
    column = (left + torch.arange(width, device=device))[:, None, None, :]  # (B, 1, 1, width)
    batch = torch.arange(count, device=device)[:, None, None, None]
    history = torch.arange(frames.shape[1], device=device)[None, :, None, None]
    return frames[batch, history, row, column]


def load_pretrained(network: nn.Module, file: Path) -> None:
    """Load convolutions and scales by torchvision's names; statistics and classifiers are left out.

    Raises ValueError that names the file and what is missing or of another shape.
    """
    try:
        given = load_file(file)
    except FileNotFoundError:
        raise ValueError(f"{file}: there is no such file of weights") from None
    except OSError as error:  # a folder, or not allowed
        raise ValueError(f"{file} cannot be read: {error}") from None
    except SafetensorError as error:
        raise ValueError(f"{file} is no safetensors file: {error}") from None
    weights = network.state_dict()
    wrong = [
        f"{key}: " + (f"shape {tuple(given[key].shape)}" if key in given else "missing")
        for key, value in weights.items()
        if key not in given or given[key].shape != value.shape
    ]
    if wrong:
        raise ValueError(
            f"{file} does not hold this encoder's weights; expected "
            f"{len(weights)} of torchvision's names:\n  " + "\n  ".join(wrong[:8])
        )
    network.load_state_dict({key: given[key] for key in weights})


def _small() -> nn.Module:
    """An eighth of the side and 128 channels, in four convolutions: 0.13 million weights."""
    layers: list[nn.Module] = []
    for inputs, outputs, kernel in ((3, 32, 5), (32, 64, 3), (64, 64, 3), (64, 128, 3)):
        stride = 1 if outputs == 128 else 2
        layers += [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.GroupNorm(outputs // GROUP_CHANNELS, outputs),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers)


def group_norm(channels: int) -> nn.Module:
    """The normalisation of our own encoders."""
    return nn.GroupNorm(channels // GROUP_CHANNELS, channels)


@final
class FrozenNorm(nn.Module):
    """Batch normalisation whose statistics, scale and bias are those of a file: (N, C, y, x)."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, values: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * scale
        return torch.addcmul(shift[:, None, None], values, scale[:, None, None])


@final
class _Residual(nn.Module):
    """Two convolutions and a way around them; attributes carry torchvision's names."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = norm(outputs)
        self.downsample = None
        if stride > 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), norm(outputs)
            )

    def forward(self, values: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(values)))
        around = values if self.downsample is None else self.downsample(values)
        return functional.relu(self.bn2(self.conv2(hidden)) + around)


@final
class Resnet18(nn.Module):
    """The trunk: (N, 3, Y, X) to a thirty-second of the side and 512 channels."""

    def __init__(self, norm: Norm = group_norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = norm(64)
        self.layer1 = nn.Sequential(_Residual(64, 64, 1, norm), _Residual(64, 64, 1, norm))
        self.layer2 = nn.Sequential(_Residual(64, 128, 2, norm), _Residual(128, 128, 1, norm))
        self.layer3 = nn.Sequential(_Residual(128, 256, 2, norm), _Residual(256, 256, 1, norm))
        self.layer4 = nn.Sequential(_Residual(256, 512, 2, norm), _Residual(512, 512, 1, norm))

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(pixels)))
        hidden = functional.max_pool2d(hidden, 3, 2, 1)
        return self.layer4(self.layer3(self.layer2(self.layer1(hidden))))
