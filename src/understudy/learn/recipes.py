"""What GAIL was found to learn tasks with, and how many steps they needed: benchmarks/gail.py measures it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, final


@final
@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Values that belong together, chosen on seeds 10,000 to 19,999: fields of the configurations."""

    policy: Mapping[str, Any] = field(default_factory=dict)
    gail: Mapping[str, Any] = field(default_factory=dict)
    practice: Mapping[str, Any] = field(default_factory=dict)
    needs: int = 0  # steps that were enough; 0: not known


SMALL = {"width": 64, "depth": 2, "modes": 1}
RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe(policy=SMALL),
        "cart-pole": Recipe(
            policy=SMALL,
            gail={"updates": 16, "pairs": 256, "discriminator_rate": 5e-3, "penalty": 1.0},
            practice={
                "steps": 20_000,
                "steps_per_round": 1024,
                "epochs": 6,
                "learning_rate": 3e-3,
                "discount": 0.97,
            },
            needs=15_000,
        ),
        "mountain-car": Recipe(
            policy=SMALL,
            gail={
                "updates": 8,
                "discriminator_rate": 5e-3,
                "penalty": 1.0,
                "memory": 200_000,
            },
            practice={
                "steps": 190_000,
                "steps_per_round": 2000,
                "epochs": 10,
                "learning_rate": 3e-3,
            },
            needs=190_000,
        ),
        "pendulum": Recipe(
            policy=SMALL,
            gail={
                "method": "airl",
                "updates": 4,
                "pairs": 256,
                "discriminator_rate": 5e-3,
                "penalty": 1.0,
                "memory": 100_000,
            },
            practice={
                "steps": 60_000,
                "steps_per_round": 1600,
                "batch_size": 400,
                "learning_rate": 6e-3,
                "clip": 0.3,
                "divergence": 0.06,
                "discount": 0.9,
            },
            needs=60_000,
        ),
        "panda-trace": Recipe(  # what is seen next does not depend on what is done: the discount is 0
            policy={"width": 128, "depth": 3, "modes": 1},
            gail={
                "updates": 16,
                "penalty": 1.0,
                "discriminator_rate": 3e-3,
                "discriminator_width": 128,
            },
            practice={"steps": 60_000, "discount": 0.0},
        ),
        "hopper": Recipe(
            policy=SMALL,
            gail={"updates": 8, "penalty": 10.0},
            practice={
                "steps": 1_000_000,
                "steps_per_round": 2048,
                "batch_size": 64,
                "learning_rate": 3e-4,
                "discount": 0.995,
                "divergence": 0.1,
            },
        ),
    }
)
