"""A driver for CarRacing-v3 that reads the road: pure pursuit, and as fast as the tyres hold in what the picture shows.

It looks no further ahead than the observed picture does, so that what it does can be learnt from
pictures, and decides from the present state alone, so that it knows what to do wherever another has
left off. Pure pursuit: Coulter 1992, "Implementation of the pure pursuit path tracking algorithm".
Lengths are metres of the simulation, whose car is 4.5 m long on a road of 13.3 m.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The car of gymnasium/envs/box2d/car_dynamics.py.
MASS_KG, WHEEL_BASE_M, WHEEL_RADIUS_M, WHEEL_INERTIA = 7.3, 3.24, 0.54, 1.6
GRIP_N = 400.0  # of each of the four wheels, on the road
POWER, BRAKE_RAD_S = 40_000.0, 15.0
STEP_S = 0.02
LOCK_RAD = 0.4  # where the front wheels stop; commands beyond it change nothing

# Chosen on seeds 10,000 to 10,399.
REACH_M, REACH_S, REACH_MOST_M = 5.0, 0.12, 16.0
SLIDE = 1.5  # how much of the angle between where it points and where it goes is steered against
SIGHT_M, BEND_M = 36.0, 10.0  # how far it looks, and over how much road a bend is measured
SIDEWAYS_M_S2, BRAKING_M_S2, FASTEST_M_S = 110.0, 75.0, 80.0
EAGERNESS_1_S = 12.0  # acceleration for each m/s that the speed is off
SHARE = 0.8  # of the grip, at most
SPIN_M_S = 6.0  # of the driven wheels over the road, at which gas ends
ASTRAY_RAD = 0.5  # from here on it slows down to turn, to CREEP_M_S at the least
CREEP_M_S, TURNING_M_S = 12.0, 60.0


@final
class Road:
    """The centre line of a closed track: points a tile's length apart, in driving order."""

    def __init__(self, track: Sequence[tuple[float, float, float, float]]) -> None:
        points = np.array(track)[:, 2:4]
        self._points = np.vstack([points, points[:1]])  # (P + 1, 2)
        ways = np.diff(self._points, axis=0)
        self._lengths_m = np.linalg.norm(ways, axis=1)  # (P,)
        self._ways = ways / self._lengths_m[:, None]
        self._begins_m = np.concatenate([[0.0], np.cumsum(self._lengths_m)])  # (P + 1,)

    def nearest(self, position: Floats) -> float:
        """How far along the road its point nearest to `position` (2,) is, in metres."""
        away = position - self._points[:-1]
        along = np.clip((away * self._ways).sum(1), 0.0, self._lengths_m)
        feet = away - along[:, None] * self._ways
        piece = int((feet**2).sum(1).argmin())
        return float(self._begins_m[piece] + along[piece])

    def at(self, along_m: Floats) -> Floats:
        """Points (n, 2) that far along the road, (n,)."""
        within = np.mod(along_m, self._begins_m[-1])
        x, y = (np.interp(within, self._begins_m, self._points[:, axis]) for axis in (0, 1))
        return np.stack([x, y], axis=-1)

    def speed_limit(self, along_m: float) -> float:
        """The greatest speed from which every bend in sight can still be taken."""
        ahead = np.arange(0.0, SIGHT_M + 0.1, 3.0)  # (n,)
        before, here, after = (
            self.at(along_m + ahead + shift) for shift in (-BEND_M / 2, 0, BEND_M / 2)
        )
        first, second = here - before, after - here
        cross = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
        turn = np.abs(np.arctan2(cross, (first * second).sum(1)))
        bend_1_m = np.maximum(turn / (BEND_M / 2), 1e-3)
        square = np.minimum(SIDEWAYS_M_S2 / bend_1_m, FASTEST_M_S**2)
        return math.sqrt((square + 2 * BRAKING_M_S2 * np.maximum(ahead - 2, 0)).min())


def drive(car: Any, road: Road) -> NDArray[np.float32]:
    """Steer, gas and brake (3,) for Gymnasium's `Car` in its present state."""
    position, velocity = np.array(car.hull.position), np.array(car.hull.linearVelocity)
    angle = car.hull.angle
    forward, right = (
        np.array([-math.sin(angle), math.cos(angle)]),
        np.array([math.cos(angle), math.sin(angle)]),
    )
    speed, drift = float(velocity @ forward), float(velocity @ right)
    along = road.nearest(position)
    reach = min(REACH_M + REACH_S * max(speed, 0.0), REACH_MOST_M)
    way = road.at(np.array([along + reach]))[0] - position
    aside = math.atan2(way @ right, way @ forward)  # of the goal, positive to the right
    aside -= SLIDE * float(np.clip(math.atan2(drift, max(speed, 5.0)), -0.3, 0.3))
    steer = LOCK_RAD * math.copysign(1, aside)
    if abs(aside) < math.pi / 2:
        steer = math.atan(WHEEL_BASE_M * 2 * math.sin(aside) / max(math.hypot(*way), 1e-6))
    limit = road.speed_limit(along)
    if abs(aside) > ASTRAY_RAD:
        limit = min(limit, max(CREEP_M_S, TURNING_M_S * (1.5 - abs(aside))))
    gas, brake = _pedals(car, speed, EAGERNESS_1_S * (limit - speed))
    return np.array([np.clip(steer, -LOCK_RAD, LOCK_RAD), gas, brake], np.float32)


def _pedals(car: Any, speed: float, acceleration: float) -> tuple[float, float]:
    """Gas and brake that accelerate so much, as far as bends leave grip for it and wheels do not spin."""
    sideways = speed * car.hull.angularVelocity * MASS_KG / (4 * GRIP_N)
    most = SHARE * GRIP_N * math.sqrt(max(1 - sideways**2, 0.04))
    change = (
        STEP_S * WHEEL_RADIUS_M / WHEEL_INERTIA
    )  # of a wheel's speed in a step, for each newton
    if acceleration <= 0:
        force = min(-acceleration * MASS_KG / 4, most)
        return 0.0, force * change / BRAKE_RAD_S
    wheels = max(0.0, (car.wheels[2].omega + car.wheels[3].omega) / 2)
    spin = wheels * WHEEL_RADIUS_M - speed
    force = min(acceleration * MASS_KG / 2, most) * float(np.clip((SPIN_M_S - spin) / 3, 0, 1))
    return min(force * change * (wheels + 5) / (POWER * STEP_S / WHEEL_INERTIA), 1.0), 0.0
