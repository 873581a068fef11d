"""Gymnasium's CarRacing, imported in this one place: Box2D is an extra, and its import needs care."""

from __future__ import annotations

import warnings

from gymnasium.error import DependencyNotInstalled

from understudy.tasks import gym  # noqa: F401  (readies pygame for a machine without a screen)

# SWIG's types warn that they have no module; where warnings are errors, that crashes the interpreter.
with warnings.catch_warnings():
    warnings.filterwarnings("ignore", "builtin type", DeprecationWarning)
    try:
        from gymnasium.envs.box2d import car_racing
    except (ModuleNotFoundError, DependencyNotInstalled) as error:
        raise ModuleNotFoundError(
            f"car-racing needs Box2D and pygame: pip install 'understudy[box2d]' ({error})"
        ) from error

__all__ = ["car_racing"]
