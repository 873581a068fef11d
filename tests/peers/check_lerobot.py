"""Does LeRobot itself read what we write? `python tests/peers/check_lerobot.py PYTHON_WITH_LEROBOT`.

Writes datasets with our code, then runs itself under the other Python, where LeRobot 0.4.4 opens
each of them and every number, frame, task and episode is compared. Says "agrees" for each, or fails.
"""

import importlib
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

SIZES = {"front": (96, 128), "wrist": (64, 80)}
LENGTHS = (7, 1, 12)
BITS = 6


def numbered(number: int, size: tuple[int, int]) -> np.ndarray:
    """A picture that carries a number as bright and dark bars."""
    image = np.zeros((*size, 3), np.uint8)
    for bit, columns in enumerate(np.array_split(np.arange(size[1]), BITS)):
        image[:, columns] = 215 if number >> bit & 1 else 40
    return image


def write(folder: Path) -> None:
    """Datasets with every kind of column; beside each, what should be in it."""
    from understudy.data.store import Dataset
    from understudy.spec import Signal, Spec

    vectors = {
        "observation.state": Signal((3,), names=("x", "y", "angle")),
        "observation.environment_state": Signal((4, 2), "float64"),
        "observation.gripper": Signal((1,)),
    }
    cameras = {f"observation.images.{name}": Signal((*s, 3), "uint8") for name, s in SIZES.items()}
    moves = Spec({**cameras, **vectors}, Signal((2,)), 20.0, "push")
    choices = Spec(vectors, Signal((1,), "int64", choices=3), 12.5, "choose")
    for name, spec, codec in (
        ("h264", moves, "h264"),
        ("av1", moves, "av1"),
        ("choices", choices, "h264"),
        ("empty of labels", moves, "h264"),
    ):
        with Dataset.create(folder / name, spec, codec) as dataset:
            for number, length in enumerate(LENGTHS):
                episode = _episode(spec, length, number)
                if name == "empty of labels":
                    episode = replace(episode, labels=None, executed=None, seed=None, success=None)
                dataset.append(episode)
            dataset.annotate(0, exclude=True, tags=["left in all the same"])
        (folder / name / ".staging" / "take-left").mkdir(parents=True)
        (folder / name / ".staging" / "take-left" / "0.mp4").write_bytes(b"half")
        expected = {f"column {key}": dataset.column(key) for key in dataset.keys}
        for key in spec.cameras:
            frames = [np.asarray(dataset[i].observations[key]) for i in range(len(LENGTHS))]
            expected[f"frames {key}"] = np.concatenate(frames)
        np.savez(folder / f"{name}.npz", **expected, tasks=np.array(dataset.tasks))


def _episode(spec: Any, length: int, number: int) -> Any:
    from understudy.episode import Episode

    generator = np.random.default_rng(number)
    observations: dict[str, Any] = {}
    for key, signal in spec.observations.items():
        if key in spec.cameras:
            pictures = [numbered(20 * number + tick, signal.shape[:2]) for tick in range(length)]
            observations[key] = np.stack(pictures)
        else:
            observations[key] = generator.normal(size=(length, *signal.shape)).astype(signal.dtype)
    if spec.action.choices:
        actions = generator.integers(3, size=(length, 1))
        labels = actions.astype(np.float32)
    else:
        actions = generator.normal(size=(length, *spec.action.shape)).astype(spec.action.dtype)
        labels = actions.copy()
    labels[1::2] = np.nan
    return Episode(
        observations=observations,
        actions=actions,
        rewards=generator.normal(size=length).astype(np.float32),
        time_s=np.arange(length) / spec.rate_hz + generator.random(),
        terminated=True,
        truncated=False,
        success=[True, False, None][number],
        final_observation={key: values[-1] for key, values in observations.items()},
        labels=labels,
        executed=actions.copy(),
        intervention=generator.random(length) > 0.5,
        task=("push the block", "ziehe den Würfel")[number % 2],
        source="person",
        seed=number,
    )


