"""Where joints put a tool, as a function that can be differentiated."""

from __future__ import annotations

from typing import final

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn


@final
class ForwardKinematics(nn.Module):
    """Of joints in series, each turning about the z axis of its own frame, J of them.

    `offsets_m` (J + 1, 3) and `turns` (J + 1, 3, 3) say where each frame stands in the one before; the
    last is the tool's.
    """

    offsets_m: Tensor
    turns: Tensor

    def __init__(self, offsets_m: ArrayLike, turns: ArrayLike) -> None:
        super().__init__()
        offsets = torch.tensor(offsets_m, dtype=torch.float32)
        self.register_buffer("offsets_m", offsets, persistent=False)
        self.register_buffer("turns", torch.tensor(turns, dtype=torch.float32), persistent=False)

    def forward(self, joints: Tensor) -> Tensor:
        """Return the tool's positions (*, 3) in metres, of angles (*, J); from the tool to the base."""
        point = self.offsets_m[-1].expand(*joints.shape[:-1], 3)
        cosines, sines = joints.cos(), joints.sin()
        for index in range(joints.shape[-1] - 1, -1, -1):
            x, y, z = point.unbind(-1)
            cosine, sine = cosines[..., index], sines[..., index]
            turned = torch.stack([cosine * x - sine * y, sine * x + cosine * y, z], -1)
            point = turned @ self.turns[index].T + self.offsets_m[index]
        return point
