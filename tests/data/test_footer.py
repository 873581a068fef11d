"""What a Parquet file claims is known before it is decoded, and a damaged one ends no process."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.demonstrations import CAMERAS, demonstration
from understudy.data import tables
from understudy.data.footer import claimed_values
from understudy.data.store import Dataset


def footer(content: bytes) -> bytes:
    return content[-8 - int.from_bytes(content[-8:-4], "little") : -8]


def test_claims_are_what_pyarrow_reads_from_the_same_footer(tmp_path):
    table = pa.table(
        {
            "a.b": np.arange(700),
            "list": pa.array([[1.0] * (n % 5) for n in range(700)]),
            "nested": pa.array([[[1, 2], [3]]] * 700),
            "text": ["x"] * 700,
            "none": pa.nulls(700, pa.bool_()),
        }
    )
    pq.write_table(table, tmp_path / "x", row_group_size=100)
    content = (tmp_path / "x").read_bytes()
    expected: dict[str, int] = {}
    metadata = pq.read_metadata(tmp_path / "x")
    for group in range(metadata.num_row_groups):
        for at, name in enumerate(table.column_names):
            count = metadata.row_group(group).column(at).num_values
            expected[name] = expected.get(name, 0) + count
    assert claimed_values(footer(content)) == expected
    assert expected["nested"] == 2100


def test_a_damaged_footer_is_a_value_error_and_nothing_worse():
    content = footer(tables.sealed(pa.table({"x": [1.0, 2.0], "y": [["a"], ["b", "c"]]})))
    generator = random.Random(0)
    refused = 0
    for _ in range(2000):
        flipped = bytearray(content)
        for _ in range(generator.choice([1, 1, 5, 50])):
            flipped[generator.randrange(len(flipped))] = generator.randrange(256)
        try:
            claimed_values(bytes(flipped))
        except ValueError:
            refused += 1
    assert 200 < refused < 2000
    for size in range(len(content)):
        with pytest.raises(ValueError, match="footer"):
            claimed_values(content[:size])


def test_lists_that_inflate_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"action": [np.zeros(1_000_000)], "small": [1]}), path)
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(tables, "LARGEST_CELLS", 999_999)
    with pytest.raises(ValueError, match="claims to hold 1000001 values, expected at most 999999"):
        tables.read_table(path)
    assert tables.read_table(path, lambda name: name == "small").num_rows == 1


def test_flipped_bytes_in_tables_of_others_raise_or_read(tmp_path):
    folder = tmp_path / "set"
    with Dataset.create(folder, CAMERAS) as dataset:
        dataset.append(demonstration(CAMERAS))
    (folder / "meta" / "understudy.json").unlink()
    generator, refused = random.Random(0), 0
    contents = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    for _ in range(60):
        path = generator.choice(sorted(contents))
        flipped = bytearray(contents[path])
        flipped[generator.randrange(len(flipped))] ^= 1 << generator.randrange(8)
        path.write_bytes(flipped)
        try:
            opened = Dataset.open(folder)
            assert [len(opened.column(key)) for key in opened.keys] == [7] * len(opened.keys)
        except ValueError:
            refused += 1
        path.write_bytes(contents[path])
    assert refused > 10
    assert len(Dataset.open(folder)[0]) == 7
