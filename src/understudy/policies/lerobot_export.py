"""Our copies of LeRobot's policies, written as LeRobot keeps its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from understudy.policies.base import Policy
from understudy.policies.lerobot_folder import KINDS, MODES
from understudy.policies.lerobot_scale import EPSILON, STATISTICS, ScaleModes, Scales
from understudy.spec import ACTION, ENVIRONMENT_STATE, STATE, Spec, is_image

NORMALIZER = "policy_preprocessor_step_3_normalizer_processor.safetensors"
UNNORMALIZER = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


def export(policy: Policy, folder: Path) -> None:
    """Write a folder that LeRobot 0.4.4 opens (tests/peers/check_lerobot_policies.py).

    Raises ValueError for a policy that LeRobot has none like, FileExistsError if the folder is there.
    """
    found = [(theirs, kind) for theirs, kind in KINDS.items() if kind.config is type(policy.config)]
    if not found:
        mine = ", ".join(kind.name for kind in KINDS.values())
        raise ValueError(f"LeRobot has no policy like {type(policy).__name__}; it has {mine}")
    [(theirs, kind)] = found
    config: Any = policy.config
    mapping = _mapping(config.scales)
    inputs, outputs = _features(policy.spec)
    options = {
        "type": theirs,
        "n_obs_steps": config.history,
        "input_features": inputs,
        "output_features": outputs,
        "device": "cpu",
        "normalization_mapping": mapping,
        **kind.written(config),
    }
    state = policy.state_dict()
    weights = {
        part.theirs: part.written(torch.cat([state[name] for name in part.ours])).contiguous()
        for part in kind.weights(config, policy.spec)
    }
    scales = policy.scales
    assert isinstance(scales, Scales)
    statistics = _statistics(scales)
    folder.mkdir(parents=True)
    save_file(statistics, folder / NORMALIZER)
    save_file(statistics, folder / UNNORMALIZER)
    facts = {"eps": EPSILON, "norm_map": mapping}
    before = [
        _step("rename_observations_processor", {"rename_map": {}}),
        _step("to_batch_processor", {}),
        _step("device_processor", {"device": "cpu", "float_dtype": None}),
        _step("normalizer_processor", {**facts, "features": {**inputs, **outputs}}, NORMALIZER),
    ]
    after = [
        _step("unnormalizer_processor", {**facts, "features": outputs}, UNNORMALIZER),
        _step("device_processor", {"device": "cpu", "float_dtype": None}),
    ]
    for name, steps in (("policy_preprocessor", before), ("policy_postprocessor", after)):
        _write(folder / f"{name}.json", {"name": name, "steps": steps})
    save_file(weights, folder / "model.safetensors")
    _write(folder / "config.json", options)


def _features(spec: Spec) -> tuple[dict[str, Any], dict[str, Any]]:
    """What goes in and what comes out, with channels first."""
    kinds = {STATE: "STATE", ENVIRONMENT_STATE: "ENV"}
    inputs: dict[str, Any] = {}
    for key, signal in spec.observations.items():
        if is_image(key):
            rows, columns, channels = signal.shape
            inputs[key] = {"type": "VISUAL", "shape": [channels, rows, columns]}
        else:
            inputs[key] = {"type": kinds[key], "shape": [signal.size]}
    return inputs, {ACTION: {"type": "ACTION", "shape": [spec.action.size]}}


def _mapping(modes: ScaleModes) -> dict[str, str]:
    names = {ours: theirs for theirs, ours in MODES.items()}
    return {
        "STATE": names[modes.state_scale],
        "ENV": names[modes.environment_scale],
        "VISUAL": names[modes.frames_scale],
        "ACTION": names[modes.action_scale],
    }


def _statistics(scales: Scales) -> dict[str, Tensor]:
    """{"SIGNAL.STATISTIC": values}, of pictures (3, 1, 1)."""
    found: dict[str, Tensor] = {}
    for key in (*scales.vectors, *scales.cameras, ACTION):
        scale = scales.of(key)
        for name, value in zip(STATISTICS[scale.mode], (scale.first, scale.second), strict=False):
            found[f"{key}.{name}"] = value.view(3, 1, 1).clone() if is_image(key) else value.clone()
    return found


def _step(name: str, config: Mapping[str, Any], file: str = "") -> dict[str, Any]:
    step: dict[str, Any] = {"registry_name": name, "config": dict(config)}
    return step | ({"state_file": file} if file else {})


def _write(file: Path, content: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
