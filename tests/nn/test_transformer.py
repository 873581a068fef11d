"""Attention and layers against torch's own with the same weights; positions against DETR's formula."""

import math

import pytest
import torch
from torch import nn

from understudy.nn.transformer import (
    Attention,
    DecoderLayer,
    EncoderLayer,
    line_positions,
    plane_positions,
)

WIDTH, HEADS, HIDDEN = 16, 4, 24


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def copied_attention(theirs: nn.MultiheadAttention, ours: Attention) -> None:
    """Give torch's layer the weights of ours."""
    layers = (ours.query, ours.key, ours.value)
    state = {
        "in_proj_weight": torch.cat([layer.weight for layer in layers]),
        "in_proj_bias": torch.cat([layer.bias for layer in layers]),
        "out_proj.weight": ours.last.weight,
        "out_proj.bias": ours.last.bias,
    }
    theirs.load_state_dict(state)


def copied_rest(theirs: nn.Module, ours: EncoderLayer | DecoderLayer, norms: list) -> None:
    for name, layer in zip(("linear1", "linear2"), ours.feedforward.layers[::3], strict=True):
        getattr(theirs, name).load_state_dict(layer.state_dict())
    for number, norm in enumerate([*norms, ours.feedforward.norm], 1):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        getattr(theirs, f"norm{number}").load_state_dict(norm.state_dict())


def ignored_of(count: int, tokens: int) -> torch.Tensor:
    """Some tokens of each row, never all of them."""
    ignored = torch.rand(count, tokens) < 0.5
    ignored[:, 0] = False
    ignored[0, 1:] = torch.tensor([True] * (tokens - 1))
    return ignored


@pytest.mark.parametrize("is_masked", [False, True])
def test_attention_is_that_of_torch(is_masked):
    ours = Attention(WIDTH, HEADS, 0.0)
    theirs = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    copied_attention(theirs, ours)
    query, key, value = (torch.randn(3, count, WIDTH) for count in (2, 6, 6))
    ignored = ignored_of(3, 6) if is_masked else None
    expected, _ = theirs(query, key, value, key_padding_mask=ignored)
    torch.testing.assert_close(ours(query, key, value, ignored), expected)


@pytest.mark.parametrize("is_masked", [False, True])
def test_the_encoder_layer_is_that_of_torch_where_no_position_is_given(is_masked):
    ours = EncoderLayer(WIDTH, HEADS, HIDDEN, 0.0)
    theirs = nn.TransformerEncoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True)
    copied_attention(theirs.self_attn, ours.attention)
    copied_rest(theirs, ours, [ours.norm])
    tokens = torch.randn(3, 6, WIDTH)
    ignored = ignored_of(3, 6) if is_masked else None
    expected = theirs(tokens, src_key_padding_mask=ignored)
    torch.testing.assert_close(
        ours(tokens, torch.zeros(6, WIDTH), ignored), expected, rtol=1e-4, atol=1e-5
    )


def test_the_decoder_layer_is_that_of_torch_where_no_position_is_given():
    ours = DecoderLayer(WIDTH, HEADS, HIDDEN, 0.0)
    theirs = nn.TransformerDecoderLayer(WIDTH, HEADS, HIDDEN, 0.0, batch_first=True)
    copied_attention(theirs.self_attn, ours.among)
    copied_attention(theirs.multihead_attn, ours.across)
    copied_rest(theirs, ours, list(ours.norms))
    queries, tokens = torch.randn(3, 4, WIDTH), torch.randn(3, 6, WIDTH)
    result = ours(queries, torch.zeros(4, WIDTH), tokens, torch.zeros(6, WIDTH))
    torch.testing.assert_close(result, theirs(queries, tokens), rtol=1e-4, atol=1e-5)


def test_without_positions_the_order_of_tokens_means_nothing_and_with_them_it_does():
    layer = EncoderLayer(WIDTH, HEADS, HIDDEN, 0.0)
    tokens, order = torch.randn(2, 5, WIDTH), torch.tensor([3, 0, 4, 1, 2])
    for position, differs in ((torch.zeros(5, WIDTH), False), (line_positions(5, WIDTH), True)):
        whole, moved = layer(tokens, position)[:, order], layer(tokens[:, order], position)
        assert ((whole - moved).abs().max() > 1e-2) == differs


