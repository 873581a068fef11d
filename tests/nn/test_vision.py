"""Frames to features: where things are, crops, and weights that carry torchvision's names."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from understudy.nn.vision import (
    PIXEL_DEVIATION,
    PIXEL_MEAN,
    FrameReader,
    ImageEncoder,
    Resnet18,
    SpatialSoftmax,
    VisionConfig,
    crop,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def random_frames(count=2, history=3, rows=40, columns=48):
    return torch.randint(256, (count, history, rows, columns, 3), dtype=torch.uint8)


def numbered_frames(count, history, rows, columns):
    """Each pixel says where it is: its row, its column, and which frame of which window it is in."""
    frames = torch.zeros(count, history, rows, columns, 3, dtype=torch.uint8)
    frames[..., 0] = torch.arange(rows)[:, None]
    frames[..., 1] = torch.arange(columns)
    frames[..., 2] = torch.arange(count * history).view(count, history, 1, 1)
    return frames


# --- places


@pytest.mark.parametrize(("row", "column"), [(0, 0), (4, 10), (2, 5), (1, 9)])
def test_the_spatial_softmax_finds_a_bright_spot(row, column):
    places = SpatialSoftmax(2, 2)
    torch.nn.init.zeros_(places.maps.bias)
    places.maps.weight.data = torch.eye(2)[:, :, None, None]
    maps = torch.zeros(1, 2, 5, 11)
    maps[0, 0, row, column] = 1000.0
    result = places(maps)[0]  # columns of both keypoints, then their rows
    assert result[0].item() == pytest.approx(-1 + 2 * column / 10, abs=1e-6)
    assert result[2].item() == pytest.approx(-1 + 2 * row / 4, abs=1e-6)
    assert result[[1, 3]].abs().max() < 1e-6  # a map without any spot: the middle


def test_the_spatial_softmax_is_the_mean_place_of_the_softmax():
    places = SpatialSoftmax(3, 4)
    maps = torch.randn(2, 3, 5, 6)
    weights = places.maps(maps).flatten(2).softmax(-1).view(2, 4, 5, 6)
    result = places(maps)
    for sample in range(2):
        for point in range(4):
            column = sum(
                weights[sample, point, y, x] * np.linspace(-1, 1, 6)[x]
                for y in range(5)
                for x in range(6)
            )
            row = sum(
                weights[sample, point, y, x] * np.linspace(-1, 1, 5)[y]
                for y in range(5)
                for x in range(6)
            )
            assert result[sample, point].item() == pytest.approx(column.item(), abs=1e-6)
            assert result[sample, 4 + point].item() == pytest.approx(row.item(), abs=1e-6)


# --- crops


def test_in_use_the_crop_is_the_centre():
    frames = numbered_frames(3, 2, 40, 60)
    result = crop(frames, (20, 20), is_random=False)
    assert torch.equal(result, frames[:, :, 10:30, 20:40])


def test_a_random_crop_is_a_true_window_and_the_same_for_all_frames_of_a_sample():
    count, history, rows, columns, side = 60, 3, 14, 18, 10
    frames = numbered_frames(count, history, rows, columns)
    result = crop(frames, (side, side), is_random=True)
    corners = set()
    for sample in range(count):
        top, left = result[sample, 0, 0, 0, :2].tolist()
        expected = frames[sample, :, top : top + side, left : left + side]
        assert torch.equal(result[sample], expected)
        corners.add((top, left))
    assert {top for top, _ in corners} == set(range(5))
    assert {left for _, left in corners} == set(range(9))


def test_a_crop_as_large_as_the_frame_is_the_frame():
    frames = numbered_frames(2, 2, 12, 12)
    assert torch.equal(crop(frames, (12, 12), is_random=True), frames)


def test_the_reader_crops_at_random_in_training_and_in_the_centre_in_use():
    reader = FrameReader(VisionConfig(crop=32), (40, 48, 3))
    frames = random_frames(1, 1)
    reader.eval()
    assert torch.equal(reader(frames), reader(frames))
    middle = frames[:, :, 4:36, 8:40]
    assert torch.equal(reader(frames), reader(middle))
    reader.train()
    assert len({reader(frames).sum().item() for _ in range(8)}) > 4


@pytest.mark.parametrize(("crop", "shape", "size"), [(0.875, (96, 96, 3), (84, 84)), (0.875, (240, 320, 3), (210, 280)), (84, (240, 320, 3), (84, 84)), (0, (24, 40, 3), (24, 40))])  # fmt: skip
def test_a_crop_is_a_share_of_each_side_or_a_square(crop, shape, size):
    reader = FrameReader(VisionConfig(crop=crop), shape)
    assert reader.size == size
    reader.eval()(torch.zeros(1, 1, *shape, dtype=torch.uint8))


def test_a_crop_larger_than_the_frames_is_refused():
    with pytest.raises(ValueError, match="crop 33: frames are"):
        FrameReader(VisionConfig(crop=33), (32, 40, 3))


# --- readers


def test_a_reader_sees_pixels_with_the_mean_and_deviation_of_published_weights():
    reader = FrameReader(VisionConfig(), (8, 8, 3))
    reader.network = torch.nn.Identity()
    frames = random_frames(2, 3, 8, 8)
    result = reader(frames)
    assert result.shape == (6, 3, 8, 8)
    for channel in range(3):
        expected = frames[..., channel].flatten(0, 1) / 255.0
        expected = (expected - PIXEL_MEAN[channel]) / PIXEL_DEVIATION[channel]
        torch.testing.assert_close(result[:, channel], expected)


@pytest.mark.parametrize(
    ("encoder", "channels", "shrink"), [("small", 128, 8), ("resnet18", 512, 32)]
)
def test_maps_and_features_have_the_promised_shapes(encoder, channels, shrink):
    frames = random_frames(2, 3, 64, 96)
    config = VisionConfig(encoder=encoder, features=7, keypoints=5)
    network = ImageEncoder(config, (64, 96, 3)).eval()
    maps = network.frames(frames)
    assert maps.shape == (6, channels, 64 // shrink, 96 // shrink)
    assert network.frames.channels == channels
    features = network(frames)
    assert features.shape == (2, 3, 7)
    again = network(frames[1:, 2:])
    torch.testing.assert_close(features[1, 2], again[0, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(32, 40), (32, 40, 1), (3, 32, 40)])
def test_frames_that_are_not_rows_columns_and_three_colours_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(Y, X, 3\)"):
        FrameReader(VisionConfig(), shape)


@pytest.mark.parametrize("wrong", [{"features": 0}, {"keypoints": 0}, {"crop": -1}])
def test_sizes_below_their_least_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VisionConfig(**wrong)


# --- weights of others


def torchvision_names() -> set[str]:
    """Names of torchvision's resnet18 without running statistics and the classifier."""
    names = {"conv1.weight", "bn1.weight", "bn1.bias"}
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            for layer in (1, 2):
                names |= {
                    f"layer{stage}.{block}.conv{layer}.weight",
                    f"layer{stage}.{block}.bn{layer}.weight",
                    f"layer{stage}.{block}.bn{layer}.bias",
                }
        if stage > 1:
            names |= {f"layer{stage}.0.downsample.{n}" for n in ("0.weight", "1.weight", "1.bias")}
    return names


