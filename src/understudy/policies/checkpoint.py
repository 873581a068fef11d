"""A policy on disk: a folder that explains itself and never runs code when it is opened.

`config.json` names the policy and its configuration, `spec.json` what it sees and commands,
`model.safetensors` holds the weights with the normalisers, `provenance.json` says where it comes from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import save
from torch import Tensor

from understudy.config import from_plain, to_plain
from understudy.data.durable import sync_folder, write_file
from understudy.policies import find_policy
from understudy.policies.base import Policy, PolicyConfig
from understudy.policies.files import read_json, read_weights
from understudy.spec import Spec

FORMAT = 1


@final
@dataclass(frozen=True)
class Checkpoint:
    """A policy as it was saved."""

    policy: Policy
    name: str  # in POLICIES
    provenance: Mapping[str, Any]
    fingerprint: str  # hash over configuration, spec and weights


def save_checkpoint(
    folder: Path,
    name: str,
    policy: Policy,
    provenance: Mapping[str, Any],
    weights: Mapping[str, Tensor] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the folder whole or not at all; an existing one of that name is replaced.

    `weights` (the state_dict by default) may be those of an average; `extra` adds files by name,
    such as what training needs to go on.
    """
    state = policy.state_dict() if weights is None else weights
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    config = {"format": FORMAT, "policy": name, "config": to_plain(policy.config)}
    files = {
        "config.json": _json(config),
        "spec.json": _json(policy.spec.to_dict()),
        "provenance.json": _json(dict(provenance)),
        "model.safetensors": save(tensors),
        **(extra or {}),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        for file, content in files.items():
            write_file(staging / file, content)
        sync_folder(staging)
        replaced = folder.with_name(f".{folder.name}.replaced")
        if folder.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            folder.rename(replaced)
        staging.rename(folder)
        sync_folder(folder.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


def load_checkpoint(folder: Path) -> Checkpoint:
    """Rebuild a policy from its folder, LeRobot's included.

    Raises ValueError that names the file that is not right.
    """
    config = read_json(folder / "config.json")
    if "type" in config and "format" not in config:
        return _lerobot(folder)
    if config.get("format") != FORMAT:
        raise ValueError(
            f"{folder / 'config.json'}: format {config.get('format')}, this version reads {FORMAT}"
        )
    try:
        spec = Spec.from_dict(read_json(folder / "spec.json"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / 'spec.json'} is damaged: {error!r}") from None
    if not isinstance(config.get("config"), dict):
        raise ValueError(f"{folder / 'config.json'} is damaged: it has no object 'config'")
    cls = find_policy(str(config.get("policy")))
    policy_config: PolicyConfig = from_plain(cls, config["config"], str(folder / "config.json"))
    weights = read_weights(folder / "model.safetensors")
    # Shapes alone: a file cannot make us take memory it does not fill. Arithmetic on them, unless in place, lets torch
    # import its compiler, which takes as long as torch itself: no policy does any when it is built.
    with torch.device("meta"):
        _check_fit(policy_config.build(spec), weights, folder / "model.safetensors")
    policy = policy_config.build(spec)
    _grow(policy, weights)
    policy.load_state_dict(weights)
    return Checkpoint(
        policy=policy.eval(),
        name=str(config["policy"]),
        provenance=read_json(folder / "provenance.json"),
        fingerprint=fingerprint(folder),
    )


def _lerobot(folder: Path) -> Checkpoint:
    from understudy.policies import lerobot_folder  # with all that it builds of, which few need

    name, policy = lerobot_folder.load(folder)
    return Checkpoint(policy, name, {"made_by": "LeRobot"}, fingerprint(folder))


def fingerprint(folder: Path) -> str:
    """Hash over what decides a policy's behaviour: configuration, spec and weights."""
    digest = hashlib.blake2b(digest_size=16)
    ours = ("config.json", "spec.json", "model.safetensors")
    theirs = sorted(path.name for path in folder.glob("policy_*processor*"))
    for file in (*ours, *theirs):
        if (folder / file).exists():
            digest.update((folder / file).read_bytes())
    return digest.hexdigest()


def _grow(policy: Policy, weights: dict[str, Tensor]) -> None:
    """Let buffers whose length is that of the data take their length."""
    for name in policy.growing:
        buffer = policy.get_buffer(name)
        if name in weights and weights[name].shape[1:] == buffer.shape[1:]:
            setattr(policy, name, torch.empty_like(weights[name], device=buffer.device))


def _check_fit(policy: Policy, weights: dict[str, Tensor], path: Path) -> None:
    """Raise ValueError listing the names and shapes in which weights and policy differ."""
    _grow(policy, weights)
    expected = policy.state_dict()
    wrong = [f"{key}: missing" for key in expected if key not in weights]
    wrong += [f"{key}: not part of this policy" for key in weights if key not in expected]
    wrong += [
        f"{key}: shape {tuple(weights[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in weights and weights[key].shape != expected[key].shape
    ]
    if wrong:
        raise ValueError(f"{path} does not fit its config.json:\n  " + "\n  ".join(wrong[:8]))


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
