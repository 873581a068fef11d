"""The options of `understudy dagger` that are not those of training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, final

from understudy.cli.options import FleetOptions
from understudy.learn.dagger import DaggerConfig
from understudy.learn.gates import Schedule
from understudy.learn.taught import LearnFrom


@final
@dataclass(frozen=True, kw_only=True)
class Rules:
    """How policy and expert share the work."""

    task: str
    """Name of a task, with options: mountain-car, pusht:observe=pixels."""
    demonstrations: int = 10
    """Episodes that the expert shows first, where --data names no others."""
    dagger: DaggerConfig = field(default_factory=DaggerConfig)
    expert: str = ""
    """A run, a checkpoint or a zip of stable-baselines3 whose policy shows and corrects, in the place of the task's
    expert."""
    gate: Literal["beta", "safe", "ensemble", "thrifty", "person"] = "beta"
    """Who decides who acts: a coin, how far policy and expert differ, that or the doubt of policies trained alike,
    novelty and risk, or a person who takes over."""
    beta: Schedule = "exponential"
    """How much the expert acts in round i: beta-decay to the power of i, linear down to 0, or not at all."""
    beta_decay: float = 0.7
    """Of the exponential schedule."""
    beta_over: int = 15
    """Rounds in which the linear schedule falls to 0."""
    discrepancy: float = 0.1
    """Gates safe and ensemble: difference, as a share of the action's range, above which the expert acts."""
    doubt: float = 0.05
    """Gate ensemble: spread of the policies' actions, as a share of the range, above which the expert acts."""
    members: int = 3
    """Gates ensemble and thrifty: how many policies are trained; the first one is the learner."""
    intervention_rate: float = 0.1
    """Gate thrifty: share of the learner's ticks at which the expert shall be called."""
    hands: Literal["keyboard", "sliders", "bullet-sliders", "gamepad"] = "keyboard"
    """Gate person: what the person leads the world with."""
    script: str = ""
    """Gate person: what hands do, from a file in the place of a window, as in `understudy collect`."""
    learn_from: LearnFrom = "labels"
    """All that the expert labelled, or corrections alone: the ticks at which it acted."""
    fine_tune: bool = False
    """Begin each round with the last round's weights, in the place of fresh ones."""
    round_steps: int = 0
    """Optimiser steps of the rounds after the first; 0: as many as --steps."""
    starts: int = 100
    """Starts to measure on after each round, which are there to choose by: seeds 10,000 to 19,999."""
    ground: FleetOptions = field(default_factory=FleetOptions)

    def __post_init__(self) -> None:
        for name, least in (("demonstrations", 1), ("members", 2), ("starts", 1), ("beta_over", 1),
                            ("round_steps", 0)):  # fmt: skip
            if getattr(self, name) < least:
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(f"{flag} must be at least {least}, got {getattr(self, name)}")
        for name in ("beta_decay", "intervention_rate"):
            if not 0 <= getattr(self, name) <= 1:
                flag = f"--{name.replace('_', '-')}"
                raise ValueError(f"{flag} must lie in 0..1, got {getattr(self, name)}")
        for name in ("discrepancy", "doubt"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"--{name} must not be negative, got {getattr(self, name)}")
