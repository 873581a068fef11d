"""What a discriminator remembers of the policy: ticks of earlier rounds, the oldest of which it forgets.

Without it, what it pays falls where the policy has just come and rises where it came from, and the two go in
circles. Fu, Luo & Levine (2018, arXiv 1710.11248) show it the last twenty rounds, Kostrikov et al. (2019,
arXiv 1809.02925) all that was played. A row stays as it was coded in its round, with the likelihood that it had
under the policy which played it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from understudy.learn.discriminator import Transitions


@final
class Memory:
    """At most `size` rows, of `state` and `action` numbers; places that are still empty weigh nothing."""

    def __init__(self, size: int, state: int, action: int) -> None:
        self.rows = Transitions(
            torch.zeros(size, state),
            torch.zeros(size, action),
            torch.zeros(size, state),
            torch.zeros(size),
            torch.zeros(size),
        )
        self._came = torch.zeros((), dtype=torch.int64)

    def add(self, rows: Transitions) -> None:
        """Take in rows in the place of the oldest; of more than there is room for, the last."""
        size, count = len(self.rows.weights), len(rows.weights)
        kept = torch.arange(max(0, count - size), count)
        places = (int(self._came) + kept) % max(1, size)
        for live, new in zip(self.rows.parts, rows.parts, strict=True):
            live[places] = new[kept]
        self._came += count

    def tensors(self) -> Mapping[str, Tensor]:
        """All that it holds."""
        names = ("states", "actions", "following", "likelihoods", "weights")
        return {"came": self._came, **dict(zip(names, self.rows.parts, strict=True))}
