"""Domain randomisation (Tobin et al. 2017, arXiv 1703.06907): each episode in a world of its own.

One frozen configuration with a seed; both engines obey what it draws.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import final

import numpy as np

from understudy.physics.arm import PATTERNS, Conditions
from understudy.physics.models import vector

Range = tuple[float, float]


@final
@dataclass(frozen=True, kw_only=True)
class Randomisation:
    """From where to where each condition is drawn, evenly; factors evenly in their logarithm.

    As it stands nothing differs from the nominal world. Raises ValueError for a range that runs backwards
    and for a value below 0 or without end.
    """

    seed: int = 0
    mass: Range = (1.0, 1.0)
    """Factor of the mass of each thing that can be moved."""
    friction: Range = (1.0, 1.0)
    damping: Range = (1.0, 1.0)
    """Factor of the joints' damping."""
    gain: Range = (1.0, 1.0)
    """Factor of the joints' stiffness."""
    latency_s: Range = (0.0, 0.0)
    noise_m: Range = (0.0, 0.0)
    """Deviation of the noise on each position that is observed, drawn anew at each tick."""
    camera_shift_m: Range = (0.0, 0.0)
    """How far, in any direction."""
    camera_turn_rad: float = 0.0
    """At most, about each axis."""
    light: Range = (1.0, 1.0)
    """Factor of its brightness."""
    light_tilt: float = 0.0
    """How far to a side the light may come from, as a share of its height."""
    colours: tuple[str, ...] = ()
    """Names of things of any colour."""
    patterns: bool = False
    """Whether what cannot be moved may be chequered or grained."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_range = isinstance(value, tuple) and field.name != "colours"
            if is_range and not 0 <= value[0] <= value[1] < np.inf:
                raise ValueError(
                    f"{field.name}: {value} is no range from a lower to a higher value"
                )
        for name in FACTORS:
            if getattr(self, name)[0] <= 0:
                raise ValueError(f"{name} is a factor above 0, got {getattr(self, name)}")
        for name in ("camera_turn_rad", "light_tilt"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is at least 0, got {getattr(self, name)}")

    def draw(self, episode_seed: int) -> tuple[Conditions, float]:
        """Conditions of an episode, and the deviation of its noise in metres; the same for the same seeds."""
        draws = np.random.default_rng([self.seed, episode_seed])
        factors = {
            name: float(np.exp(draws.uniform(*np.log(getattr(self, name))))) for name in FACTORS
        }
        latency_s, noise_m = (float(draws.uniform(*r)) for r in (self.latency_s, self.noise_m))
        tilt = draws.uniform(-1, 1, 2) * self.light_tilt
        colours = {name: vector(draws.uniform(0.1, 0.95, 3)) for name in self.colours}
        pattern = draws.choice(("plain", *PATTERNS)) if self.patterns else "plain"
        way = draws.normal(size=3)
        shift = vector(draws.uniform(*self.camera_shift_m) * way / np.linalg.norm(way))
        turn = vector(draws.uniform(-1, 1, 3) * self.camera_turn_rad)
        conditions = Conditions(
            **factors,
            latency_s=latency_s,
            camera_shift_m=shift,
            camera_turn_rad=turn,
            light_from=(0.3 + float(tilt[0]), -0.4 + float(tilt[1]), 1.0),
            colours=colours,
            pattern=pattern,
        )
        return conditions, noise_m


FACTORS = ("mass", "friction", "damping", "gain", "light")


# What a policy is trained in, so as not to notice what differs elsewhere.
WIDE = Randomisation(
    mass=(0.5, 2.0),
    friction=(0.5, 1.5),
    damping=(0.5, 2.0),
    gain=(0.7, 1.4),
    latency_s=(0.0, 0.05),
    camera_shift_m=(0.0, 0.035),
    camera_turn_rad=0.03,
    light=(0.6, 1.4),
    light_tilt=0.6,
    patterns=True,
)
# What it is tested in.
SHIFTED = Randomisation(
    mass=(1.5, 1.5), friction=(0.6, 0.6), latency_s=(0.03, 0.03), camera_shift_m=(0.02, 0.02)
)
WORLDS = {"nominal": Randomisation(), "wide": WIDE, "shifted": SHIFTED}
