"""Video files: every frame comes back under its own number, or an error says why not."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import pytest

from understudy.data.decode import VideoFile
from understudy.data.video import Codec, RecordedFrames, VideoWriter, read_frames

BITS = 8


def numbered(index: int, size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """A picture that carries its index as bright and dark blocks."""
    image = np.zeros((*size, 3), np.uint8)
    for bit, columns in enumerate(np.array_split(np.arange(size[1]), BITS)):
        image[:, columns] = 215 if index >> bit & 1 else 40
    return image


def number_of(image: np.ndarray) -> int:
    blocks = np.array_split(image.mean((0, 2)), BITS)
    return sum(int(block.mean() > 128) << bit for bit, block in enumerate(blocks))


def record(
    path: Path, count: int, size: tuple[int, int] = (64, 96), rate_hz=30.0, codec: Codec = "h264"
) -> RecordedFrames:
    writer = VideoWriter(path, (*size, 3), rate_hz, codec)
    for index in range(count):
        writer.write(numbered(index, size))
    writer.close()
    return RecordedFrames(path, 0, count, size)


@pytest.mark.parametrize("codec", get_args(Codec))
@pytest.mark.parametrize("rate_hz", [10.0, 30.0, 30000 / 1001, 12.5, 1 / 3])
def test_every_frame_is_found_under_its_own_index(tmp_path, codec, rate_hz):
    frames = record(tmp_path / "video.mp4", 41, rate_hz=rate_hz, codec=codec)
    assert [number_of(image) for image in frames] == list(range(41))
    order = np.random.default_rng(0).permutation(41)
    assert [number_of(frames[int(i)]) for i in order] == list(order)
    assert [number_of(image) for image in frames[7:30:3]] == list(range(7, 30, 3))
    assert [number_of(image) for image in frames[::-13]] == list(range(40, -1, -13))
    with av.open(str(frames.path)) as container:
        stream: Any = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(rate_hz, rel=1e-9)
        pictures: Any = container.decode(stream)
        assert [p.pts * stream.time_base * stream.average_rate for p in pictures] == list(range(41))


@pytest.mark.parametrize("codec", get_args(Codec))
def test_odd_sizes_come_back_whole(tmp_path, codec):
    frames = record(tmp_path / "video.mp4", 9, (33, 47), codec=codec)
    assert frames.shape == (9, 33, 47, 3)
    assert [number_of(image) for image in np.asarray(frames)] == list(range(9))


@pytest.mark.parametrize("codec", get_args(Codec))
def test_smooth_colours_survive_without_a_shift(tmp_path, codec):
    y, x = np.mgrid[0:120, 0:160]
    image = np.stack([128 + 110 * np.sin(x / 25), 128 + 110 * np.cos(y / 20), x + y / 2], -1)
    image = image.clip(0, 255).astype(np.uint8)
    writer = VideoWriter(tmp_path / "video.mp4", image.shape, 30, codec)
    for _ in range(6):
        writer.write(image)
    writer.close()
    (*_, last) = read_frames(tmp_path / "video.mp4", 0, 6)
    error = last.astype(int) - image
    assert np.abs(error).mean() < 2
    assert np.abs(error.mean((0, 1))).max() < 1
    with av.open(str(tmp_path / "video.mp4")) as container:
        theirs = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(theirs.astype(int) - image).mean() < 3  # any other reader sees these colours


def test_a_part_of_a_file_is_numbered_from_its_own_start(tmp_path):
    record(tmp_path / "video.mp4", 30)
    part = RecordedFrames(tmp_path / "video.mp4", 12, 6, (64, 96))
    assert [number_of(image) for image in part] == [12, 13, 14, 15, 16, 17]
    assert number_of(part[-1]) == 17
    assert part[2:2].shape == (0, 64, 96, 3)
    with pytest.raises(IndexError, match="frame 6 of a recording of 6"):
        part[6]


def test_nothing_is_decoded_before_it_is_asked_for(tmp_path):
    frames = RecordedFrames(tmp_path / "absent.mp4", 0, 5, (8, 8))
    assert frames.shape == (5, 8, 8, 3)
    assert len(frames) == 5
    with pytest.raises(FileNotFoundError):
        frames[0]


def test_frames_can_be_resized_while_they_are_read(tmp_path):
    record(tmp_path / "video.mp4", 5)
    smaller = list(read_frames(tmp_path / "video.mp4", 1, 3, (32, 48)))
    larger = list(read_frames(tmp_path / "video.mp4", 1, 3, (100, 200)))
    assert [image.shape for image in smaller + larger] == [(32, 48, 3)] * 3 + [(100, 200, 3)] * 3
    assert [number_of(image) for image in smaller + larger] == [1, 2, 3, 1, 2, 3]


def test_asking_for_more_frames_than_there_are_names_both(tmp_path):
    record(tmp_path / "video.mp4", 10)
    with pytest.raises(ValueError, match=r"video\.mp4: frames 8\.\.12 wanted, it holds 0\.\.9"):
        list(read_frames(tmp_path / "video.mp4", 8, 5))


def test_a_recording_of_another_size_is_refused(tmp_path):
    record(tmp_path / "video.mp4", 3)
    with pytest.raises(ValueError, match=r"\(64, 96\).*expected \(96, 64\)"):
        RecordedFrames(tmp_path / "video.mp4", 0, 3, (96, 64))[0]


@pytest.mark.parametrize("kept", [0, 20, 0.5, 0.9])
def test_a_file_cut_short_is_refused_by_name(tmp_path, kept):
    path = record(tmp_path / "video.mp4", 40).path
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match=r"video\.mp4"):
        list(read_frames(path, 0, 40))


def test_a_file_cut_short_behind_its_index_gives_what_it_has_and_names_the_rest(tmp_path):
    path = tmp_path / "front.mp4"
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        encode(container, range(200), g="10", bf="0")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"front\.mp4: frames? \d+"):
        list(read_frames(path, 0, 200))
    assert number_of(next(read_frames(path, 2, 1))) == 2


def encode(container, stamps, **options: str) -> None:
    stream = container.add_stream("libx264", rate=30, options=options)
    stream.height, stream.width = 64, 96
    stream.pix_fmt, stream.time_base = "yuv420p", Fraction(1, 30)
    for index, stamp in enumerate(stamps):
        frame = av.VideoFrame.from_ndarray(numbered(index), format="rgb24")
        frame.pts, frame.time_base = stamp, Fraction(1, 30)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv"])
@pytest.mark.parametrize("offset", [0, 45])
def test_foreign_files_with_b_frames_and_a_late_start_count_from_zero(tmp_path, name, offset):
    path = tmp_path / name
    options = {} if name.endswith("mkv") else {"use_editlist": "0"}
    with av.open(str(path), "w", options=options) as container:
        encode(container, range(offset, offset + 200), g="60", bf="3")
    for index in (0, 1, 58, 59, 60, 61, 62, 119, 121, 199):
        assert number_of(next(read_frames(path, index, 1))) == index
    assert [number_of(image) for image in read_frames(path, 0, 200)] == list(range(200))


def test_a_varying_rate_is_refused_rather_than_guessed(tmp_path):
    path = tmp_path / "video.mp4"
    with av.open(str(path), "w") as container:
        encode(container, [0, 1, 2, 3, 7, 8, 9, 15, 16, 17])
    with pytest.raises(ValueError, match=r"constant rate|damaged or left out"):
        list(read_frames(path, 0, 10))


def test_a_playlist_that_calls_itself_a_video_opens_nothing(tmp_path):
    record(tmp_path / "secret.mp4", 3)
    (tmp_path / "list.mp4").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"
    )
    (tmp_path / "concat.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    for name in ("list.mp4", "concat.mp4"):
        with pytest.raises(ValueError, match="no video can be read"):
            list(read_frames(tmp_path / name, 0, 1))


@pytest.mark.parametrize("size", [(0, 8), (2**16, 8), (2**14, 2**13), (-1, 8)])
def test_silly_dimensions_are_refused_before_anything_is_allocated(tmp_path, size):
    with pytest.raises(ValueError, match="pixels, expected sides"):
        RecordedFrames(tmp_path / "video.mp4", 0, 1, size)
    with pytest.raises(ValueError, match="pixels, expected sides"):
        VideoWriter(tmp_path / "video.mp4", (*size, 3), 30)
    assert list(tmp_path.iterdir()) == []


def test_wrong_frames_and_rates_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rate_hz"):
        VideoWriter(tmp_path / "video.mp4", (8, 8, 3), 0)
    with pytest.raises(ValueError, match="codec 'vp9'"):
        VideoWriter(tmp_path / "video.mp4", (8, 8, 3), 30, "vp9")
    writer = VideoWriter(tmp_path / "video.mp4", (8, 8, 3), 30)
    with pytest.raises(ValueError, match=r"float64 \(8, 8, 3\), expected uint8 \(8, 8, 3\)"):
        writer.write(np.zeros((8, 8, 3)))
    with pytest.raises(ValueError, match="no frame was written"):
        writer.close()
    with pytest.raises(ValueError, match="closed already"):
        writer.write(np.zeros((8, 8, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_the_caller_may_reuse_the_frame_it_wrote(tmp_path):
    writer = VideoWriter(tmp_path / "video.mp4", (64, 96, 3), 30)
    image = np.empty((64, 96, 3), np.uint8)
    for index in range(20):
        image[:] = numbered(index)
        writer.write(image)
    image[:] = 0
    assert writer.count == 20
    writer.close()
    assert [number_of(i) for i in read_frames(tmp_path / "video.mp4", 0, 20)] == list(range(20))


def test_discarding_leaves_no_file(tmp_path):
    writer = VideoWriter(tmp_path / "video.mp4", (64, 96, 3), 30)
    writer.write(numbered(0))
    writer.discard()
    writer.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_by_write_and_by_close_and_leaves_nothing(tmp_path):
    script = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from understudy.data.video import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
writer = VideoWriter(Path(sys.argv[1]), (64, 96, 3), 30)
noise = np.random.default_rng(0)
try:
    for _ in range(100_000):
        writer.write(noise.integers(0, 255, (64, 96, 3), dtype=np.uint8))
except OSError as error:
    print("write", error)
try:
    writer.close()
except OSError as error:
    print("close", error)
    writer.discard()
"""
    path = tmp_path / "video.mp4"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    (write, close) = done.stdout.splitlines()
    assert write.startswith("write")
    assert "video.mp4: the video cannot be written" in write
    assert close.startswith("close")
    assert not path.exists()


