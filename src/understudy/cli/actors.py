"""Who acts, by the place where a policy lies: a run, a checkpoint, or a zip of stable-baselines3."""

from __future__ import annotations

from pathlib import Path

from understudy.fleet import PolicyActor
from understudy.policies.stable_baselines import StableBaselinesActor
from understudy.run import find_checkpoint


def stored(name: str) -> PolicyActor | StableBaselinesActor:
    """The policy at `name`; raises ValueError where there is none."""
    place = Path(name)
    if not place.exists():
        raise ValueError(
            f"{name} does not exist; expected a run folder, a checkpoint folder or a zip of "
            "stable-baselines3"
        )
    if place.suffix == ".zip":
        return StableBaselinesActor(path=place)
    return PolicyActor(checkpoint=find_checkpoint(place))
