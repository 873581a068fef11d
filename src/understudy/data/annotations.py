"""What people say of episodes afterwards: excluded, tags. Kept by id, beside data never rewritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from understudy.data.durable import open_json, replace_file, seal_json

FILE = "meta/annotations.json"


@final
@dataclass(frozen=True)
class Annotations:
    """{id: {"exclude": bool, "tags": [...]}} of the episodes that have any."""

    episodes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def excluded(self) -> frozenset[str]:
        """Ids of the episodes that are not learnt from."""
        return frozenset(id for id, note in self.episodes.items() if note.get("exclude"))

    def tags(self, id: str) -> tuple[str, ...]:
        """The tags of one episode."""
        return tuple(self.episodes.get(id, {}).get("tags", ()))

    def changed(self, id: str, exclude: bool | None, tags: Sequence[str] | None) -> Annotations:
        """With other words on one episode; None leaves them as they are."""
        if isinstance(tags, str):
            raise TypeError(f"tags are a list of words, got the text {tags!r}")
        note: dict[str, Any] = dict(self.episodes.get(id, {}))
        if exclude is not None:
            note["exclude"] = bool(exclude)
        if tags is not None:
            note["tags"] = [str(tag) for tag in tags]
        return Annotations({**self.episodes, id: note})


def read(folder: Path) -> Annotations:
    """The annotations of a dataset; raises ValueError if their file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return Annotations()
    return Annotations(open_json(path)["episodes"])


def write(folder: Path, annotations: Annotations, staging: Path) -> None:
    """Replace the annotations of a dataset, whole or not at all."""
    replace_file(folder / FILE, seal_json({"episodes": annotations.episodes}), staging)
