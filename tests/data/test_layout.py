"""Metadata that others wrote: untidy ones are read and named, hostile ones are refused."""

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.demonstrations import CAMERAS, demonstration, files
from understudy.data import tables
from understudy.data.layout import Layout
from understudy.data.paths import Tree, fill
from understudy.data.store import Dataset

HOSTILE = [
    "../outside",
    "data/../../outside",
    "/etc/passwd",
    "//server/share",
    "C:/windows",
    "c:data",
    "data\\..\\outside",
    "\\\\server\\share",
    "data/./x",
    "data//x",
    "data/",
    "",
    ".",
    "..",
    "data/x\0.parquet",
    "data/x\n.parquet",
    "data/con",
    "NUL",
    "data/lpt1.parquet",
    "data/com9/x",
    "data/file.",
    "data/file ",
    "data/x?y",
    "data/x*y",
    "data/<x>",
    "data/a|b",
    "data/x:stream",
    '"data"',
]
TEMPLATES = [
    "{chunk_index.__class__}",
    "{0}",
    "{}",
    "{chunk_index!r}",
    "{chunk_index:999999999d}",
    "{chunk_index:{file_index}}",
    "{nowhere}",
    "{chunk_index",
    "{chunk_index[0]}",
    "{chunk_index:,}",
    "{video_key:>99}",
]


@pytest.fixture
def foreign(tmp_path) -> Path:
    """A v3.0 dataset of three episodes that does not say it is ours."""
    with Dataset.create(tmp_path / "set", CAMERAS) as dataset:
        for seed in range(3):
            dataset.append(demonstration(CAMERAS, 4 + seed, seed))
    (tmp_path / "set" / "meta" / "understudy.json").unlink()
    return tmp_path / "set"


def edit_info(folder: Path, **changes) -> None:
    path = folder / "meta" / "info.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_row(folder: Path, number: int, **changes) -> None:
    path = folder / "meta" / "episodes" / "chunk-000" / f"file-{number:03d}.parquet"
    table = pq.read_table(path)
    for name, value in changes.items():
        at = table.column_names.index(name)
        field = table.schema.field(name)
        table = table.set_column(at, field, pa.array([value], field.type))
    pq.write_table(table, path)


@pytest.mark.parametrize("path", HOSTILE)
def test_a_path_that_could_leave_the_folder_is_refused(tmp_path, path):
    with pytest.raises(ValueError, match="is refused"):
        Tree(tmp_path).path(path)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "set" / "inner").mkdir(parents=True)
    os.symlink(tmp_path / "secret", tmp_path / "set" / "file")
    os.symlink(tmp_path, tmp_path / "set" / "folder")
    os.symlink(tmp_path / "set" / "inner", tmp_path / "set" / "within")
    tree = Tree(tmp_path / "set")
    for path in ("file", "folder/secret"):
        with pytest.raises(ValueError, match="link that leads out"):
            tree.path(path)
    assert tree.path("within/x") == tmp_path / "set" / "within" / "x"


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_can_only_insert_numbers_and_names(template):
    with pytest.raises(ValueError, match="is refused"):
        fill(template, {"chunk_index": 1, "file_index": 2, "video_key": "front"})


def test_a_template_is_filled():
    assert fill("d-{a:03d}/{key}-{a}.x", {"a": 7, "key": "front"}) == "d-007/front-7.x"
    assert fill("{{a}}{a:06d}", {"a": 1}) == "{a}000001"


@pytest.mark.parametrize("name", ["data_path", "video_path"])
@pytest.mark.parametrize("template", ["../{chunk_index}", "/etc/passwd", "{chunk_index.real}"])
def test_a_dataset_with_hostile_templates_is_not_opened(foreign, name, template):
    edit_info(foreign, **{name: template})
    with pytest.raises(ValueError, match="is refused"):
        Dataset.open(foreign)


def test_a_camera_name_that_leaves_the_folder_is_refused(foreign):
    info = json.loads((foreign / "meta" / "info.json").read_text())
    key = "observation.images.front"
    info["features"]["../../" + key] = info["features"].pop(key)
    edit_info(foreign, features=info["features"])
    row = foreign / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    table = pq.read_table(row)
    pq.write_table(
        table.rename_columns([n.replace(key, "../../" + key) for n in table.column_names]), row
    )
    with pytest.raises(ValueError, match="is refused"):
        Dataset.open(foreign)