def test_the_places_of_queries_and_of_tokens_both_matter_to_the_decoder():
    layer = DecoderLayer(WIDTH, HEADS, HIDDEN, 0.0)
    queries, tokens = torch.zeros(1, 4, WIDTH), torch.randn(1, 6, WIDTH)
    place, position = torch.randn(4, WIDTH), torch.randn(6, WIDTH)
    result = layer(queries, place, tokens, position)
    assert torch.cdist(result[0], result[0])[~torch.eye(4, dtype=torch.bool)].min() > 1e-3
    nowhere = layer(queries, torch.zeros(4, WIDTH), tokens, position)
    torch.testing.assert_close(nowhere, nowhere[:, :1].expand(-1, 4, -1))
    assert (layer(queries, place, tokens, position.flip(0)) - result).abs().max() > 1e-3


def test_positions_steer_where_is_looked_and_are_no_part_of_what_is_seen():
    """With attention that looks everywhere alike, a position changes nothing."""
    layer = EncoderLayer(WIDTH, HEADS, HIDDEN, 0.0)
    torch.nn.init.zeros_(layer.attention.query.weight)
    torch.nn.init.zeros_(layer.attention.query.bias)
    tokens = torch.randn(2, 5, WIDTH)
    without = layer(tokens, torch.zeros(5, WIDTH))
    torch.testing.assert_close(layer(tokens, 10 * torch.randn(5, WIDTH)), without)


def test_what_is_ignored_changes_nothing():
    layers = [EncoderLayer(WIDTH, HEADS, HIDDEN, 0.0) for _ in range(2)]
    position, ignored = line_positions(6, WIDTH), ignored_of(3, 6)

    def encoded(tokens, ignored):
        for layer in layers:
            tokens = layer(tokens, position, ignored)
        return tokens

    tokens = torch.randn(3, 6, WIDTH)
    others = torch.where(ignored[..., None], 100 * torch.randn(3, 6, WIDTH), tokens)
    kept = ~ignored
    assert torch.equal(encoded(tokens, ignored)[kept], encoded(others, ignored)[kept])
    assert not torch.allclose(encoded(tokens, None)[kept], encoded(others, None)[kept])
    alone = layers[0](tokens[:1, :1], position[:1])  # row 0 has a single token that is not ignored
    torch.testing.assert_close(layers[0](tokens, position, ignored)[:1, :1], alone)


def test_dropout_acts_in_training_alone():
    layer = EncoderLayer(WIDTH, HEADS, HIDDEN, 0.5)
    tokens, position = torch.randn(2, 5, WIDTH), line_positions(5, WIDTH)
    assert not torch.equal(layer(tokens, position), layer(tokens, position))
    layer.eval()
    assert torch.equal(layer(tokens, position), layer(tokens, position))


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="multiple of heads"):
        Attention(10, 4, 0.0)


def test_positions_on_a_line_are_those_of_vaswani():
    result = line_positions(7, 6)
    for place in range(7):
        for feature in range(6):
            angle = place / 10_000 ** (2 * (feature // 2) / 6)
            expected = math.cos(angle) if feature % 2 else math.sin(angle)
            assert result[place, feature].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("rows", "columns"), [(3, 5), (1, 1), (8, 2)])
def test_positions_in_a_plane_are_those_of_detr(rows, columns):
    """Its `PositionEmbeddingSine` with normalize=True: the row's features, then the column's."""
    width = 12
    result = plane_positions(rows, columns, width).view(rows, columns, width)
    for row in range(rows):
        for column in range(columns):
            expected = []
            for place, count in ((row, rows), (column, columns)):
                scaled = (place + 1) / (count + 1e-6) * 2 * math.pi
                for feature in range(width // 2):
                    angle = scaled / 10_000 ** (2 * (feature // 2) / (width // 2))
                    expected.append(math.cos(angle) if feature % 2 else math.sin(angle))
            torch.testing.assert_close(
                result[row, column], torch.tensor(expected), rtol=0, atol=2e-5
            )


@pytest.mark.parametrize("positions", [line_positions(400, 32), plane_positions(15, 20, 32)])
def test_each_place_is_told_apart_from_all_others(positions):
    apart = torch.cdist(positions, positions) + 10 * torch.eye(len(positions))
    assert apart.min() > 0.05


def test_a_width_without_room_for_rows_and_columns_is_refused():
    with pytest.raises(ValueError, match="multiple of 4"):
        plane_positions(2, 2, 6)
