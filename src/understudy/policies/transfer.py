"""Fine-tuning: a policy begins with the weights of another of its kind, and parts of it may stay frozen.

A weight is taken over where name and shape agree. A normaliser belongs to a signal: it is kept where
the signal is the same (key, shape, unit, names, choices) and is normalised in the same way; otherwise
it stays as the policy's own data made it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from understudy.data.windows import Windows
from understudy.names import did_you_mean
from understudy.nn.normalize import Normalizer
from understudy.policies.base import Policy
from understudy.policies.heads import ActionCode, Head
from understudy.policies.lerobot_scale import Scale, Scales
from understudy.policies.observe import VectorInput
from understudy.spec import ACTION, Signal, Spec

MARGIN = 0.05  # of what can be commanded; data that go less far beyond are not worth a word


@final
@dataclass(frozen=True)
class Transfer:
    """What a policy took over, and what it did not."""

    size: int  # numbers in all weights of the policy
    fresh: Mapping[str, tuple[int, str]]  # weight -> its numbers; shapes here and in the source
    anew: Mapping[str, str]  # signal whose normaliser is that of the policy's own data -> why

    @property
    def share(self) -> float:
        """Which part of the numbers was taken over, 0..1."""
        return 1 - sum(size for size, _ in self.fresh.values()) / self.size


@torch.no_grad()
def take_over(policy: Policy, source: Policy) -> Transfer:
    """Give `policy`, prepared or not, what fits of the source's weights and normalisers.

    Raises ValueError, and leaves the policy as it was, for a source that is another kind of policy,
    has no weights or tells apart other tasks, and where no weight fits.
    """
    _require_kin(policy, source)
    given, weights = source.state_dict(), dict(policy.named_parameters())
    fresh = {
        name: (weight.numel(), _shapes(weight, given.get(name)))
        for name, weight in weights.items()
        if name not in given or given[name].shape != weight.shape
    }
    if len(fresh) == len(weights):
        listed = "\n  ".join(f"{name}: {shapes}" for name, (_, shapes) in fresh.items())
        raise ValueError(f"no weight of the source fits:\n  {listed}")
    mine, theirs = dict(_normalizers(policy)), dict(_normalizers(source))
    anew: dict[str, str] = {}
    for key, module in mine.items():
        why = _difference(key, policy.spec, source.spec) or _otherwise(module, theirs.get(key))
        if why:
            anew[key] = why
        else:
            module.load_state_dict(theirs[key].state_dict())
    scales = {id(buffer) for module in mine.values() for buffer in module.buffers()}
    others = {name: b for name, b in policy.named_buffers() if id(b) not in scales}
    for name, tensor in {**weights, **others}.items():
        if name in given and given[name].shape == tensor.shape:
            tensor.copy_(given[name])
    return Transfer(sum(weight.numel() for weight in weights.values()), fresh, anew)


def freeze(policy: Policy, parts: Sequence[str], fresh: Collection[str] = ()) -> int:
    """Let nothing train the weights of these submodules; returns how many numbers they have.

    Raises ValueError for a part that there is not, or that has no weights, for one with `fresh`
    weights, which nobody has trained, and where nothing would be left to train.
    """
    weights = dict(policy.named_parameters())
    frozen: set[str] = set()
    for part in parts:
        inside = {name for name in weights if f"{name}.".startswith(f"{part}.")}
        if not inside:
            raise ValueError(_no_part(policy, part))
        drawn = [name for name in fresh if name in inside]
        if drawn:
            raise ValueError(
                f"{part} cannot be frozen: of it, {', '.join(drawn[:4])} did not fit the source and "
                "would stay as drawn at random"
            )
        frozen |= inside
    if len(frozen) == len(weights):
        raise ValueError(f"with {', '.join(parts)} frozen nothing is left to train")
    for name in frozen:
        weights[name].requires_grad_(False)
    return sum(weights[name].numel() for name in frozen)


def parts_of(policy: Policy) -> dict[str, int]:
    """Return the submodules that have weights, down to two levels, and how many numbers they have."""
    sizes = {
        path: sum(weight.numel() for weight in module.parameters())
        for path, module in policy.named_modules()
        if path and path.count(".") < 2
    }
    return {path: size for path, size in sizes.items() if size}


def out_of_reach(policy: Policy, windows: Windows) -> list[str]:
    """Say which numbers of the action go further in the data than the policy can command.

    A normaliser that was kept holds a number that was constant, and a policy that clips to its -1..1
    ends where the source's data did.
    """
    module = dict(_normalizers(policy)).get(ACTION)
    if not isinstance(module, Normalizer | Scale):
        return []
    offset, scale = (part.double() for part in module.span)
    found = windows.statistics(ACTION)
    names = policy.spec.action.names or tuple(str(n) for n in range(len(offset)))
    said = []
    for number, name in enumerate(names):
        middle, reach = float(offset[number]), float(scale[number])
        if reach and not policy.clips:
            continue
        low, high = float(found.least[number]), float(found.most[number])
        slack = MARGIN * reach if reach else 1e-6 * max(1.0, abs(middle))
        if low < middle - reach - slack or high > middle + reach + slack:
            ends = f"{middle - reach:.4g} to {middle + reach:.4g}"
            said.append(f"{name}: {low:.4g} to {high:.4g} in these data, {ends} in the source's")
    return said


def _require_kin(policy: Policy, source: Policy) -> None:
    if type(source) is not type(policy):
        kinds = type(source).__name__, type(policy).__name__
        raise ValueError(
            f"the source is of the kind {kinds[0]}, not {kinds[1]}: weights do not fit"
        )
    if not any(True for _ in policy.parameters()):
        raise ValueError(
            f"{type(policy).__name__} keeps the demonstrations themselves: there are no weights to "
            "begin with. Let it look at both datasets as one"
        )
    if source.config.tasks and source.config.tasks != policy.config.tasks:
        raise ValueError(
            f"the source tells apart the tasks {source.config.tasks}, the data hold "
            f"{policy.config.tasks or 'one'}: it goes on only with data of the same tasks"
        )


def _normalizers(policy: Policy) -> Iterator[tuple[str, nn.Module]]:
    """Each signal's key with its normaliser, wherever it stands: places shift where keys come or go."""
    for module in policy.modules():
        if isinstance(module, VectorInput):
            yield from zip(module.keys, module.encoders, strict=True)
        elif isinstance(module, Scales):
            yield from ((key, module.of(key)) for key in (*module.vectors, ACTION))
        elif isinstance(module, Head | ActionCode):
            found = getattr(module, "normalizer", None)  # choices have none
            if found is not None:
                yield ACTION, found


