"""From a name to what it stands for: bundled tables, plus what installed packages add."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any


def known(table: Mapping[str, str], group: str) -> dict[str, str]:
    """Return name -> "module:attribute": the bundled `table` and the entry points of `group`.

    A bundled name cannot be taken over by an installed package.
    """
    return {point.name: point.value for point in entry_points(group=group)} | dict(table)


def lookup(kind: str, name: str, table: Mapping[str, str], group: str) -> Any:
    """Import and return what `name` stands for; `kind` ("task") is for the error.

    Raises ValueError with the nearest name and all valid ones. `name` selects among what is
    installed: it is never itself taken as a module path.
    """
    choices = known(table, group)
    if name not in choices:
        raise unknown(kind, name, sorted(choices))
    module, _, attribute = choices[name].partition(":")
    return getattr(import_module(module), attribute)


def unknown(kind: str, name: str, choices: Iterable[str]) -> ValueError:
    """What to raise for a name that stands for nothing: with the nearest one, and all there are."""
    listed = list(choices)
    return ValueError(
        f"unknown {kind} {name!r}.{did_you_mean(name, listed)} There is: {', '.join(listed)}"
    )


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """ " Did you mean 'act'?" if one of the choices is near, else nothing."""
    nearest = get_close_matches(name, list(choices), n=1, cutoff=0.5)
    return f" Did you mean {nearest[0]!r}?" if nearest else ""
