"""Pickled driving demonstrations: the numbers come in, code does not."""

import codecs
import pickle

import numpy as np
import pytest

from understudy.cli import main
from understudy.data.formats import detect
from understudy.data.formats.car_racing import IMAGE, import_folder, signals
from understudy.data.formats.pickled import read_pickled
from understudy.data.store import Dataset


class Breaks:
    """What a pickle can do to who loads it."""

    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


def drive(ticks=12):
    draws = np.random.default_rng(0)
    pictures = draws.integers(0, 255, (ticks, 8, 8, 3), np.uint8).repeat(12, 1).repeat(12, 2)
    commands = draws.uniform(0, 0.5, (ticks, 3))
    return list(zip(pictures, commands, strict=True))


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    "kind", [np.asarray, lambda row: np.asarray(row, np.float32), np.asfortranarray]
)
def test_every_protocol_and_kind_of_array_gives_the_numbers_that_were_written(protocol, kind):
    demonstration = [(kind(state), kind(action)) for state, action in drive()]
    read = read_pickled(pickle.dumps(demonstration, protocol))
    assert len(read) == len(demonstration)
    for (state, action), (picture, command) in zip(demonstration, read, strict=True):
        np.testing.assert_array_equal(state, picture)
        np.testing.assert_array_equal(action, command)
        assert picture.dtype == state.dtype


def test_plain_numbers_and_numpys_own_come_in_as_well():
    written = [1, 2.5, True, np.float32(0.25), [1, 2], (3.0, 4.0), np.array([1, 2], ">i4")]
    read = read_pickled(pickle.dumps(written))
    assert read[:4] == written[:4]
    assert [list(item) for item in read[4:]] == [[1, 2], [3.0, 4.0], [1, 2]]


@pytest.mark.parametrize(
    "call",
    [
        (print, ("run",)),
        (eval, ("1 + 1",)),
        (codecs.decode, (b"x",)),
        (np.load, ("a.npy",)),
        (np.array, ([1],)),
    ],
)
def test_a_file_that_asks_for_a_function_is_refused_and_nothing_is_called(call, capsys):
    content = pickle.dumps([(drive()[0][0], Breaks(call))])
    with pytest.raises(ValueError, match=r"byte \d+: it asks for"):
        read_pickled(content)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("written", [{"a": 1}, {1, 2}, np.array([None, 1]), np.array(["a"])])
def test_what_is_no_list_or_numeric_array_is_refused(written):
    with pytest.raises(ValueError, match="byte"):
        read_pickled(pickle.dumps([written]))


def test_a_file_that_was_cut_or_changed_is_refused_with_a_sentence():
    content = pickle.dumps(drive(3))
    draws = np.random.default_rng(1)
    for cut in (0, 1, 50, len(content) // 2, len(content) - 1):
        with pytest.raises(ValueError, match=r"."):
            read_pickled(content[:cut])
    for _ in range(300):
        changed = bytearray(content[:400])
        changed[draws.integers(400)] = draws.integers(256)
        try:
            read_pickled(bytes(changed) + content[400:])
        except ValueError:
            continue


def test_a_demonstration_becomes_a_dataset_that_fits_the_task(tmp_path):
    file = tmp_path / "expert_trajectory.pkl"
    file.write_bytes(pickle.dumps(drive()))
    assert detect(file) == "car-racing"
    assert main(["data", "import", str(file), str(tmp_path / "set"), "--cameras"]) == 0
    with Dataset.open(tmp_path / "set") as dataset:
        dataset.spec.require(signals())
        [episode] = [dataset[0]]
        np.testing.assert_allclose(episode.actions, [action for _, action in drive()], rtol=1e-6)
        pictures = np.asarray(episode.observations[IMAGE]).astype(int)
    assert np.abs(pictures - [state for state, _ in drive()]).mean() < 12  # video


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ([], "no list"),
        ([1, 2], "item 0 is no pair"),
        ([(np.zeros((96, 96)), np.zeros(3))], r"item 0: a picture \(96, 96\) float64"),
        ([*drive(1), (drive()[0][0], np.zeros(2))], "item 1: a command"),
        ([(drive()[0][0], np.array([0, np.nan, 0]))], "item 0: a command"),
    ],
)
def test_what_is_no_demonstration_of_driving_is_refused(written, complaint, tmp_path):
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps(written))
    with pytest.raises(ValueError, match=complaint):
        import_folder(file, tmp_path / "set", cameras=True)
    assert not (tmp_path / "set").exists()
