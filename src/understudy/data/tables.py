"""Parquet tables in and out: numbers and words only, sizes checked before anything is decoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from understudy.data.durable import digest
from understudy.data.footer import claimed_values

LARGEST_CELLS = 2**31  # numbers in one file: 16 GiB as float64
SEAL = "understudy.digest"
_BLANK = b"0" * 32


def read_table(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> pa.Table:
    """The columns of a Parquet file whose name is `wanted`, leaving the others undecoded.

    Raises ValueError if the file is damaged, claims to hold more than 2^31 values, or holds other
    than numbers, text, truth values and lists of these.
    """
    with _fault_of(path), pa.OSFile(str(path)) as file:
        _check_claims(file, wanted)
        return _decoded(file, wanted)


def parse_table(
    content: bytes, path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> pa.Table:
    """`read_table` for content that is in memory; `path` is for messages only."""
    with _fault_of(path), pa.BufferReader(content) as file:
        _check_claims(file, wanted)
        return _decoded(file, wanted)


def parse_intact(
    content: bytes, path: Path, wanted: Callable[[str], bool] = lambda name: True
) -> pa.Table:
    """`parse_table` for content of ours whose checksum was compared: its claims are believed."""
    with _fault_of(path), pa.BufferReader(content) as file:
        return _decoded(file, wanted)


def column_names(path: Path) -> list[str]:
    """The names of the columns of a Parquet file; raises ValueError if it is damaged."""
    with _fault_of(path):
        return list(pq.read_schema(path).names)


def first_number(path: Path, name: str) -> float:
    """The first value of a column of numbers; 0 if it has none. Raises ValueError if damaged."""
    with _fault_of(path), pq.ParquetFile(path) as file:
        for batch in file.iter_batches(1, columns=[name], use_threads=False):
            value = batch.column(0)[0].as_py()
            return float(value) if isinstance(value, int | float) else 0.0
    return 0.0


@contextmanager
def _fault_of(path: Path) -> Iterator[None]:
    """A block whose failure is the file's."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _decoded(file: pa.NativeFile, wanted: Callable[[str], bool]) -> pa.Table:
    with pq.ParquetFile(file) as parquet:
        names = [name for name in parquet.schema_arrow.names if wanted(name)]
        for name in names:
            _check_type(name, parquet.schema_arrow.field(name).type)
        return parquet.read(columns=names, use_threads=False)


def _check_claims(file: pa.NativeFile, wanted: Callable[[str], bool]) -> None:
    """Raise ValueError if decoding the `wanted` columns would take more room than is sensible."""
    size = file.size()
    file.seek(max(size - 8, 0))
    ending = file.read(8)
    length = int.from_bytes(ending[:4], "little")
    if size < 12 or ending[4:] != b"PAR1" or length > size - 12:
        raise ValueError(f"its {size} bytes do not end as a Parquet file does")
    file.seek(size - 8 - length)
    claims = claimed_values(file.read(length))
    cells = sum(count for name, count in claims.items() if wanted(name))
    if cells > LARGEST_CELLS:
        raise ValueError(f"it claims to hold {cells} values, expected at most {LARGEST_CELLS}")
    file.seek(0)


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
