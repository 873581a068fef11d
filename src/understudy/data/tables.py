"""Parquet tables in and out: numbers and words only, sizes checked before anything is decoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from understudy.data.durable import digest

LARGEST_CELLS = 2**31  # numbers in one file: 16 GiB as float64
SEAL = "understudy.digest"
_BLANK = b"0" * 32


def read_table(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> pa.Table:
    """The columns of a Parquet file whose name is `wanted`, leaving the others undecoded.

    Raises ValueError if the file is damaged, claims to hold more than 2^31 values, or holds other
    than numbers, text, truth values and lists of these.
    """
    return _read(path, str(path), wanted)


def parse_table(
    content: bytes, path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> pa.Table:
    """`read_table` for content that is in memory already; `path` is for messages only."""
    return _read(pa.BufferReader(content), str(path), wanted)


def column_names(path: Path) -> list[str]:
    """The names of the columns of a Parquet file; raises ValueError if it is damaged."""
    try:
        return list(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def first_number(path: Path, name: str) -> float:
    """The first value of a column of numbers; 0 if it has none. Raises ValueError if damaged."""
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1, columns=[name], use_threads=False):
                return float(batch.column(0)[0].as_py() or 0.0)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return 0.0


def _read(source: Any, path: str, wanted: Callable[[str], bool]) -> pa.Table:
    if isinstance(source, Path):
        source = pa.OSFile(str(source))
    try:
        with pq.ParquetFile(source) as file:
            names = [name for name in file.schema_arrow.names if wanted(name)]
            for name in names:
                _check_type(name, file.schema_arrow.field(name).type)
            _check_size(file.metadata, {name.split(".")[0] for name in names})
            return file.read(columns=names, use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} cannot be read: {error}") from error


def _check_type(name: str, kind: pa.DataType) -> None:
    inner = kind
    while pa.types.is_list(inner) or pa.types.is_fixed_size_list(inner):
        inner = inner.value_type
    plain = (
        pa.types.is_integer(inner)
        or pa.types.is_floating(inner)
        or pa.types.is_boolean(inner)
        or pa.types.is_string(inner)
        or pa.types.is_large_string(inner)
        or pa.types.is_null(inner)
    )
    if not plain:
        raise ValueError(f"column {name!r} holds {kind}, expected numbers, text, or lists of them")


def _check_size(metadata: pq.FileMetaData, wanted: set[str]) -> None:
    cells = 0
    for group in range(metadata.num_row_groups):
        chunks = metadata.row_group(group)
        for at in range(chunks.num_columns):
            chunk = chunks.column(at)
            if chunk.path_in_schema.split(".")[0] in wanted:
                cells += chunk.num_values
    if cells > LARGEST_CELLS:
        raise ValueError(f"it claims to hold {cells} values, expected at most {LARGEST_CELLS}")


def array(table: pa.Table, name: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """A column as (rows, *shape) of `dtype`; missing fractions are NaN.

    Raises ValueError if another entry is missing, or of another size than `shape`, or does not fit
    `dtype`.
    """
    column = table.column(name).combine_chunks()
    size, expected = math.prod(shape), table.num_rows
    values = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    while pa.types.is_list(values.type) or pa.types.is_fixed_size_list(values.type):
        if values.null_count:
            raise ValueError(f"column {name!r} has {values.null_count} missing entries")
        if pa.types.is_list(values.type):
            lengths = np.diff(values.offsets.to_numpy())
            if lengths.size and (lengths != lengths[0]).any():
                at = int(np.argmax(lengths != lengths[0]))
                raise ValueError(
                    f"column {name!r}: row {at} has {lengths[at]} entries, the first {lengths[0]}"
                )
        values = values.flatten()
    if values.null_count and not pa.types.is_floating(values.type):
        raise ValueError(f"column {name!r} has {values.null_count} missing values")
    if len(values) != expected * size:
        raise ValueError(
            f"column {name!r} has {len(values)} values in {expected} rows, expected {size} in each"
        )
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        raise ValueError(f"column {name!r} holds text, expected {dtype}")
    numbers = values.to_numpy(zero_copy_only=False)
    return numbers.astype(dtype, copy=False).reshape(expected, *shape)


def list_type(inner: pa.DataType, shape: Sequence[int]) -> pa.DataType:
    """The Arrow type of one cell of `shape`; LeRobot keeps a single number as a scalar."""
    if tuple(shape) in ((), (1,)):
        return inner
    for size in reversed(shape):
        inner = pa.list_(inner, size)
    return inner


def cells(values: NDArray[Any], shape: Sequence[int]) -> pa.Array:
    """An array (T, *shape) as an Arrow column of `list_type`."""
    column = pa.array(np.ascontiguousarray(values).reshape(-1))
    if tuple(shape) not in ((), (1,)):
        for size in reversed(shape):
            column = pa.FixedSizeListArray.from_arrays(column, size)
    return column


def sealed(table: pa.Table, metadata: Mapping[str, str] | None = None) -> bytes:
    """A Parquet file that carries a checksum of itself; `is_intact` compares it."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression="snappy") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({**(metadata or {}), SEAL: _BLANK.decode()})
    content = bytearray(sink.getvalue().to_pybytes())
    at = _seal(content)
    content[at : at + 32] = digest(bytes(content)).encode()
    return bytes(content)


def is_sealed(content: bytes) -> bool:
    """Whether `sealed` wrote this; a damaged file may say no."""
    return SEAL.encode() in content


def is_intact(content: bytes) -> bool:
    """Whether every byte is as `sealed` wrote it."""
    at = _seal(content)
    blank = content[:at] + _BLANK + content[at + 32 :]
    return at > 0 and digest(blank).encode() == content[at : at + 32]


def _seal(content: bytes | bytearray) -> int:
    """Where the checksum stands: after its name, a type byte and a length byte. 0: nowhere."""
    name = content.rfind(SEAL.encode())
    return 0 if name < 0 else name + len(SEAL) + 2
