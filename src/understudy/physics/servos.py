"""How strong and how stiff a joint of a compiled model is, by its own limit and its actuators."""

from __future__ import annotations

import math
from typing import Any

from understudy.physics.arms import STIFFNESS
from understudy.physics.mujoco import engine

TORQUE_NM = 100.0  # of a joint of which the file says nothing
STIFFEST = 10_000.0  # beyond, and with what a motor adds, an engine's steps are too long for it


def servo_of(model: Any, joint: int) -> tuple[float, float]:
    """Torque and stiffness of a joint; what the file does not say is the defaults'."""
    torques, stiffness = [_most(model.jnt_actfrclimited, model.jnt_actfrcrange, joint)], 0.0
    for servo in _actuators(model, joint):
        gear, gain = abs(model.actuator_gear[servo, 0]), model.actuator_gainprm[servo, 0]
        torques.append(gear * _most(model.actuator_forcelimited, model.actuator_forcerange, servo))
        if model.actuator_biasprm[servo, 1] == -gain < 0:  # it holds a position
            stiffness = gain * gear**2
        elif model.actuator_biastype[servo] == engine.mjtBias.mjBIAS_NONE:  # it is told a force
            told = _most(model.actuator_ctrllimited, model.actuator_ctrlrange, servo)
            torques.append(gear * abs(gain) * told)
    torque = min((torque for torque in torques if 0 < torque < math.inf), default=TORQUE_NM)
    return torque, min(stiffness or STIFFNESS * torque, STIFFEST)


def says_force(model: Any, joint: int) -> bool:
    """Whether the file says anything of how strong a joint is."""
    return bool(model.jnt_actfrclimited[joint]) or any(
        model.actuator_forcelimited[servo] for servo in _actuators(model, joint)
    )


def _actuators(model: Any, joint: int) -> list[int]:
    kinds = int(engine.mjtTrn.mjTRN_JOINT), int(engine.mjtTrn.mjTRN_JOINTINPARENT)
    return [
        servo
        for servo in range(model.nu)
        if model.actuator_trntype[servo] in kinds and model.actuator_trnid[servo, 0] == joint
    ]


def _most(limited: Any, ranges: Any, index: int) -> float:
    """The larger end of a range; infinity where there is none."""
    return float(abs(ranges[index]).max()) if limited[index] else math.inf
