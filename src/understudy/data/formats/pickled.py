"""Lists and numpy arrays from a pickle, which is never run: its instructions are read one by one.

A pickle is a program that builds objects and may call any function. Here only the instructions that
stand for numbers, texts, lists, tuples and numeric arrays are followed; the first one that asks for
anything else is an error, and nothing that the file names is imported or called.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from typing import Any, final

import numpy as np

NUMERIC = re.compile(r"[biuf][1248]")  # dtypes of numbers and truth values
CORE = re.compile(r"numpy\._?core\.(multiarray|numeric) (_reconstruct|_frombuffer|scalar)")
OTHERS = ("numpy ndarray", "numpy dtype", "_codecs encode")
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
PUTS, GETS = {"BINPUT", "LONG_BINPUT"}, {"BINGET", "LONG_BINGET"}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickled(content: bytes) -> Any:
    """What a pickle of lists, tuples, numbers, texts and numeric arrays holds.

    Raises ValueError that says where for an instruction that could do anything else, and for what is
    damaged.
    """
    reader = _Reader()
    for instruction, argument, place in pickletools.genops(content):
        try:
            if instruction.name == "STOP":
                return _finished(reader.stack.pop())
            reader.follow(instruction.name, argument)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"byte {place}: {error}") from error
    raise ValueError("it ends too soon")


@final
@dataclass(frozen=True)
class _Name:
    """A function or a type that the file names."""

    text: str  # "module name"


@final
class _Array:
    """An array whose content comes later in the file."""

    values: Any = None


class _Mark:
    """Where the items of a list or tuple begin."""


@final
class _Reader:
    """The stack and the memory of a pickle that is being read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def follow(self, name: str, argument: Any) -> None:
        """Do what one instruction says."""
        stack, memory = self.stack, self._memory
        if name in LITERALS:
            stack.append(argument)
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name == "MARK":
            stack.append(_Mark)
        elif name in ("EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append([] if name == "EMPTY_LIST" else ())
        elif name in TUPLES:
            items = [stack.pop() for _ in range(TUPLES[name])]
            stack.append(tuple(items[::-1]))
        elif name == "TUPLE":
            stack.append(tuple(self._marked()))
        elif name in ("APPEND", "APPENDS"):
            items = self._marked() if name == "APPENDS" else [stack.pop()]
            _list(stack[-1]).extend(items)
        elif name == "MEMOIZE" or name in PUTS:
            memory[len(memory) if name == "MEMOIZE" else argument] = stack[-1]
        elif name in GETS:
            stack.append(memory[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self._name(argument)
        elif name == "REDUCE":
            given, function = stack.pop(), stack.pop()
            stack.append(_called(function, given))
        elif name == "BUILD":
            state, thing = stack.pop(), stack.pop()
            stack.append(_completed(thing, state))
        elif name not in ("PROTO", "FRAME"):
            raise ValueError(f"{name}, expected lists and numeric arrays alone")

    def _marked(self) -> list[Any]:
        """Take the items after the last mark off the stack."""
        items: list[Any] = []
        while (item := self.stack.pop()) is not _Mark:
            items.append(item)
        return items[::-1]

    def _name(self, text: str | None) -> None:
        if text is None:
            name, module = self.stack.pop(), self.stack.pop()
            text = f"{module} {name}"
        if text not in OTHERS and not CORE.fullmatch(text):
            raise ValueError(f"it asks for {text}, expected lists and numeric arrays alone")
        self.stack.append(_Name(text))


def _called(function: Any, given: Any) -> Any:
    """What stands for the call of one of the names that are known."""
    text = function.text.rpartition(" ")[2] if isinstance(function, _Name) else ""
    if text == "_reconstruct":
        return _Array()
    if text == "dtype":
        return _dtype(given[0])
    if text == "encode":
        return given[0].encode("latin1")
    if text == "scalar":
        return np.frombuffer(given[1], _dtype(given[0]), 1)[0]
    if text == "_frombuffer":
        content, dtype, shape, order = given
        return _array(content, dtype, shape, order)
    raise ValueError(f"a call of {function}, expected lists and numeric arrays alone")


def _completed(thing: Any, state: Any) -> Any:
    """An array with its content, or a dtype with its order of bytes."""
    if isinstance(thing, np.dtype):
        return thing.newbyteorder(state[1])
    if not isinstance(thing, _Array):
        raise ValueError(f"a state for {type(thing).__name__}, expected arrays")
    _, shape, dtype, is_fortran, content = state
    thing.values = _array(content, dtype, shape, "F" if is_fortran else "C")
    return thing


def _array(content: Any, dtype: Any, shape: Any, order: Any) -> Any:
    if not isinstance(content, bytes | bytearray):
        raise ValueError(f"an array of {type(content).__name__}, expected bytes")
    return np.frombuffer(content, _dtype(dtype)).reshape(shape, order=order)


def _dtype(given: Any) -> np.dtype[Any]:
    dtype = given if isinstance(given, np.dtype) else None
    if dtype is None and isinstance(given, str) and NUMERIC.fullmatch(given):
        dtype = np.dtype(given)
    if dtype is None or dtype.kind not in "biuf":
        raise ValueError(f"dtype {given!r}, expected numbers")
    return dtype


def _list(thing: Any) -> list[Any]:
    if not isinstance(thing, list):
        raise ValueError(f"items for {type(thing).__name__}, expected a list")
    return thing


def _finished(thing: Any) -> Any:
    """The arrays in the place of what stood for them, two levels deep: a list of pairs."""

    def whole(item: Any) -> Any:
        return item.values if isinstance(item, _Array) else item

    if not isinstance(thing, list):
        return whole(thing)
    return [
        tuple(map(whole, item)) if isinstance(item, tuple | list) else whole(item) for item in thing
    ]