def test_a_linked_data_file_is_not_followed(foreign, tmp_path):
    path = foreign / "data" / "chunk-000" / "file-001.parquet"
    shutil.move(path, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", path)
    with pytest.raises(ValueError, match="link that leads out"):
        Dataset.open(foreign)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codebase_version": ["v3.0"]}, r"version .\[.v3.0.\]., expected one of"),
        ({"codebase_version": "v1.6"}, "version 'v1.6', expected one of"),
        ({"fps": 0}, "fps is 0"),
        ({"fps": "30"}, "fps is '30'"),
        ({"features": []}, "features must map names"),
        ({"features": {"action": {"dtype": "float32", "shape": [2**40]}}}, "features must map"),
        ({"features": {"action": {"dtype": "float32", "shape": [2]}}}, "at least one 'observation"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(foreign, changes, message):
    edit_info(foreign, **changes)
    with pytest.raises(ValueError, match=message):
        Dataset.open(foreign)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_metadata_that_is_no_json_is_refused(foreign, content):
    (foreign / "meta" / "info.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"info\.json"):
        Dataset.open(foreign)


STRANGE = [None, True, -1, 2**31, 2**63, 1e308, "", "../x", [], [[]], {}, {"a": 1}, "{a}", [None]]


@pytest.mark.parametrize("seed", range(4))
def test_strange_metadata_raises_value_errors_and_claims_no_memory(foreign, seed):
    generator, path = random.Random(seed), foreign / "meta" / "info.json"
    content = path.read_bytes()
    refused = 0
    for _ in range(25):
        info = json.loads(content)
        place = generator.choice([info, info["features"], *info["features"].values()])
        place[generator.choice(list(place))] = generator.choice(STRANGE)
        path.write_text(json.dumps(info))
        refused += _is_refused(foreign)
    assert refused > 5
    path.write_bytes(content)
    assert not _is_refused(foreign)


def test_strange_rows_raise_value_errors_and_claim_no_memory(foreign):
    row = foreign / "meta" / "episodes" / "chunk-000" / "file-001.parquet"
    content, table = row.read_bytes(), pq.read_table(row)
    for name in ("length", "episode_index", "dataset_to_index", "data/file_index", "tasks"):
        for value in (None, -1, 2**31 - 1, 2**62, 0.5, "x", [[1]]):
            at = table.column_names.index(name)
            pq.write_table(table.set_column(at, name, pa.array([value])), row)
            _is_refused(foreign)
    row.write_bytes(content)
    assert not _is_refused(foreign)


def _is_refused(folder: Path) -> bool:
    """Whether anything of a dataset raises ValueError; other errors and endless work do not."""
    try:
        dataset = Dataset.open(folder)
        for key in dataset.keys:
            dataset.column(key)
        for i in range(len(dataset)):
            assert len(dataset[i]) == dataset.lengths[i]
    except ValueError:
        return True
    return False


def test_wrong_totals_and_splits_are_said(foreign):
    edit_info(foreign, total_episodes=7, total_frames=1, total_tasks=2, splits={"train": "0:100"})
    said = "\n".join(Dataset.open(foreign).problems)
    for words in ("total_episodes 7, there are 3", "total_frames 1, there are 15", "0:100"):
        assert words in said


def test_rows_in_any_order_with_gaps_still_find_their_own_ticks(foreign):
    whole = Dataset.open(foreign)
    expected = {n: whole[n].actions for n in (0, 2)}
    (foreign / "meta" / "episodes" / "chunk-000" / "file-001.parquet").unlink()
    rows = foreign / "meta" / "episodes" / "chunk-000"
    os.rename(rows / "file-000.parquet", rows / "file-009.parquet")
    dataset = Dataset.open(foreign)
    assert "episode numbers have gaps: 1 missing, from 1 on" in dataset.problems
    for i, number in enumerate((0, 2)):
        np.testing.assert_array_equal(dataset[i].actions, expected[number])
        frames = dataset[i].observations["observation.images.front"]
        np.testing.assert_array_equal(
            np.asarray(frames), np.asarray(whole[number].observations["observation.images.front"])
        )


def test_an_episode_that_is_listed_twice_is_refused(foreign):
    edit_row(foreign, 1, episode_index=0)
    with pytest.raises(ValueError, match="episode 0 is listed 2 times"):
        Dataset.open(foreign)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 9, "dataset_to_index": 13}, r"episode 1 has 5 ticks here, its table says 9"),
        ({"data/file_index": 2}, r"episode 1 has 0 ticks here"),
    ],
)
def test_ticks_of_another_episode_are_never_returned(foreign, changes, message):
    edit_row(foreign, 1, **changes)
    dataset = Dataset.open(foreign)
    with pytest.raises(ValueError, match=message):
        dataset.column("action")


