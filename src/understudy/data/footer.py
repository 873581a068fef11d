"""How many values a Parquet file claims to hold, read from its footer before anything is decoded.

The footer is Thrift's compact protocol (Apache Thrift, doc/specs/thrift-compact-protocol.md) with
the fields of Apache Parquet's parquet.thrift. It is read here because pyarrow ends the process, with
no exception to catch, when it looks up a column of a damaged footer (seen with pyarrow 26.0.1).
"""

from __future__ import annotations

import struct
from typing import Any, final

_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)
_ROW_GROUPS, _COLUMNS, _META_DATA, _PATH, _NUM_VALUES = 4, 1, 3, 3, 5  # field numbers
_DEEPEST = 16


def claimed_values(footer: bytes) -> dict[str, int]:
    """{top-level column: values in all its leaves}; raises ValueError if the footer is damaged."""
    counts: dict[str, int] = {}
    try:
        for group in _Compact(footer).struct()[_ROW_GROUPS]:
            for column in group[_COLUMNS]:
                facts = column[_META_DATA]
                name = facts[_PATH][0].decode()
                if facts[_NUM_VALUES] < 0:
                    raise ValueError(f"column {name!r} claims {facts[_NUM_VALUES]} values")
                counts[name] = counts.get(name, 0) + facts[_NUM_VALUES]
    except (IndexError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"its footer is damaged: {error!r}") from None
    return counts


@final
class _Compact:
    """Reads values one after another; whatever does not fit raises IndexError or ValueError."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """{field number: value}"""
        if depth > _DEEPEST:
            raise ValueError("its footer is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._signed()
        if kind == _BINARY:
            return self._take(self._unsigned())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth + 1)
        if kind in (_BYTE, _TRUE, _FALSE):  # truth values are a byte each inside a list
            return self._byte()
        if kind == _DOUBLE:
            return struct.unpack("<d", self._take(8))[0]
        raise ValueError(f"its footer has a value of the unknown kind {kind}")

    def _list(self, depth: int) -> list[Any]:
        if depth > _DEEPEST:
            raise ValueError("its footer is nested too deeply")
        head = self._byte()
        size = head >> 4 if head >> 4 < 15 else self._unsigned()
        if size > len(self._content) - self._at:  # each takes a byte at least
            raise ValueError(f"its footer claims a list of {size}")
        return [self._value(head & 15, depth) for _ in range(size)]

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _unsigned(self) -> int:
        result = shift = 0
        while shift < 70:
            byte = self._byte()
            result |= (byte & 127) << shift
            if byte < 128:
                return result
            shift += 7
        raise ValueError("its footer has a number that does not end")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _take(self, size: int) -> bytes:
        if size > len(self._content) - self._at:
            raise ValueError(f"its footer claims a text of {size} bytes")
        self._at += size
        return self._content[self._at - size : self._at]