def published(network) -> dict[str, torch.Tensor]:
    """What torchvision's file holds: our names and shapes, statistics and a classifier."""
    weights = {key: torch.randn_like(value) / 10 for key, value in network.state_dict().items()}
    for key in [k for k in weights if re.search(r"(bn\d|downsample\.1)\.weight$", k)]:
        norm = key.removesuffix("weight")
        weights[f"{norm}running_mean"] = torch.randn_like(weights[key])
        weights[f"{norm}running_var"] = torch.rand_like(weights[key])
        weights[f"{norm}num_batches_tracked"] = torch.tensor(17)
    return weights | {"fc.weight": torch.randn(1000, 512), "fc.bias": torch.randn(1000)}


def test_the_names_of_the_resnet_are_those_of_torchvision():
    state = Resnet18().state_dict()
    assert set(state) == torchvision_names()
    assert len(published(Resnet18())) == 122  # as many as torchvision's file holds
    assert state["layer3.0.downsample.0.weight"].shape == (256, 128, 1, 1)
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    convolutions = sum(value.numel() for value in state.values())
    assert convolutions == 11_689_512 - 513_000  # torchvision's count less its classifier's


def test_published_weights_are_loaded_and_statistics_and_classifier_left_out(tmp_path: Path):
    weights = published(Resnet18())
    save_file(weights, tmp_path / "resnet18.safetensors")
    config = VisionConfig(encoder="resnet18", pretrained=str(tmp_path / "resnet18.safetensors"))
    encoder = ImageEncoder(config, (64, 64, 3))
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    assert not torch.equal(before["frames.network.conv1.weight"], weights["conv1.weight"])
    encoder.prepare()
    for key, value in encoder.frames.network.state_dict().items():
        assert torch.equal(value, weights[key])
    assert torch.equal(encoder.last.weight, before["last.weight"])
    assert torch.isfinite(encoder(random_frames(1, 1, 64, 64))).all()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "no safetensors file"),
        (b"\x80\x04K\x01.", "no safetensors file"),
        ("half", "no safetensors file"),
        ("folder", "cannot be read"),
        ({"layer2.0.conv1.weight": None}, r"layer2\.0\.conv1\.weight: missing"),
        ({"conv1.weight": torch.zeros(64, 3, 3, 3)}, r"conv1\.weight: shape \(64, 3, 3, 3\)"),
    ],
)
def test_a_file_of_weights_that_is_not_right_is_named_and_nothing_is_loaded(
    content, said, tmp_path: Path
):
    file = tmp_path / "weights.safetensors"
    if content == "folder":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        changes = {} if content == "half" else content
        weights = published(Resnet18()) | changes
        save_file({key: value for key, value in weights.items() if value is not None}, file)
        if content == "half":
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    reader = FrameReader(VisionConfig(encoder="resnet18", pretrained=str(file)), (64, 64, 3))
    before = {key: value.clone() for key, value in reader.state_dict().items()}
    with pytest.raises(ValueError, match=said) as raised:
        reader.prepare()
    assert str(file) in str(raised.value)
    assert all(torch.equal(value, before[key]) for key, value in reader.state_dict().items())


def test_weights_of_another_encoder_are_refused(tmp_path: Path):
    save_file(published(Resnet18()), tmp_path / "resnet18.safetensors")
    config = VisionConfig(encoder="small", pretrained=str(tmp_path / "resnet18.safetensors"))
    with pytest.raises(ValueError, match="does not hold this encoder's weights"):
        FrameReader(config, (64, 64, 3)).prepare()