def test_frames_that_two_episodes_claim_are_returned_for_neither(foreign):
    key = "observation.images.front"
    edit_row(foreign, 1, **{f"videos/{key}/file_index": 0})
    dataset = Dataset.open(foreign)
    assert any("episodes 0 and 1 claim the same frames" in words for words in dataset.problems)
    for i in (0, 1):
        with pytest.raises(ValueError, match="no frames of observation.images.front that can be"):
            dataset.frames_source(key, i)
    assert len(dataset.frames_source(key, 2)) == 6


def test_too_few_frames_and_missing_videos_are_said(foreign):
    edit_row(foreign, 0, **{"videos/observation.images.front/to_timestamp": 0.1})
    (foreign / "videos" / "observation.images.wrist" / "chunk-000" / "file-002.mp4").unlink()
    dataset = Dataset.open(foreign)
    said = "\n".join(dataset.problems)
    assert "episode 0: observation.images.front has 2 frames for 4 ticks" in said
    assert "observation.images.wrist has no frames in 1 episodes, the first is 2" in said
    assert dataset.spec == Dataset.open(foreign).spec


def test_episodes_without_their_data_file_are_left_out_and_said(foreign):
    edit_row(foreign, 0, **{"data/file_index": 77})
    dataset = Dataset.open(foreign)
    assert "episodes without a data file are left out: 0" in dataset.problems
    assert dataset.lengths.tolist() == [5, 6]
    assert len(dataset.column("action")) == 11
    edit_row(foreign, 0, **{"data/file_index": -1})
    with pytest.raises(ValueError, match="data/file_index is -1, expected a whole number"):
        Dataset.open(foreign)


def test_text_and_missing_columns_are_left_out_and_said(foreign):
    info = json.loads((foreign / "meta" / "info.json").read_text())
    info["features"]["observation.note"] = {"dtype": "string", "shape": [1], "names": None}
    info["features"]["observation.force"] = {"dtype": "float32", "shape": [6], "names": None}
    info["features"]["observation.depth"] = {"dtype": "video", "shape": [4, 4, 3], "names": None}
    edit_info(foreign, features=info["features"])
    dataset = Dataset.open(foreign)
    assert set(dataset.spec.observations) == set(CAMERAS.observations)
    assert len([words for words in dataset.problems if "left out" in words]) == 3


@pytest.mark.parametrize(
    ("names", "flat"),
    [
        (None, ()),
        (["a", "b"], ("a", "b")),
        ([["a", "b"]], ("a", "b")),
        ({"motors": ["a", "b"]}, ("a", "b")),
        ({"a": 0, "b": 1}, ("a", "b")),
        ({"axes": {"a": 0, "b": 1}}, ("a", "b")),
        (["only one"], ()),
    ],
)
def test_names_are_flattened_however_they_are_nested(foreign, names, flat):
    info = json.loads((foreign / "meta" / "info.json").read_text())
    info["features"]["action"]["names"] = names
    edit_info(foreign, features=info["features"])
    dataset = Dataset.open(foreign)
    assert dataset.spec.action.names == flat
    assert any("names" in words for words in dataset.problems) == (names == ["only one"])


@pytest.mark.parametrize(
    ("shape", "names"),
    [
        ([3, 32, 48], ["channels", "height", "width"]),
        ([3, 32, 48], None),
        ([32, 48, 3], ["height", "width", "channel"]),
    ],
)
def test_cameras_are_height_width_colour_whatever_their_order(foreign, shape, names):
    info = json.loads((foreign / "meta" / "info.json").read_text())
    info["features"]["observation.images.front"] |= {"shape": shape, "names": names}
    edit_info(foreign, features=info["features"])
    dataset = Dataset.open(foreign)
    assert dataset.spec.observations["observation.images.front"].shape == (32, 48, 3)
    assert dataset[0].observations["observation.images.front"][0].shape == (32, 48, 3)


