"""`verify` finds every flipped byte in what we wrote, and what is wrong with datasets of others."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.data.demonstrations import CAMERAS, demonstration, files
from understudy.data.doctor import verify
from understudy.data.store import Dataset


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "set"
    with Dataset.create(folder, CAMERAS) as dataset:
        for seed in range(2):
            dataset.append(demonstration(CAMERAS, 3, seed, task=f"task {seed}"))
        dataset.annotate(1, exclude=True, tags=["blurred"])
    return folder


def test_every_flipped_byte_is_found(written):
    generator = random.Random(0)
    assert verify(written) == []
    contents = files(written)
    assert len(contents) == 2 * (1 + 2 + 1) + 5  # data, videos, rows; info stats tasks spec notes
    for name, content in contents.items():
        for _ in range(12):
            flipped = bytearray(content)
            flipped[generator.randrange(len(flipped))] ^= 1 << generator.randrange(8)
            (written / name).write_bytes(flipped)
            assert verify(written), name
            (written / name).write_bytes(content)
    assert verify(written) == []


@pytest.mark.parametrize("sixteenths", [0, 1, 8, 15])
def test_every_file_that_was_cut_short_is_named(written, sixteenths):
    for name, content in files(written).items():
        (written / name).write_bytes(content[: len(content) * sixteenths // 16])
        found = verify(written)
        (written / name).write_bytes(content)
        assert any(Path(name).name in words for words in found), (name, found)


def test_every_file_that_is_missing_or_strange_is_named(written):
    for name, content in files(written).items():
        if name in ("meta/info.json", "meta/understudy.json", "meta/annotations.json"):
            continue  # without these it is no dataset, one of others, or one without notes
        (written / name).unlink()
        found = verify(written)
        (written / name).write_bytes(content)
        assert found, name
    stranger = written / "data" / "chunk-000" / "file-007.parquet"
    stranger.write_bytes(b"x")
    assert verify(written) == [f"{stranger} belongs to no episode"]
    stranger.unlink()


def test_files_that_changed_places_are_found(written, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(written, folder)
    videos = folder / "videos" / "observation.images.front" / "chunk-000"
    os.rename(videos / "file-000.mp4", videos / "x")
    os.rename(videos / "file-001.mp4", videos / "file-000.mp4")
    os.rename(videos / "x", videos / "file-001.mp4")
    assert len([words for words in verify(folder) if "damaged" in words]) == 2


def test_verifying_changes_nothing(written, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(written, folder)
    (folder / ".staging" / "left").mkdir(parents=True)
    (folder / ".staging" / "left" / "0.mp4").write_bytes(b"half")
    before = files(folder)
    verify(folder)
    assert files(folder) == before


def test_datasets_of_others_are_read_whole(real_data, tmp_path):
    assert verify(real_data / "g1_bottle_lerobot_v30") == []
    assert len(verify(real_data / "gr1_picknplace_lerobot_v20")) == 9
    folder = tmp_path / "set"
    shutil.copytree(real_data / "g1_bottle_lerobot_v21", folder)
    video = next(folder.rglob("episode_000001.mp4"))
    video.write_bytes(video.read_bytes()[:100_000])
    (found,) = verify(folder)
    assert found.startswith("episode 1: ")
    data = next(folder.rglob("episode_000002.parquet"))
    data.write_bytes(data.read_bytes()[:1000])
    assert any("episode_000002.parquet" in words for words in verify(folder))
