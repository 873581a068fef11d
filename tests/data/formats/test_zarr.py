"""Diffusion Policy's zarr folders: the same numbers come in, and nothing hostile does."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from understudy.data.formats import detect, pusht
from understudy.data.formats.zarr import import_folder, plan_for
from understudy.data.store import Dataset
from understudy.spec import ACTION, ENVIRONMENT_STATE, STATE

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")

LENGTHS = (5, 8, 3)


def save(folder: Path, values: np.ndarray, chunks: tuple[int, ...]) -> None:
    array = zarr.create_array(
        folder, shape=values.shape, chunks=chunks, dtype=values.dtype, zarr_format=2
    )
    array[:] = values


@pytest.fixture
def replay(tmp_path) -> Path:
    """Three short PushT-like episodes with noise for pictures."""
    folder, generator = tmp_path / "replay.zarr", np.random.default_rng(0)
    ticks = sum(LENGTHS)
    arrays = {
        "action": generator.integers(12, 511, (ticks, 2)).astype(np.float32),
        "state": generator.uniform(0, 6, (ticks, 5)).astype(np.float32),
        "keypoint": np.ones((ticks, 9, 2), np.float32),
        "img": generator.integers(65, 255, (ticks, 96, 96, 3)).astype(np.float32),
    }
    (folder / "data").mkdir(parents=True)
    for name, values in arrays.items():
        save(folder / "data" / name, values, (6, *values.shape[1:]))
    save(folder / "meta" / "episode_ends", np.cumsum(LENGTHS), (2,))
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    return folder


def test_a_replay_buffer_is_recognised(replay, tmp_path):
    assert detect(replay) == "zarr"
    assert detect(tmp_path) is None


def test_pusht_comes_in_with_its_own_signals(replay, tmp_path):
    seen: list[tuple[int, int]] = []
    imported = import_folder(
        replay, tmp_path / "set", progress=lambda done, total: seen.append((done, total))
    )
    assert imported.episodes == 3
    assert seen == [(1, 3), (2, 3), (3, 3)]
    dataset = Dataset.open(imported.dataset_folder)
    assert dataset.spec == pusht.signals(cameras=False)
    assert tuple(dataset.lengths) == LENGTHS
    assert set(dataset.tasks) == {pusht.TASK_TEXT}
    episode = dataset[1]
    state = zarr.open_array(replay / "data" / "state", mode="r")[5:13]
    action = zarr.open_array(replay / "data" / "action", mode="r")[5:13]
    np.testing.assert_array_equal(episode.observations[STATE], state[:, :2])
    np.testing.assert_array_equal(
        episode.observations[ENVIRONMENT_STATE], pusht.block_state(*state[:, 2:].T)
    )
    np.testing.assert_array_equal(episode.actions, action)
    assert episode.success is None
    assert not episode.rewards.any()


def test_what_could_not_be_carried_over_is_listed(replay, tmp_path):
    lost = "\n".join(import_folder(replay, tmp_path / "set").not_carried)
    for part in ("data/keypoint (16, 9, 2)", "data/img", "rewards", "success unknown", "time"):
        assert part in lost
    with_pictures = import_folder(replay, tmp_path / "other", cameras=True).not_carried
    assert not any("data/img" in sentence for sentence in with_pictures)


def test_pictures_come_in_when_they_are_asked_for(replay, tmp_path):
    import_folder(replay, tmp_path / "set", cameras=True)
    frames = np.asarray(Dataset.open(tmp_path / "set")[2].observations[pusht.IMAGE])
    stored = zarr.open_array(replay / "data" / "img", mode="r")[13:16]
    assert frames.shape == (3, 96, 96, 3)
    gray = np.abs(frames.mean(-1) - stored.mean(-1))
    assert (
        gray.mean() < 20
    )  # it is noise, the worst case for a video; the right frames all the same
    other = zarr.open_array(replay / "data" / "img", mode="r")[12:15]
    assert np.abs(frames.mean(-1) - other.mean(-1)).mean() > 1.5 * gray.mean()


def test_pictures_that_are_not_whole_numbers_are_refused_and_leave_nothing(replay, tmp_path):
    zarr.open_array(replay / "data" / "img", mode="r+")[9] = 0.5
    with pytest.raises(ValueError, match="expected whole numbers"):
        import_folder(replay, tmp_path / "set", cameras=True)
    assert not (tmp_path / "set").exists()


def test_any_other_buffer_comes_in_by_a_plan(replay, tmp_path):
    save(replay / "data" / "gripper", np.arange(16, dtype=np.float64)[:, None], (16, 1))
    plan = plan_for(replay, 20.0, "Do it.", cameras=True)
    import_folder(replay, tmp_path / "set", plan=plan)
    dataset = Dataset.open(tmp_path / "set")
    assert set(dataset.spec.observations) == {
        "observation.state",
        "observation.keypoint",
        "observation.gripper",
        "observation.images.img",
    }
    assert dataset.spec.rate_hz == 20
    np.testing.assert_array_equal(dataset.column("observation.gripper").reshape(-1), np.arange(16))


def test_an_unknown_buffer_says_how_to_go_on(replay, tmp_path):
    shutil.rmtree(replay / "data" / "state")
    save(replay / "data" / "state", np.ones((16, 4), np.float32), (6, 4))
    with pytest.raises(ValueError, match=r"'state': \(4,\).*plan_for"):
        import_folder(replay, tmp_path / "set")


def change(array: Path, **facts: object) -> None:
    file = array / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | facts))


HOSTILE = {
    "objects": {"dtype": "|O", "filters": [{"id": "pickle", "protocol": 4}]},
    "a pickle filter": {"filters": [{"id": "pickle"}]},
    "a pickle compressor": {"compressor": {"id": "pickle"}},
    "text": {"dtype": "<U8"},
    "records": {"dtype": [["x", "<f4"]]},
    "times": {"dtype": "<M8[ns]"},
    "an unbounded compressor": {"compressor": {"id": "zlib", "level": 1}},
    "a chunk that fills the memory": {"chunks": [2**40, 2]},
    "more rows than there can be": {"shape": [2**62, 2]},
    "a negative size": {"shape": [-1, 2]},
    "an empty chunk": {"chunks": [0, 2]},
    "a size that is no number": {"shape": ["16", 2]},
    "dimensions that disagree": {"chunks": [6]},
    "a million chunks": {"shape": [2**30, 2], "chunks": [1, 1]},
    "another version": {"zarr_format": 3},
}


@pytest.mark.parametrize("name", ["data/state", "meta/episode_ends", "data/keypoint"])
@pytest.mark.parametrize("facts", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_metadata_is_refused_before_anything_is_decoded(
    replay, tmp_path, monkeypatch, name, facts
):
    change(replay / name, **facts)
    if name != "meta/episode_ends":  # nothing of the folder is opened but the borders
        (replay / name / "0.0").write_bytes(b"never looked at")
    with pytest.raises(ValueError, match=r"\.zarray is refused"):
        import_folder(replay, tmp_path / "set")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "null", '{"shape": 1}', "\xff"])
def test_metadata_that_is_no_metadata_is_refused(replay, tmp_path, content):
    (replay / "data" / "state" / ".zarray").write_text(content, "latin-1")
    with pytest.raises(ValueError, match=r"state/\.zarray is refused"):
        import_folder(replay, tmp_path / "set")


@pytest.mark.parametrize("coding", [{"id": "blosc"}, {"id": "lz4"}, {"id": "zstd"}, None])
def test_a_chunk_that_states_another_size_is_not_decompressed(replay, tmp_path, coding):
    array = replay / "data" / "state"
    values, large = np.zeros((16, 5), np.float32), np.zeros(2**22, np.uint8)
    for folder, content in ((array, values), (replay / "bomb", large)):
        shutil.rmtree(folder, ignore_errors=True)
        created = zarr.create_array(
            folder,
            shape=content.shape,
            chunks=content.shape,
            dtype=content.dtype,
            compressors=coding and numcodecs.get_codec(coding),
            zarr_format=2,
            config={"write_empty_chunks": True},
        )
        created[:] = content
    import_folder(replay, tmp_path / "honest")
    (array / "0.0").write_bytes((replay / "bomb" / "0").read_bytes())
    with pytest.raises(ValueError, match=r"chunk 0\.0 states 4194304 bytes, expected 320"):
        import_folder(replay, tmp_path / "set")


def test_a_damaged_chunk_is_named_and_leaves_nothing(replay, tmp_path):
    chunk = replay / "data" / "action" / "1.0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(ValueError, match=r"data/action: rows 0\.\.15 cannot be decoded"):
        import_folder(replay, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_chunks_that_are_missing_are_reported(replay, tmp_path):
    (replay / "data" / "action" / "2.0").unlink()
    lost = import_folder(replay, tmp_path / "set").not_carried
    assert "data/action: 1 chunks are not stored and count as its fill value" in lost


@pytest.mark.parametrize("ends", [[5, 13, 17], [5, 5, 16], [0, 5, 16], [16, 13, 5]])
def test_borders_that_do_not_fit_are_refused(replay, tmp_path, ends):
    zarr.open_array(replay / "meta" / "episode_ends", mode="r+")[:] = ends
    with pytest.raises(ValueError, match="do not increase|cut short"):
        import_folder(replay, tmp_path / "set")


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no replay buffer"):
        import_folder(tmp_path, tmp_path / "set")
    (tmp_path / "zarr.json").write_text("{}")
    with pytest.raises(ValueError, match="version 3; expected version 2"):
        import_folder(tmp_path, tmp_path / "set")


def test_a_destination_that_is_taken_is_left_alone(replay, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError):
        import_folder(replay, tmp_path / "set")
    assert (tmp_path / "set" / "mine.txt").read_text() == "mine"


def test_without_zarr_the_error_names_the_extra(replay, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'understudy\[formats\]'"):
        import_folder(replay, tmp_path / "set")


def test_the_block_has_no_jump_at_a_full_turn_and_counts_in_float32():
    turn = pusht.block_state(1.0, 2.0, np.array([0.0, 2 * np.pi]))
    np.testing.assert_allclose(turn[0], turn[1], atol=1e-6)
    np.testing.assert_array_equal(turn[0], np.array([1, 2, 0, 1], np.float32))
    assert pusht.block_state(1, 2, 3).dtype == np.float32
    angle = np.float32(1.2345678)
    assert pusht.block_state(0, 0, float(angle))[2] == np.sin(angle)


def test_the_real_pusht_equals_the_lerobot_copy_bit_for_bit(real_data, tmp_path):
    source = real_data / "pusht_zarr" / "pusht_cchi_v7_replay.zarr"
    imported = import_folder(source, tmp_path / "set")
    assert imported.episodes == 206
    dataset = Dataset.open(tmp_path / "set")
    theirs = pq.read_table(real_data / "pusht_lerobot_v30/data/chunk-000/file-000.parquet")
    for key in (ACTION, STATE):
        values = np.asarray(theirs[key].to_pylist(), np.float32)
        np.testing.assert_array_equal(dataset.column(key), values)
    borders = np.bincount(theirs["episode_index"].to_numpy())
    np.testing.assert_array_equal(dataset.lengths, borders)
    last = dataset.column(ENVIRONMENT_STATE)[np.cumsum(borders) - 1]
    np.testing.assert_allclose(last.mean(0), [255.4, 255.8, 0.705, 0.709], atol=0.1)
