"""LeRobot's checkpoint folders, opened as our policies (`lerobot_export` writes them).

`config.json` says what the policy is, `model.safetensors` holds its weights, and the statistics that
it was trained with lie beside the processors (`policy_preprocessor.json` names their file) or, in the
older layout, among the weights. Weights are renamed, cut and reordered, never computed, so a policy
that was opened and written again is the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from understudy.policies import lerobot_names as names
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.files import read_json, read_weights
from understudy.policies.lerobot_act import LerobotActConfig
from understudy.policies.lerobot_diffusion import LerobotDiffusionConfig
from understudy.policies.lerobot_names import Weights
from understudy.policies.lerobot_scale import STATISTICS, ScaleMode, ScaleModes, Scales
from understudy.spec import ACTION, Signal, Spec, is_image

MODES: dict[str, ScaleMode] = {"MEAN_STD": "mean_std", "MIN_MAX": "min_max", "IDENTITY": "identity"}
OLD_PREFIXES = (
    "normalize_inputs.buffer_",
    "unnormalize_outputs.buffer_",
    "normalize_targets.buffer_",
)
NORMALIZERS = ("normalizer_processor", "unnormalizer_processor")


@final
@dataclass(frozen=True)
class Kind:
    """A policy of LeRobot's that exists here."""

    name: str  # in POLICIES
    config: Callable[..., PolicyConfig]
    options: Callable[[Mapping[str, Any]], dict[str, Any]]
    weights: Callable[[Any, Spec], Iterator[Weights]]
    written: Callable[[Any], dict[str, Any]]


KINDS = {
    "act": Kind(
        "lerobot_act", LerobotActConfig, names.act_options, names.act_weights, names.act_written
    ),
    "diffusion": Kind(
        "lerobot_diffusion",
        LerobotDiffusionConfig,
        names.diffusion_options,
        names.diffusion_weights,
        names.diffusion_written,
    ),
}


def load(folder: Path) -> tuple[str, Policy]:
    """Return the name in POLICIES and the policy; raises ValueError that names the file that is not right."""
    file = folder / "config.json"
    options = read_json(file)
    if options.get("type") not in KINDS:
        raise ValueError(
            f"{file}: LeRobot's policy {options.get('type')!r} does not exist here; "
            f"there is: {', '.join(KINDS)}"
        )
    kind = KINDS[str(options["type"])]
    try:
        spec = _spec(options)
        config = kind.config(**kind.options(options), scales=_modes(options))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: {error!r}") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    given = read_weights(folder / "model.safetensors")
    with torch.device("meta"):  # a file cannot make us take memory that it does not fill
        expected = {key: value.shape for key, value in config.build(spec).state_dict().items()}
    weights = _renamed(kind.weights(config, spec), given, expected, folder / "model.safetensors")
    weights |= _statistics(folder, config, spec, given)
    policy = config.build(spec)
    policy.load_state_dict(weights)
    return kind.name, policy.eval()


def _spec(options: Mapping[str, Any]) -> Spec:
    """The signals, of which LeRobot keeps neither names nor units nor the rate."""
    observations = {
        key: _signal(key, [int(n) for n in feature["shape"]])
        for key, feature in options["input_features"].items()
    }
    action = _signal(ACTION, [int(n) for n in options["output_features"][ACTION]["shape"]])
    return Spec(observations, action, rate_hz=0.0)


def _signal(key: str, shape: list[int]) -> Signal:
    if not is_image(key):
        return Signal(tuple(shape))
    channels, rows, columns = shape
    return Signal((rows, columns, channels), "uint8")


def _modes(options: Mapping[str, Any]) -> ScaleModes:
    given = options["normalization_mapping"]
    unknown = set(given.values()) - set(MODES)
    if unknown:
        raise ValueError(f"normalisation {sorted(unknown)} does not exist here")
    kinds = ("STATE", "ENV", "VISUAL", "ACTION")
    modes: list[ScaleMode] = [MODES[given.get(kind, "IDENTITY")] for kind in kinds]
    state, environment, frames, action = modes
    return ScaleModes(
        state_scale=state, environment_scale=environment, frames_scale=frames, action_scale=action
    )


def _renamed(
    listed: Iterator[Weights],
    given: Mapping[str, Tensor],
    expected: Mapping[str, torch.Size],
    file: Path,
) -> dict[str, Tensor]:
    """Our weights out of LeRobot's; raises ValueError listing what is missing or of another shape."""
    found: dict[str, Tensor] = {}
    wrong: list[str] = []
    for weights in listed:
        if weights.theirs not in given:
            wrong.append(f"{weights.theirs}: missing")
            continue
        value = weights.read(given[weights.theirs])
        rows = [expected[name][0] for name in weights.ours]
        parts = value.split(rows) if sum(rows) == len(value) else [value] * len(rows)
        for name, part in zip(weights.ours, parts, strict=True):
            found[name] = part.contiguous()
            if part.shape != expected[name]:
                wrong.append(f"{weights.theirs}: shape {tuple(given[weights.theirs].shape)}")
    if wrong:
        raise ValueError(f"{file} does not fit its config.json:\n  " + "\n  ".join(wrong[:8]))
    return found


def _statistics(
    folder: Path, config: Any, spec: Spec, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The buffers of `Scales`; raises ValueError naming a signal without statistics."""
    given = _given_statistics(folder, weights)
    scales = Scales(spec, config.scales)
    for key in (*scales.vectors, *scales.cameras, ACTION):
        scale = scales.of(key)
        for buffer, name in zip((scale.first, scale.second), STATISTICS[scale.mode], strict=False):
            value = given.get(f"{key}.{name}", given.get(f"{key.replace('.', '_')}.{name}"))
            if value is None:
                raise ValueError(
                    f"{folder} has no {name} of {key}, which its policy was trained with"
                )
            buffer.copy_(value.flatten())
    return {f"scales.{name}": value for name, value in scales.state_dict().items()}


def _given_statistics(folder: Path, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """{"SIGNAL.STATISTIC": values} of the processors' files, or of the older layout's weights."""
    found: dict[str, Tensor] = {}
    for name in ("policy_preprocessor.json", "policy_postprocessor.json"):
        if (folder / name).exists():
            for step in read_json(folder / name).get("steps", []):
                if step.get("registry_name") in NORMALIZERS and "state_file" in step:
                    found |= read_weights(folder / Path(step["state_file"]).name)
    for prefix in OLD_PREFIXES:
        for key, value in weights.items():
            if key.startswith(prefix):
                found.setdefault(key.removeprefix(prefix), value)
    return found
