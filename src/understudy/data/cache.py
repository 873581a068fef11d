"""Where what can be computed again is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """$UNDERSTUDY_CACHE, else `understudy` in $XDG_CACHE_HOME or ~/.cache; it may not exist yet."""
    chosen = os.environ.get("UNDERSTUDY_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "understudy"