def _difference(key: str, mine: Spec, theirs: Spec) -> str:
    """In what a signal is another one here than in the source; "" where it is the same."""
    here, there = (_signal(key, spec) for spec in (mine, theirs))
    if here is None or there is None:
        return "the source does not see it"
    for name in ("shape", "choices"):
        if getattr(here, name) != getattr(there, name):
            return f"{name} {getattr(here, name)}, in the source {getattr(there, name)}"
    for name in ("unit", "names"):
        one, other = getattr(here, name), getattr(there, name)
        if one and other and one != other:
            return f"{name} {one}, in the source {other}"
    return ""


def _signal(key: str, spec: Spec) -> Signal | None:
    return spec.action if key == ACTION else spec.observations.get(key)


def _otherwise(mine: nn.Module, theirs: nn.Module | None) -> str:
    """Whether two normalisers of one signal do not work alike."""
    if type(mine) is type(theirs) and theirs is not None:
        own, given = mine.state_dict(), theirs.state_dict()
        is_alike = getattr(mine, "mode", None) == getattr(theirs, "mode", None)
        if is_alike and all(own[name].shape == given[name].shape for name in own):
            return ""
    return "it is normalised otherwise in the source"


def _shapes(weight: Tensor, given: Tensor | None) -> str:
    there = "has none" if given is None else f"has {tuple(given.shape)}"
    return f"{tuple(weight.shape)}, the source {there}"


def _no_part(policy: Policy, part: str) -> str:
    """What to say where a part has no weights, or is none."""
    there = parts_of(policy)
    is_known = any(path == part for path, _ in policy.named_modules())
    wrong = "has no weights to freeze" if is_known else "is no part of the policy"
    nearest = "" if is_known else did_you_mean(part, there)
    listed = ", ".join(f"{path} ({size:,})" for path, size in there.items())
    return f"{part!r} {wrong}.{nearest} There is: {listed}"
