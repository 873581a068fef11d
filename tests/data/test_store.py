"""A dataset gives back what was put in, bit for bit, whatever wrote it and wherever it lies."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.data.demonstrations import (
    CAMERAS,
    CHOICES,
    SINGLE,
    VECTORS,
    demonstration,
    differences,
    files,
)
from understudy.data.doctor import verify
from understudy.data.store import Dataset
from understudy.data.video import RecordedFrames
from understudy.spec import Signal, Spec

OPTIONAL = ("labels", "executed", "intervention", "act_s", "final_observation", "success", "seed")


def filled(folder: Path, spec: Spec = VECTORS, count: int = 3) -> Dataset:
    """A dataset of `count` episodes of different lengths and two tasks."""
    with Dataset.create(folder, spec) as dataset:
        for seed in range(count):
            dataset.append(demonstration(spec, 4 + seed, seed, task=["push", "pull"][seed % 2]))
    return dataset


@pytest.mark.parametrize("spec", [VECTORS, CAMERAS, CHOICES, SINGLE])
def test_an_episode_comes_back_as_it_was(tmp_path, spec):
    given = [demonstration(spec, ticks, ticks) for ticks in (7, 1, 4)]
    with Dataset.create(tmp_path / "set", spec) as dataset:
        saved = [dataset.append(episode) for episode in given]
    reopened = Dataset.open(tmp_path / "set")
    assert reopened.spec == spec
    assert reopened.problems == ()
    for source in (saved, dataset, reopened):
        for i, episode in enumerate(given):
            assert differences(source[i], episode, spec) == []
            assert source[i].id == saved[i].id == reopened.ids[i]
    reopened.column("action")  # from here on episodes are slices of whole columns
    for i, episode in enumerate(given):
        assert differences(reopened[i], episode, spec) == []
    assert verify(tmp_path / "set") == []


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("spec", [VECTORS, CHOICES])
def test_what_was_not_given_comes_back_as_none(tmp_path, spec, name):
    episode = replace(demonstration(spec), **{name: None})
    dataset = filled(tmp_path / "set", spec, 1)
    dataset.append(episode)
    assert differences(Dataset.open(tmp_path / "set")[1], episode, spec) == []


def test_labels_without_a_value_are_told_from_no_labels(tmp_path):
    episode = demonstration()
    episode = replace(episode, labels=np.full_like(episode.actions, np.nan))
    dataset = Dataset.create(tmp_path / "set", VECTORS)
    dataset.append(episode)
    assert differences(dataset[0], episode, VECTORS) == []


def test_choices_keep_gaps_between_labels(tmp_path):
    labels = np.array([[0.0], [np.nan], [2.0], [1.0], [np.nan], [0.0], [0.0]], np.float32)
    dataset = Dataset.create(tmp_path / "set", CHOICES)
    dataset.append(replace(demonstration(CHOICES), labels=labels))
    np.testing.assert_array_equal(Dataset.open(tmp_path / "set")[0].labels, labels)
    np.testing.assert_array_equal(dataset.column("label"), labels)
    assert dataset.column("action").dtype == np.int64


def test_frames_come_back_within_what_the_codec_loses(tmp_path):
    given = [demonstration(CAMERAS, ticks, ticks) for ticks in (9, 5)]
    with Dataset.create(tmp_path / "set", CAMERAS) as dataset:
        saved = [dataset.append(episode) for episode in given]
    for source in (saved, dataset, Dataset.open(tmp_path / "set")):
        for i, episode in enumerate(given):
            for key in CAMERAS.cameras:
                frames = source[i].observations[key]
                assert isinstance(frames, RecordedFrames)
                assert frames == dataset.frames_source(key, i)
                loss = np.abs(
                    np.asarray(frames).astype(int) - np.asarray(episode.observations[key])
                )
                assert loss.mean() < 3


def test_a_dataset_without_episodes_is_a_dataset(tmp_path):
    dataset = Dataset.create(tmp_path / "set", CAMERAS)
    assert len(dataset) == 0
    assert dataset.column("observation.environment_state").shape == (0, 4, 2)
    assert dataset.column("label").shape == (0, 2)
    assert [len(part) for part in dataset.split(0.2, 0)] == [0, 0]
    assert dataset.selected.dtype == np.int64
    with pytest.raises(ValueError, match="no value of 'action'"):
        dataset.statistics("action")
    with pytest.raises(IndexError, match="episode 0 of 0"):
        dataset[0]
    assert verify(tmp_path / "set") == []


def test_paths_may_have_spaces_and_any_letters(tmp_path):
    folder = tmp_path / "mes démonstrations 演示"
    with Dataset.create(folder, CAMERAS) as dataset:
        dataset.append(demonstration(CAMERAS, task='pose l\'œuf 🥚\n\tet "attends"'))
    reopened = Dataset.open(str(folder))
    assert reopened.tasks == ('pose l\'œuf 🥚\n\tet "attends"',)
    assert len(np.asarray(reopened[0].observations["observation.images.front"])) == 7
    assert verify(folder) == []


def test_a_column_is_all_episodes_end_to_end(tmp_path):
    dataset = filled(tmp_path / "set")
    for key, name in (("action", "actions"), ("label", "labels"), ("next.reward", "rewards")):
        expected = np.concatenate([getattr(dataset[i], name) for i in range(3)])
        np.testing.assert_array_equal(dataset.column(key), expected)
    assert dataset.column("index").tolist() == list(range(4 + 5 + 6))
    assert dataset.lengths.tolist() == [4, 5, 6]
    column = dataset.column("action")
    assert column.flags.c_contiguous
    assert not column.flags.writeable
    with pytest.raises(KeyError, match=r"'actoin'. Did you mean 'action'"):
        dataset.column("actoin")


def test_columns_are_mapped_from_the_cache_and_the_same_without_it(tmp_path, monkeypatch):
    dataset = filled(tmp_path / "set")
    mapped = {key: dataset.column(key) for key in dataset.keys}
    assert isinstance(mapped["action"], np.memmap)
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "a file"))
    other = Dataset.open(tmp_path / "set")
    for key, values in mapped.items():
        held = other.column(key)
        assert not isinstance(held, np.memmap)
        assert not held.flags.writeable
        assert held.dtype == values.dtype
        np.testing.assert_array_equal(held, values)


def test_a_cache_of_other_content_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    dataset = filled(tmp_path / "set")
    expected = np.array(dataset.column("action"))
    for file in (tmp_path / "cache" / "columns").rglob("*.npy"):
        file.write_bytes(file.read_bytes()[:-1])
    np.testing.assert_array_equal(Dataset.open(tmp_path / "set").column("action"), expected)


def test_appending_reads_nothing_again(tmp_path):
    dataset = filled(tmp_path / "set")
    before = np.array(dataset.column("action"))
    for file in (tmp_path / "set" / "data").rglob("*.parquet"):
        file.write_bytes(b"gone")
    added = dataset.append(demonstration(VECTORS, 5, 9))
    np.testing.assert_array_equal(dataset.column("action"), np.concatenate([before, added.actions]))


def test_a_damaged_data_file_is_named_and_never_learnt_from(tmp_path):
    dataset = filled(tmp_path / "set")
    path = tmp_path / "set" / "data" / "chunk-000" / "file-001.parquet"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file-001\.parquet is damaged"):
        dataset.column("action")
    with pytest.raises(ValueError, match=r"file-001\.parquet is damaged"):
        dataset[1]
    assert len(dataset[2]) == 6


def test_annotations_choose_without_touching_data(tmp_path):
    dataset = filled(tmp_path / "set")
    before, fingerprint = files(tmp_path / "set"), dataset.fingerprint
    dataset.annotate(1, exclude=True, tags=["blurred", "slow"])
    for source in (dataset, Dataset.open(tmp_path / "set")):
        assert source.selected.tolist() == [0, 2]
        assert source.tags(1) == ("blurred", "slow")
        assert source.fingerprint != fingerprint
        assert len(source) == 3
    after = files(tmp_path / "set")
    assert {name for name in after if after[name] != before.get(name)} == {"meta/annotations.json"}
    dataset.annotate(1, exclude=False)
    assert dataset.fingerprint == fingerprint
    assert dataset.tags(1) == ("blurred", "slow")
    assert verify(tmp_path / "set") == []


def test_statistics_are_those_of_the_selected_ticks(tmp_path):
    dataset = filled(tmp_path / "set")
    dataset.annotate(0, exclude=True)
    values = np.concatenate([dataset[i].actions for i in (1, 2)]).astype(np.float64)
    found = dataset.statistics("action")
    np.testing.assert_array_equal(found["mean"], values.mean(0))
    np.testing.assert_array_equal(found["std"], values.std(0))
    np.testing.assert_array_equal(found["max"], values.max(0))
    for name, level in (("q01", 0.01), ("q10", 0.1), ("q50", 0.5), ("q90", 0.9), ("q99", 0.99)):
        np.testing.assert_array_equal(found[name], np.quantile(values, level, axis=0))
    labels = np.concatenate([dataset[i].labels for i in (1, 2)])
    given = labels[np.isfinite(labels).all(1)].astype(np.float64)
    np.testing.assert_array_equal(dataset.statistics("label")["mean"], given.mean(0))
    assert dataset.statistics("observation.environment_state")["std"].shape == (4, 2)


def test_the_totals_for_other_readers_are_those_of_all_ticks(tmp_path):
    dataset = filled(tmp_path / "set", CAMERAS, 5)
    stats = (tmp_path / "set" / "meta" / "stats.json").read_text()
    found = json.loads(stats)
    for key in (*CAMERAS.vectors, "action"):
        values = dataset.column(key).astype(np.float64)
        assert found[key]["count"] == [len(values)]
        np.testing.assert_allclose(found[key]["mean"], values.mean(0), rtol=1e-12)
        np.testing.assert_allclose(found[key]["std"], values.std(0), rtol=1e-12)
        np.testing.assert_array_equal(found[key]["min"], values.min(0))
    picture = np.array(found["observation.images.front"]["mean"])
    assert picture.shape == (3, 1, 1)
    assert 0 < picture.mean() < 1


def test_ids_and_fingerprint_are_those_of_the_content(tmp_path):
    dataset = filled(tmp_path / "set", CAMERAS)
    shutil.copytree(tmp_path / "set", tmp_path / "copy")
    assert Dataset.open(tmp_path / "copy").fingerprint == dataset.fingerprint
    assert len(set(dataset.ids)) == 3
    again = Dataset.create(tmp_path / "again", CAMERAS)
    for i in (0, 2, 1):
        again.append(demonstration(CAMERAS, 4 + i, i, task=["push", "pull"][i % 2]))
    assert set(again.ids) == set(dataset.ids)
    assert again.fingerprint != dataset.fingerprint


def test_recorded_frames_can_be_appended_to_another_dataset(tmp_path):
    dataset = filled(tmp_path / "set", CAMERAS, 1)
    other = Dataset.create(tmp_path / "other", CAMERAS)
    other.append(dataset[0])
    assert differences(other[0], dataset[0], CAMERAS) == []
    first, second = (d[0].observations["observation.images.front"] for d in (dataset, other))
    assert np.abs(np.asarray(first).astype(int) - np.asarray(second)).mean() < 3


def test_a_dataset_is_only_created_in_an_empty_folder(tmp_path):
    (tmp_path / "set").mkdir()
    Dataset.create(tmp_path / "set", VECTORS)
    with pytest.raises(FileExistsError, match="not empty"):
        Dataset.create(tmp_path / "set", VECTORS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        Dataset.create(tmp_path / "other", VECTORS)
    assert files(tmp_path / "other") == {"notes.txt": b"mine"}


def test_signals_that_cannot_be_stored_are_all_named_before_anything_is_written(tmp_path):
    spec = Spec(
        {
            "state": Signal((2,)),
            "observation.a/b": Signal((2,)),
            "observation.images.front": Signal((3, 8, 8), "float32"),
        },
        Signal((2,)),
        10.0,
    )
    with pytest.raises(ValueError, match=r"(?s)'observation\.'.*without '/'.*uint8 \(Y, X, 3\)"):
        Dataset.create(tmp_path / "set", spec)
    assert not (tmp_path / "set").exists()


def test_no_dataset_is_said_plainly(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"is no dataset: meta/info\.json is missing"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("name", "version", "lengths", "cameras"),
    [
        ("pusht_lerobot_v30", "3.0", (206, 25650), ("observation.image",)),
        ("g1_bottle_lerobot_v30", "3.0", (3, 776), ("observation.images.cam_high",)),
        ("g1_bottle_lerobot_v21", "2.1", (3, 776), ("observation.images.cam_high",)),
        ("gr1_picknplace_lerobot_v20", "2.0", (5, 2096), ("observation.images.ego_view",)),
    ],
)
def test_datasets_of_others_are_read_where_they_lie(real_data, name, version, lengths, cameras):
    dataset = Dataset.open(real_data / name)
    assert dataset.version == version
    assert (len(dataset), int(dataset.lengths.sum())) == lengths
    assert dataset.spec.cameras == cameras
    assert len(set(dataset.ids)) == len(dataset)
    last = dataset[-1]
    last.check(dataset.spec)
    frames = last.observations[cameras[0]]
    assert frames[len(last) - 1].shape == dataset.spec.observations[cameras[0]].shape
    assert np.isnan(dataset.column("label")).all()
    assert dataset.column("label").shape == dataset.column("action").shape
    with pytest.raises(ValueError, match="never changed"):
        dataset.append(last)


def test_pusht_is_read_as_published(real_data):
    dataset = Dataset.open(real_data / "pusht_lerobot_v30")
    assert dataset.problems == ()
    assert dataset.lengths[:3].tolist() == [161, 118, 141]
    assert dataset.spec.action.names == ("motor_0", "motor_1")
    assert dataset.spec.task == "Push the T-shaped block onto the T-shaped target."
    assert dataset.frames_source("observation.image", 1).first == 161
    rewards = dataset.column("next.reward")
    assert rewards.max() == pytest.approx(0.949, abs=1e-3)
    np.testing.assert_array_equal(dataset[1].rewards, rewards[161 : 161 + 118])
    assert (dataset[1].success, dataset[1].terminated) == (False, True)
    assert dataset[1].time_s[-1] == pytest.approx(11.7)


def test_two_versions_of_the_same_data_give_the_same_numbers(real_data):
    old = Dataset.open(real_data / "g1_bottle_lerobot_v21")
    new = Dataset.open(real_data / "g1_bottle_lerobot_v30")
    assert old.spec == new.spec
    assert len(new.spec.action.names) == 26
    for key in (*new.spec.vectors, "action", "time_s", "next.reward", "task_index"):
        np.testing.assert_array_equal(old.column(key), new.column(key))
    for i in range(3):
        assert differences(old[i], new[i], new.spec) == []
        frames = [d[i].observations["observation.images.cam_high"] for d in (old, new)]
        for tick in (0, len(frames[0]) - 1):
            np.testing.assert_array_equal(frames[0][tick], frames[1][tick])


def test_everything_untidy_in_a_published_dataset_is_said(real_data):
    dataset = Dataset.open(real_data / "gr1_picknplace_lerobot_v20")
    said = "\n".join(dataset.problems)
    for words in (
        "path template data/chunk-{episode_index:03d}",
        "total_videos 2, there are 5",
        "total_chunks 0, there are 1",
        "trains on 0:100, there are 5",
        "observation.images.egoview is declared, but has no video files",
        "frame_index is missing",
        "time stamps begin at 0.05 s",
        "several tasks",
    ):
        assert words in said
    assert dataset.column("annotation.human.validity").shape == (2096,)
    assert dataset.tasks[1] == "pick the sweet potato from the counter and place it in the plate"
    assert dataset.spec.action.dtype == "float64"


def test_ids_of_foreign_episodes_are_the_same_elsewhere(real_data, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(real_data / "g1_bottle_lerobot_v21", folder)
    here, there = Dataset.open(real_data / "g1_bottle_lerobot_v21"), Dataset.open(folder)
    assert here.fingerprint == there.fingerprint
    there.annotate(0, exclude=True)
    assert Dataset.open(folder).selected.tolist() == [1, 2]
