"""What is wrong with pairs of a tool's position and an arm's joint angles, and how wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from understudy.data.store import Dataset
from understudy.physics.kinematics import Floats
from understudy.physics.models import ArmModel
from understudy.spec import ACTION, ENVIRONMENT_STATE, STATE

# A tool's offset explains positions where no more than this is left of them, root mean square.
LEFT_M = 0.005
SAME_M = 0.002  # between two points that are one
# Columns in another order leave less than this, and a fifth of what is left of the given order.
LEFT_SHIFTED_M = 0.03
FEWEST = 4  # rows; an offset has three numbers
# Neighbours of which a joint turns by more have another branch between them; more than 4.6 cm apart they may turn
# further. None of 7,577 neighbours 5 cm apart on the expert's own curves does, nor of 12,508 that are 3 cm apart.
HOP_RAD, HOP_RAD_PER_M = 0.3, 6.5


@final
@dataclass(frozen=True)
class Diagnosis:
    """What was found in n pairs; `faults` says it in sentences."""

    model: ArmModel
    rows: int
    offset_m: Floats  # (3,) of the tool in the flange's frame that explains the positions best
    left_m: float  # of the positions, root mean square, with that offset
    shift: int  # columns by which the angles seem to be moved to the right; 0: they are not
    left_shifted_m: float  # the same with the columns moved back
    outside: Floats  # (J,) share of rows in which a joint is outside its limits
    outside_rows: float  # share of rows in which any is
    repeated: int  # rows of which position and angles stand earlier in the data as well
    hops: NDArray[np.int64]  # rows from which the next is on another branch
    largest_hop_rad: float

    @property
    def faults(self) -> tuple[str, ...]:
        """A sentence for each thing that must not be learnt from."""
        return (*self._frame_faults(), *self._joint_faults())

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each thing worth knowing."""
        if not self.repeated:
            return ()
        return (f"{self.repeated} of {self.rows} rows repeat an earlier one",)

    def _frame_faults(self) -> list[str]:
        if self.shift:
            return [
                f"joint columns are shifted: joint 1 seems to stand in column {self.shift + 1}; so read, "
                f"{1e3 * self.left_shifted_m:.0f} mm of the positions stay unexplained, "
                f"as given {1e3 * self.left_m:.0f} mm"
            ]
        if self.left_m > LEFT_M:
            return [
                f"positions are not those of the angles: with any tool {1e3 * self.left_m:.0f} mm stay "
                "unexplained (root mean square)"
            ]
        away_m = float(np.linalg.norm(self.offset_m))
        if away_m <= SAME_M:
            return []
        gripper = self.model.gripper
        tips_m = np.subtract(gripper.position_m, self.model.flange_m) + np.array(
            [0, 0, gripper.reach_m]
        )
        is_tips = np.linalg.norm(self.offset_m - tips_m) <= SAME_M
        place = ", ".join(f"{round(1e3 * part, 1) + 0.0:.1f}" for part in self.offset_m)
        return [
            f"positions are of another tool frame: {1e3 * away_m:.1f} mm from the flange, at "
            f"({place}) mm in its frame" + (", between the finger tips" if is_tips else "")
        ]

    def _joint_faults(self) -> list[str]:
        found = []
        if self.outside_rows:
            which = ", ".join(
                f"joint {joint} {100 * share:.1f} %"
                for joint, share in enumerate(self.outside, 1)
                if share
            )
            found.append(f"{100 * self.outside_rows:.1f} % of rows exceed joint limits: {which}")
        if len(self.hops):
            found.append(
                f"{len(self.hops)} hops between branches, the first after row {self.hops[0]}, the "
                f"largest {self.largest_hop_rad:.2f} rad; neighbours should be within {HOP_RAD} rad"
            )
        return found


def diagnose(
    points: Floats, joints: Floats, model: ArmModel, starts: NDArray[np.int64] | None = None
) -> Diagnosis:
    """Look at positions (n, 3) and angles (n, J); `starts` are rows at which an episode begins.

    Raises ValueError for other shapes and fewer than four rows.
    """
    count = len(model.joints)
    if joints.shape != (len(points), count) or points.shape != (len(joints), 3):
        raise ValueError(
            f"positions {points.shape} and angles {joints.shape}, expected (n, 3) and (n, {count})"
        )
    if len(points) < FEWEST:
        raise ValueError(f"{len(points)} rows, expected at least {FEWEST}")
    fits = [_fitted(points, np.roll(joints, -shift, 1), model) for shift in range(count)]
    offset, left = fits[0]
    shift = int(np.argmin([fit[1] for fit in fits]))
    is_shifted = left > LEFT_M and fits[shift][1] < min(LEFT_SHIFTED_M, left / 5)
    chain = model.flange_chain
    outside = (joints < chain.low_rad) | (joints > chain.high_rad)
    turns = np.abs(np.diff(joints, axis=0)).max(1)  # (n - 1,)
    ways = np.linalg.norm(np.diff(points, axis=0), axis=1)
    hops = turns > np.maximum(HOP_RAD, HOP_RAD_PER_M * ways)
    if starts is not None:
        hops[starts[starts > 0] - 1] = False
    both = np.concatenate([points, joints], 1)
    return Diagnosis(
        model=model,
        rows=len(points),
        offset_m=offset,
        left_m=left,
        shift=shift if is_shifted else 0,
        left_shifted_m=fits[shift][1],
        outside=outside.mean(0),
        outside_rows=float(outside.any(1).mean()),
        repeated=len(both) - len(np.unique(both, axis=0)),
        hops=np.flatnonzero(hops),
        largest_hop_rad=float(turns[hops].max(initial=0.0)),
    )


def diagnose_dataset(dataset: Dataset, model: ArmModel) -> Diagnosis:
    """Look at all rows of a dataset whose actions are joint angles.

    Raises ValueError where there are no positions, or the actions are something else.
    """
    action, count = dataset.spec.action, len(model.joints)
    if action.shape != (count,) or action.choices is not None:
        kind = "choices" if action.choices is not None else "numbers"
        raise ValueError(
            f"the actions are {action.size} {kind}, expected the {count} angles of a {model.name}"
        )
    seen = dataset.spec.observations
    keys = [key for key in (ENVIRONMENT_STATE, STATE) if key in seen and seen[key].shape == (3,)]
    if not keys:
        raise ValueError(f"no positions (3 numbers) among the observations {list(seen)}")
    points = np.asarray(dataset.column(keys[0]), np.float64)
    joints = np.asarray(dataset.column(ACTION), np.float64)
    starts = np.cumsum([0, *dataset.lengths[:-1]])
    return diagnose(points, joints, model, starts)


def _fitted(points: Floats, joints: Floats, model: ArmModel) -> tuple[Floats, float]:
    """The offset (3,) in the flange's frame that explains the positions best, and what it leaves."""
    places, turns = model.flange_chain.forward(joints)
    offsets = ((points - places)[:, None] @ turns)[:, 0]  # (n, 3) in the flange's frame
    left = offsets - offsets.mean(0)
    return offsets.mean(0), float(np.sqrt((left**2).sum(1).mean()))