def test_a_file_that_claims_too_many_values_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table({"action": np.zeros(100_000)}), path)
    assert path.stat().st_size < 2000
    monkeypatch.setattr(tables, "LARGEST_CELLS", 99_999)
    with pytest.raises(ValueError, match="claims to hold 100000 values"):
        tables.read_table(path)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([b"code"], pa.binary()),
        pa.array([{"a": 1}]),
        pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([1], pa.timestamp("us")),
        pa.array([[b"code"]]),
    ],
)
def test_only_numbers_and_text_are_decoded(tmp_path, values):
    pq.write_table(pa.table({"x": values}), tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="expected numbers, text"):
        tables.read_table(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (pa.array([[1.0, 2.0], [3.0]]), "row 1 has 1 entries"),
        (pa.array([[1.0, 2.0], None]), "missing entries"),
        (pa.array([[1, 2], [3, None]]), "missing values"),
        (pa.array([[1.0], [3.0]]), "expected 2 in each"),
        (pa.array([["a", "b"], ["c", "d"]]), "holds text"),
    ],
)
def test_columns_of_another_shape_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        tables.array(pa.table({"x": values}), "x", (2,), "float32")


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8"])
def test_columns_survive_a_file(tmp_path, shape, dtype):
    values = np.random.default_rng(0).integers(0, 2, (5, *shape)).astype(dtype)
    (tmp_path / "x").write_bytes(tables.sealed(pa.table({"x": tables.cells(values, shape)})))
    read = tables.array(tables.read_table(tmp_path / "x"), "x", shape, dtype)
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, values)


def test_every_flipped_bit_of_a_sealed_file_is_noticed():
    content = tables.sealed(pa.table({"x": [1, 2], "understudy.digest": ["a", "b"]}))
    assert tables.is_intact(content)
    for at in range(len(content)):
        flipped = bytearray(content)
        flipped[at] ^= 1 << at % 8
        assert not tables.is_intact(bytes(flipped))


def test_a_table_of_many_files_is_cached_and_changes_are_seen(tmp_path, monkeypatch):
    folder = tmp_path / "set"
    with Dataset.create(folder, CAMERAS) as dataset:
        for seed in range(17):
            dataset.append(demonstration(CAMERAS, 2, seed))
    first = Layout(folder, own=True).rows
    assert any((tmp_path.parent / os.environ["UNDERSTUDY_CACHE"] / "episodes").iterdir())
    reads = []
    real = tables.parse_intact
    monkeypatch.setattr(
        "understudy.data.episodes.parse_intact",
        lambda *arguments: reads.append(arguments[1]) or real(*arguments),
    )
    assert Layout(folder, own=True).rows == first
    assert reads == []
    path = folder / "meta" / "episodes" / "chunk-000" / "file-003.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-9] + b"X" + content[-8:])
    with pytest.raises(ValueError, match=r"file-003\.parquet is damaged"):
        Layout(folder, own=True)


def test_a_fault_in_a_column_of_others_does_not_hide_the_rest(foreign):
    info = json.loads((foreign / "meta" / "info.json").read_text())
    info["features"]["annotation.phase"] = {"dtype": "int64", "shape": [1], "names": None}
    edit_info(foreign, features=info["features"])
    for path in (foreign / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        phases = pa.array([None, *range(table.num_rows - 1)], pa.int64())
        pq.write_table(table.append_column("annotation.phase", phases), path)
    dataset = Dataset.open(foreign)
    assert dataset.column("action").shape == (15, 2)
    assert len({*dataset.ids}) == 3
    with pytest.raises(ValueError, match="'annotation.phase' has 1 missing values"):
        dataset.column("annotation.phase")


def test_opening_a_foreign_dataset_changes_nothing(foreign):
    (foreign / ".staging" / "theirs").write_text("x")
    before = files(foreign)
    assert len(Dataset.open(foreign)[0]) == 4
    assert files(foreign) == before
