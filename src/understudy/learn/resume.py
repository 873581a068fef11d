"""The state of training as files beside a checkpoint, and back."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save

from understudy.learn.supervised import TrainingState
from understudy.policies.files import read_json, read_weights

TENSORS, FACTS = "training.safetensors", "training.json"


def state_files(state: TrainingState) -> dict[str, bytes]:
    """Return file contents by name, for `save_checkpoint(extra=...)`."""
    facts = {"step": state.step, "skipped": state.skipped}
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.tensors.items()}
    return {TENSORS: save(tensors), FACTS: (json.dumps(facts) + "\n").encode()}


def read_state(checkpoint: Path) -> TrainingState:
    """Read what `state_files` wrote; raises ValueError that names the file which is not right."""
    facts, tensors = read_json(checkpoint / FACTS), read_weights(checkpoint / TENSORS)
    return TrainingState(int(facts["step"]), int(facts["skipped"]), tensors)
