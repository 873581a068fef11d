"""Policies of stable-baselines3 as experts: read from the zip that `model.save` writes, without running what it holds.

The zip has the weights as `policy.pth` and, as JSON, what the model was made of; objects stand in that JSON as
pickles, which are never opened: only their readable remarks are looked at. Read are perceptrons that act: PPO's
and A2C's (MlpPolicy), SAC's and TD3's, also with noise that depends on the state (`use_sde`), of which the likeliest
action has none. What VecNormalize knows lies in another file, a pickle, and is not read.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from understudy.actor import Decision, Partner
from understudy.spec import Spec

WEIGHTS, FACTS = "policy.pth", "data"
LARGEST = 2**28  # bytes of one part, unpacked
ACTIVATIONS = {"Tanh": nn.Tanh, "ReLU": nn.ReLU, "ELU": nn.ELU, "LeakyReLU": nn.LeakyReLU}
Kind = Literal["raw", "squashed"]
# Name of the hidden layers, of the last one if it stands apart, what the outputs are, and the usual activation.
KINDS: tuple[tuple[str, str, Kind, str], ...] = (
    ("mlp_extractor.policy_net", "action_net", "raw", "Tanh"),  # PPO, A2C
    ("actor.latent_pi", "actor.mu", "squashed", "ReLU"),  # SAC
    ("actor.mu", "", "squashed", "ReLU"),  # TD3
)
# SAC with noise that depends on the state: its deviations are one table, and its mean is a stack that ends in a bound.
BOUNDED: tuple[str, str, Kind, str] = ("actor.latent_pi", "actor.mu.0", "squashed", "ReLU")
DEVIATIONS = "actor.log_std"
USUAL_BOUND = 2.0  # stable-baselines3's `clip_mean`


@final
@dataclass(frozen=True, kw_only=True)
class StableBaselinesActor:
    """What `model.save` of stable-baselines3 wrote; it plays its likeliest actions."""

    path: Path

    def build(self, spec: Spec) -> Partner:
        """Read the zip; raises ValueError that says what about it cannot be played in worlds of this Spec."""
        weights, facts = read_zip(self.path)
        network, kind = _network(weights, facts, self.path)
        return _Player(network, kind, spec, self.path)

    def partner(self, spec: Spec) -> Partner:
        """Read the zip: it answers at every tick and remembers nothing, so that it is the same beside another."""
        return self.build(spec)


def read_zip(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the weights by name, and the JSON; raises ValueError that names what is not right."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = {name: _part(archive, name, path) for name in (WEIGHTS, FACTS)}
    except (zipfile.BadZipFile, OSError) as error:
        raise ValueError(f"{path} is no zip of stable-baselines3: {error}") from None
    try:
        weights = torch.load(io.BytesIO(parts[WEIGHTS]), map_location="cpu", weights_only=True)
    except Exception as error:  # torch names neither all that it raises nor what is damaged
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{path}: {WEIGHTS} holds more than weights, or is damaged: {reason}"
        ) from None
    if not isinstance(weights, dict) or not all(isinstance(v, Tensor) for v in weights.values()):
        raise ValueError(f"{path}: {WEIGHTS} is no table of weights")
    try:
        facts = json.loads(parts[FACTS])
    except ValueError as error:
        raise ValueError(f"{path}: {FACTS} is damaged: {error}") from None
    return dict(weights), facts if isinstance(facts, dict) else {}


@final
class _Player:
    requests = ()

    def __init__(self, network: nn.Sequential, kind: Kind, spec: Spec, path: Path) -> None:
        self.source = f"stable-baselines3 {path.name}"
        self._network, self._kind, self._spec = network, kind, spec
        layers = [layer for layer in network if isinstance(layer, nn.Linear)]
        given = sum(spec.observations[key].size for key in spec.vectors)
        wanted = spec.action.choices or spec.action.size
        if spec.action.choices and spec.action.size > 1:
            raise ValueError(
                f"{path} chooses once a tick, the world wants {spec.action.size} choices"
            )
        if (layers[0].in_features, layers[-1].out_features) != (given, wanted):
            raise ValueError(
                f"{path} maps {layers[0].in_features} numbers to {layers[-1].out_features}, the world "
                f"shows {given} ({', '.join(spec.vectors)}) and wants {wanted}"
            )
        limits = np.array([spec.action.low, spec.action.high])
        self._limits = limits if limits.size and np.isfinite(limits).all() else None
        if kind == "squashed" and self._limits is None:
            raise ValueError(f"{path} acts between limits, which the world's action does not have")

    def reset(self, slots: NDArray[np.bool_], seeds: NDArray[np.int64]) -> None:
        """Nothing to begin: it remembers nothing."""

    def act(
        self, observations: Mapping[str, NDArray[Any]], info: Mapping[str, NDArray[Any]]
    ) -> Decision:
        """Return the likeliest actions; each world is answered alone, so that company changes no bit."""
        signal = self._spec.action
        seen = np.concatenate(
            [observations[key].reshape(len(info["active"]), -1) for key in self._spec.vectors], 1
        ).astype(np.float32)
        command = np.zeros((len(seen), *signal.shape), signal.dtype)
        with torch.inference_mode():
            for slot in np.flatnonzero(info["active"]):
                output = self._network(torch.from_numpy(seen[slot : slot + 1]))[0].numpy()
                command[slot] = self._action(output).reshape(signal.shape)
        return Decision(command)

    def overruled(self, slots: NDArray[np.bool_], command: NDArray[Any]) -> None:
        """Nothing to forget: it remembers nothing."""

    def _action(self, output: NDArray[np.float32]) -> NDArray[Any]:
        if self._spec.action.choices:
            return np.array([output.argmax()])
        if self._limits is None:
            return output
        low, high = self._limits
        if self._kind == "squashed":
            return low + 0.5 * (np.tanh(output) + 1) * (high - low)
        return np.clip(output, low, high)


def _part(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    try:
        details = archive.getinfo(name)
    except KeyError:
        raise ValueError(f"{path} is no zip of stable-baselines3: it has no {name!r}") from None
    if details.file_size > LARGEST:
        raise ValueError(f"{path}: {name} is larger than {LARGEST} bytes")
    return archive.read(name)


def _network(
    weights: Mapping[str, Tensor], facts: Mapping[str, Any], path: Path
) -> tuple[nn.Sequential, Kind]:
    """Build the perceptron that acts; raises ValueError for any other network."""
    names, kind, usual = _stack(weights, path)
    unread = sorted(
        name for name in weights if "features_extractor" in name or name.startswith("lstm")
    )
    if unread:
        raise ValueError(f"{path} has parts that are no perceptron, the first is {unread[0]}")
    activation = ACTIVATIONS[_activation(facts, usual, path)]
    modules: list[nn.Module] = []
    for name in names:
        weight, bias = weights[f"{name}.weight"].float(), weights[f"{name}.bias"].float()
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"{path}: {name} has shapes {tuple(weight.shape)}, {tuple(bias.shape)}"
            )
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        modules += [layer, activation()]
    modules.pop()
    if names[-1] == BOUNDED[1]:
        modules.append(_bound(facts, path))
    elif kind == "raw" and _option(facts, "squash_output"):
        kind = "squashed"
    return nn.Sequential(*modules).eval(), kind


def _stack(weights: Mapping[str, Tensor], path: Path) -> tuple[list[str], Kind, str]:
    """Names of the layers that act, what their outputs are, and the usual activation."""
    is_bounded = DEVIATIONS in weights and f"{BOUNDED[1]}.weight" in weights
    for hidden, last, kind, usual in (BOUNDED,) if is_bounded else KINDS:
        names = _layers(weights, hidden) + ([last] if f"{last}.weight" in weights else [])
        if names and (not last or names[-1] == last):
            return names, kind, usual
    raise ValueError(
        f"{path} holds no perceptron that acts: PPO's, A2C's, SAC's and TD3's MlpPolicy can be read"
    )


def _layers(weights: Mapping[str, Tensor], stem: str) -> list[str]:
    """Names of a stack's linear layers, in order."""
    found = [re.fullmatch(rf"{re.escape(stem)}\.(\d+)\.weight", name) for name in weights]
    numbers = sorted(int(match[1]) for match in found if match)
    return [f"{stem}.{number}" for number in numbers]


def _activation(facts: Mapping[str, Any], usual: str, path: Path) -> str:
    """Name of the activation, from the readable remark beside the pickle; the usual one without."""
    said = _option(facts, "activation_fn")
    if said is None:
        return usual
    name = re.sub(r"\W+$", "", str(said)).rpartition(".")[2]
    if name not in ACTIVATIONS:
        raise ValueError(f"{path}: activation {said!r}, expected one of {', '.join(ACTIVATIONS)}")
    return name


def _bound(facts: Mapping[str, Any], path: Path) -> nn.Module:
    """The bound of a mean, from the readable option, the usual one without."""
    said = _option(facts, "clip_mean")
    most = USUAL_BOUND if said is None else said
    if not (isinstance(most, int | float) and most > 0):
        raise ValueError(f"{path}: clip_mean {said!r}, expected a number above 0")
    return nn.Hardtanh(-most, most)


def _option(facts: Mapping[str, Any], name: str) -> Any:
    """What the model was made with, as its JSON has it in readable words; None where it says nothing."""
    options = facts.get("policy_kwargs")
    return options.get(name) if isinstance(options, dict) else None