def test_av1_is_silent(tmp_path, capfd):
    record(tmp_path / "video.mp4", 3, codec="av1")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("codec", get_args(Codec))
def test_details_are_what_the_file_says(tmp_path, codec):
    writer = VideoWriter(tmp_path / "video.mp4", (64, 96, 3), 29.97, codec)
    writer.write(numbered(0))
    writer.close()
    details = writer.details()
    with av.open(str(tmp_path / "video.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.codec.canonical_name == codec == details["video.codec"]
        assert stream.pix_fmt == details["video.pix_fmt"]
        assert (stream.height, stream.width) == (details["video.height"], details["video.width"])
        assert len(container.streams) == 1
    assert details["video.fps"] == 29.97
    assert details["has_audio"] is False
    assert details["video.channels"] == 3


def test_real_av1_is_the_same_by_episode_file_and_by_range_of_the_joint_file(real_data):
    camera = "observation.images.cam_high"
    joint = real_data / f"g1_bottle_lerobot_v30/videos/{camera}/chunk-000/file-000.mp4"
    first = 0
    for episode, length in enumerate((278, 221, 277)):
        own = real_data / "g1_bottle_lerobot_v21/videos/chunk-000" / camera
        alone = RecordedFrames(own / f"episode_{episode:06d}.mp4", 0, length, (480, 640))
        part = RecordedFrames(joint, first, length, (480, 640))
        for tick in (0, 1, length // 2, length - 1):
            np.testing.assert_array_equal(part[tick], alone[tick])
        first += length
    np.testing.assert_array_equal(  # in order is the same as at random
        list(read_frames(joint, 270, 12)),
        [RecordedFrames(joint, 0, first, (480, 640))[tick] for tick in range(270, 282)],
    )


def test_real_h264_with_b_frames_reads_the_same_at_random_and_in_order(real_data):
    folder = "gr1_picknplace_lerobot_v20/videos/chunk-000/observation.images.ego_view"
    frames = RecordedFrames(real_data / folder / "episode_000001.mp4", 0, 470, (256, 256))
    in_order = dict(enumerate(frames))
    assert len(in_order) == 470
    for tick in (0, 1, 2, 17, 249, 250, 251, 468, 469):
        np.testing.assert_array_equal(frames[tick], in_order[tick])


def test_one_opened_file_gives_any_frame_in_any_order(tmp_path):
    frames = record(tmp_path / "video.mp4", 20)
    with VideoFile(frames.path) as video:
        for index in (5, 19, 0, 0, 19, 7):
            assert number_of(next(video.frames(range(index, index + 1), None))) == index
        assert [number_of(image) for image in video.frames(range(20), None)] == list(range(20))
