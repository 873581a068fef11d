"""Frozen dataclasses to and from plain data: configurations as they stand in files."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from understudy.names import did_you_mean

T = TypeVar("T")


def to_plain(config: Any) -> dict[str, Any]:
    """Return the fields of a frozen dataclass for JSON; tuples become lists."""
    return {
        field.name: to_plain(value) if is_dataclass(value) else _listed(value)
        for field in fields(config)
        for value in [getattr(config, field.name)]
    }


def from_plain(cls: type[T], data: Mapping[str, Any], where: str) -> T:
    """Build `cls` from plain data; `where` ("policy.json") is for the errors.

    Raises ValueError for a field that `cls` does not have, with the nearest one, and for a value of
    the wrong type. Nothing in `data` can name a class.
    """
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # T is a dataclass
    for name in data:
        if name not in names:
            raise ValueError(
                f"{where}: {cls.__name__} has no {name!r}.{did_you_mean(name, names)} It has: "
                f"{', '.join(names)}"
            )
    return cls(**{n: _read(hints[n], value, f"{where}: {n}") for n, value in data.items()})


def _listed(value: Any) -> Any:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


def _read(hint: Any, value: Any, where: str) -> Any:
    """Return `value` as the annotated type; raises ValueError where it is another."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in arguments:
            return value
    elif origin in (Union, types.UnionType):
        nested = [option for option in arguments if is_dataclass(option)]
        if isinstance(value, Mapping) and len(nested) == 1:
            return _read(nested[0], value, where)  # which says what is wrong within
        for option in arguments:
            try:
                return _read(option, value, where)
            except ValueError:
                continue
    elif hint is type(None):
        if value is None:
            return None
    elif origin is tuple and isinstance(value, list):
        inner = arguments[0] if len(arguments) == 2 and arguments[1] is Ellipsis else None
        parts = [inner] * len(value) if inner else arguments
        if len(parts) == len(value):
            return tuple(_read(part, v, where) for part, v in zip(parts, value, strict=True))
    elif is_dataclass(hint) and isinstance(hint, type) and isinstance(value, Mapping):
        return from_plain(hint, value, where)
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif hint in (int, str, bool) and type(value) is hint:
        return value
    raise ValueError(f"{where}: got {value!r}, expected {_named(hint)}")


def _named(hint: Any) -> str:
    """A type as people read it: choices by their values."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_named, arguments))
    if origin is tuple:
        parts = ("..." if part is Ellipsis else _named(part) for part in get_args(hint))
        return f"[{', '.join(parts)}]"
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))
