"""Files of checkpoints, read so that what is wrong is said with the file's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises ValueError that names the file where there is none."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: {path.parent} is no whole checkpoint") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path} holds {type(data).__name__}, expected an object")
    return data


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read tensors; raises ValueError that names the file where there are none."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing: {path.parent} is no whole checkpoint") from None
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