def check(folder: Path) -> None:
    """Under the other Python: compare what LeRobot reads with what should be there."""
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as expected:
            _check_set(folder / path.stem, expected)
        sys.stdout.write(f"{path.stem}: LeRobot agrees\n")


def _opened(folder: Path, **choices: Any) -> Any:
    module = importlib.import_module("lerobot.datasets.lerobot_dataset")  # not in our environment
    return module.LeRobotDataset("local/set", root=folder, video_backend="pyav", **choices)


def _check_set(folder: Path, expected: Any) -> None:
    dataset = _opened(folder)
    columns = {name[7:]: expected[name] for name in expected if name.startswith("column ")}
    frames = {name[7:]: expected[name] for name in expected if name.startswith("frames ")}
    assert dataset.num_episodes == len(LENGTHS)
    assert dataset.num_frames == sum(LENGTHS) == len(dataset)
    assert set(dataset.meta.camera_keys) == set(frames)
    utils = importlib.import_module("lerobot.datasets.utils")
    assert set(utils.dataset_to_policy_features(dataset.meta.features)) == {
        key for key in (*columns, *frames) if key.startswith("observation.") or key == "action"
    }
    for tick in range(len(dataset)):
        item = dataset[tick]
        _check_tick(item, tick, columns, frames)
        episode = int(np.searchsorted(np.cumsum(LENGTHS), tick, side="right"))
        assert item["task"] == str(expected["tasks"][episode])
    _check_meta(dataset.meta, columns, frames)
    _check_windows(folder, columns)


def _check_tick(item: dict, tick: int, columns: dict, frames: dict) -> None:
    for name, values in columns.items():
        read = item[name].numpy()
        wanted = values[tick].reshape(read.shape)
        if wanted.dtype == np.float64:  # LeRobot hands out all fractions as float32
            wanted = wanted.astype(np.float32)
        assert read.dtype == wanted.dtype, (name, read.dtype, wanted.dtype)
        assert np.array_equal(read, wanted, equal_nan=read.dtype.kind == "f"), (name, read, wanted)
    for name, pictures in frames.items():
        read = item[name].numpy().transpose(1, 2, 0) * 255.0
        losses = [np.abs(read - picture).mean() for picture in pictures]
        assert int(np.argmin(losses)) == tick, (name, tick, losses)
        assert losses[tick] < 2.0, (name, losses[tick])


def _check_meta(meta: Any, columns: dict, frames: dict) -> None:
    assert [int(n) for n in meta.episodes["length"]] == list(LENGTHS)
    for key in (key for key in columns if key.startswith("observation.") or key == "action"):
        found = meta.stats[key]
        np.testing.assert_allclose(
            found["mean"].reshape(-1), columns[key].mean(0).reshape(-1), rtol=1e-5
        )
        np.testing.assert_allclose(
            found["std"].reshape(-1), columns[key].std(0).reshape(-1), rtol=1e-5
        )
    for key, pictures in frames.items():
        found = meta.stats[key]["mean"]
        assert found.shape == (3, 1, 1)
        np.testing.assert_allclose(found[:, 0, 0], pictures.mean((0, 1, 2)) / 255, atol=0.1)


def _check_windows(folder: Path, columns: dict) -> None:
    ahead = [n / _opened(folder).fps for n in range(4)]
    dataset = _opened(folder, delta_timestamps={"action": ahead})
    item = dataset[LENGTHS[0] - 2]
    assert item["action_is_pad"].tolist() == [False, False, True, True]
    read = item["action"].numpy()[:2].reshape(2, -1)
    wanted = columns["action"][LENGTHS[0] - 2 : LENGTHS[0]].reshape(2, -1)
    assert np.array_equal(read, wanted)
    assert len(_opened(folder, episodes=[2])) == LENGTHS[2]


def main() -> None:
    if sys.argv[1] == "--check":
        check(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["UNDERSTUDY_CACHE"] = f"{folder}/cache"
        write(Path(folder))
        offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": f"{folder}/huggingface"}
        command = [sys.argv[1], __file__, "--check", folder]
        subprocess.run(command, env={**os.environ, **offline}, check=True)


if __name__ == "__main__":
    main()
