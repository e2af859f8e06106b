import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hypermixer.encoder import Block, Dropout, Embeddings, Encoder
from hypermixer.encoder_config import LAYOUTS, EncoderConfig
from hypermixer.errors import InputError
from hypermixer.mixers import MIXERS, Sequences
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.packing import Packing


def tiny(**changes: object) -> EncoderConfig:
    shape = {"vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 20}
    return EncoderConfig(**{**shape, **changes})  # pyright: ignore[reportArgumentType]


class Doubles(nn.Module):
    def forward(self, x: Tensor, *_: object) -> Tensor:
        return 2 * x


@pytest.mark.parametrize(
    "layout, expected",
    [
        ("serialized", "x + 3 * ln(x + 2 * ln(x))"),
        ("pre", "x + 2 * ln(x) + 3 * ln(x + 2 * ln(x))"),
        ("post", "ln(4 * ln(3 * x))"),
        ("rezero", "(1 + 0.5 * 2) * x + 0.25 * 3 * (1 + 0.5 * 2) * x"),
        ("parallel", "x + 2 * ln(x) + 3 * ln(x)"),
    ],
)
def test_layouts_are_the_equations(layout: str, expected: str) -> None:
    """With mixing 2x and features 3x every layout is an expression of x."""
    torch.manual_seed(0)
    block: Any = Block(tiny(layout=layout), "hypermixing", {}).eval().double()
    block.mixer = Doubles()
    block.features = nn.Linear(24, 24, bias=False).double()
    with torch.no_grad():
        block.features.weight.copy_(3 * torch.eye(24))
        if layout == "rezero":
            assert not block.gates.any()
            block.gates.copy_(torch.tensor([0.5, 0.25]))
    x = torch.randn(2, 5, 24, dtype=torch.float64)

    def ln(t: Tensor) -> Tensor:
        return nn.functional.layer_norm(t, (24,))

    wanted = eval(expected, {"x": x, "ln": ln})
    assert error_ratio(block(x, Sequences.padded(x)), wanted) < TOLERANCES[torch.float64].exact


def open_encoder(mixer: str, layout: str) -> Encoder:
    """In float64, without dropout, the gates of `rezero` open."""
    encoder = Encoder(tiny(layout=layout), mixer, {}).double().eval()
    if layout == "rezero":
        for block in encoder.blocks:
            assert isinstance(block, Block)
            nn.init.constant_(block.gates, 0.3)
    return encoder


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mixer", MIXERS)
def test_every_layout_trains_and_hides_padding(mixer: str, layout: str) -> None:
    torch.manual_seed(0)
    encoder = open_encoder(mixer, layout)
    ids = torch.randint(1, 37, (3, 9))
    keep = torch.arange(9) < torch.tensor([[9], [4], [0]])
    x = encoder(ids, Sequences.padded(ids, keep))
    assert not x[~keep].any() and x.isfinite().all()
    alone = encoder(ids[1:2, :4], Sequences.padded(ids[1:2, :4]))
    assert error_ratio(x[1:2, :4], alone) < TOLERANCES[torch.float64].exact
    x.square().sum().backward()
    for name, p in encoder.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.any(), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_feature_mixing_nothing_of_it_is_left(layout: str) -> None:
    encoder = Encoder(tiny(layout=layout, feature_mixing=False), "hypermixing", {})
    if layout == "rezero":
        for block in encoder.blocks:
            assert isinstance(block, Block)
            nn.init.constant_(block.gates, 0.3)
    ids = torch.randint(1, 37, (2, 5))
    encoder(ids, Sequences.padded(ids)).square().sum().backward()
    for name, p in encoder.named_parameters():
        assert "features" not in name and p.grad is not None, name


def test_order_of_tokens_reaches_every_mixer_but_those_without_positions() -> None:
    torch.manual_seed(0)
    ids = torch.tensor([[3, 4, 5, 6], [6, 4, 5, 3]])
    for mixer in MIXERS:
        encoder = Encoder(tiny(), mixer, {}).eval().double()
        sequences = Sequences.padded(ids)
        pooled = sequences.mean(encoder(ids, sequences))
        blind = error_ratio(pooled[0], pooled[1]) < 1e-9
        assert blind == (MIXERS[mixer].positions == "none"), mixer


def test_segments_tell_the_texts_of_a_pair_apart() -> None:
    torch.manual_seed(0)
    encoder = Encoder(tiny(), "hypermixing", {}).eval()
    ids = torch.tensor([[3, 4, 5]])
    sequences = Sequences.padded(ids)
    first, second = (encoder(ids, sequences, torch.full((1, 3), t)) for t in (0, 1))
    assert torch.equal(first, encoder(ids, sequences)) and not torch.allclose(first, second)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("order", [(9, 4, 4, 0), (4, 9, 0, 4), (0, 4, 9, 4)])
def test_packed_is_padded_in_every_layout(order: tuple[int, ...], mixer: str, layout: str) -> None:
    torch.manual_seed(0)
    encoder = open_encoder(mixer, layout)
    ids, types = torch.randint(1, 37, (4, 9)), torch.randint(0, 2, (4, 9))
    keep = torch.arange(9) < torch.tensor(order).unsqueeze(1)
    packing = Packing(order, ids.device)
    upper = torch.randn(4, 24, dtype=torch.float64)
    weight = torch.randn(packing.tokens, 24, dtype=torch.float64)
    results: list[dict[str, Tensor]] = []
    for padded in (True, False):
        encoder.zero_grad()
        each: list[Tensor] = []
        if padded:
            sequences = Sequences.padded(ids, keep)
            x = encoder(ids, sequences, types, each)
        else:
            sequences = Sequences.packed(ids[keep], packing)
            x = encoder(ids[keep], sequences, types[keep], each)
        pooled = sequences.mean(x)
        x, *each = (t[keep] if padded else t for t in (x, *each))
        ((pooled * upper).sum() + (x * weight).sum()).backward()
        gradients = {name: p.grad.clone() for name, p in encoder.named_parameters() if p.grad is not None}
        results.append({"x": x, "pooled": pooled, **{f"block {i}": t for i, t in enumerate(each)}, **gradients})
    assert results[0].keys() == results[1].keys()
    for name, expected in results[0].items():
        assert error_ratio(results[1][name], expected) < TOLERANCES[torch.float64].exact, name


@pytest.mark.parametrize("mixer", MIXERS)
def test_no_packed_text_at_all(mixer: str) -> None:
    encoder = Encoder(tiny(), mixer, {})
    ids = torch.empty(0, dtype=torch.long)
    sequences = Sequences.packed(ids, torch.tensor([0]))
    x = encoder(ids, sequences)
    assert x.shape == (0, 24) and sequences.mean(x).shape == (0, 24)
    x.sum().backward()


@pytest.mark.parametrize("mixer", MIXERS)
def test_checkpointing_gives_the_same_gradients(mixer: str) -> None:
    torch.manual_seed(0)
    encoder = Encoder(tiny(hidden_dropout_prob=0.2), mixer, {})
    ids = torch.randint(1, 37, (2, 5))
    keep = torch.tensor([[False, True, True, False, True], [True] * 5])
    gradients = []
    for on in (False, True):
        encoder.gradient_checkpointing = on
        encoder.zero_grad()
        torch.manual_seed(1)
        encoder(ids, Sequences.padded(ids, keep)).square().sum().backward()
        gradients.append([p.grad.clone() for p in encoder.parameters() if p.grad is not None])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"layout": "serialised"}, "serialized"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob"),
        ({"hidden_dropout_prob": math.nan}, "hidden_dropout_prob"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"pad_token_id": 37}, "pad_token_id"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps"),
    ],
)
def test_bad_shapes_are_refused(changes: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        tiny(**changes)


@pytest.mark.parametrize("p", [0.1, 0.37, 0.9])
def test_dropout_drops_so_much_everywhere_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    dropout, x = Dropout(p), torch.ones(999, 403, requires_grad=True)
    y = dropout(x)
    kept = y != 0
    assert torch.allclose(y[kept], torch.tensor(1 / (1 - p)), rtol=1e-3)
    error = 5 * (p * (1 - p) / x.numel()) ** 0.5
    # Each draw makes four decisions: none of the four may lean, nor any follow its neighbour.
    lanes = [kept.flatten()[i::4].double().mean().item() for i in range(4)]
    assert all(abs(lane - (1 - p)) < 2 * error + 2**-16 for lane in lanes), lanes
    pairs = (kept.flatten()[1:] & kept.flatten()[:-1]).double().mean().item()
    assert abs(pairs - (1 - p) ** 2) < 3 * error
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, y.detach())
    torch.manual_seed(0)
    assert torch.equal(dropout(x), y) and not torch.equal(dropout(x), y)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dropout_at_its_ends(dtype: torch.dtype) -> None:
    x = torch.randn(3, 1, 5, dtype=dtype)
    assert torch.equal(Dropout(0.0)(x), x) and not Dropout(1.0)(x).any() and not Dropout(1 - 1e-9)(x).any()
    assert torch.equal(Dropout(0.5).eval()(x), x) and Dropout(0.5)(x[:0]).shape == (0, 1, 5)
    assert Dropout(0.5)(x).dtype == dtype


def learned(count: int, **changes: object) -> Embeddings:
    """Embeddings with learned positions, of a mixer that would have sinusoids; in float64."""
    torch.manual_seed(0)
    made = Embeddings(tiny(position_embeddings=count, initializer_range=1.0, **changes), add_positions=True).double()
    nn.init.normal_(made.norm.bias)
    return made


def test_learned_positions_are_added_before_the_norm() -> None:
    made, ids, types = learned(7), torch.tensor([[5, 9, 5], [3, 2, 1]]), torch.tensor([[0, 0, 1], [1, 0, 1]])
    assert made.positions is not None
    x = made.tokens.weight[ids] + made.types.weight[types] + made.positions.weight[:3]
    assert error_ratio(made(ids, types, Sequences.padded(ids)), made.norm(x)) < TOLERANCES[torch.float64].exact


def test_behind_the_last_learned_position_all_have_the_last() -> None:
    made = learned(4)
    ids = torch.full((2, 11), 8)
    x = made(ids, None, Sequences.padded(ids))
    assert len({tuple(row.tolist()) for row in x[0, :4]}) == 4
    assert torch.equal(x[:, 4:], x[:, 3:4].expand(-1, 7, -1))


def test_padding_moves_no_learned_position() -> None:
    made = learned(4)
    ids = torch.randint(1, 37, (4, 7))
    keep = torch.tensor([[0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0, 1], [1] * 7]).bool()
    padded = made(ids, None, Sequences.padded(ids, keep))
    for row, kept in enumerate(keep):
        alone = ids[row : row + 1, kept]
        assert torch.equal(padded[row, kept], made(alone, None, Sequences.padded(alone))[0])
    packing = Packing(keep.sum(1).tolist(), ids.device)
    assert torch.equal(made(ids[keep], None, Sequences.packed(ids[keep], packing)), padded[keep])


def test_no_sinusoids_stand_beside_learned_positions() -> None:
    made = learned(4)
    assert made.positions is not None
    nn.init.zeros_(made.positions.weight)
    ids = torch.full((1, 9), 8)
    assert torch.equal(*(made(ids, None, Sequences.padded(ids))[:, part] for part in (slice(8), slice(1, 9))))
    without = Embeddings(tiny(), add_positions=True)
    assert without.positions is None and without(ids, None, Sequences.padded(ids))[0].unique(dim=0).shape[0] == 9


@pytest.mark.parametrize("mixer", MIXERS)
def test_learned_positions_learn(mixer: str) -> None:
    torch.manual_seed(0)
    encoder = Encoder(tiny(layout="post", position_embeddings=5), mixer, {}).double().eval()
    ids = torch.randint(1, 37, (2, 8))
    keep = torch.arange(8) < torch.tensor([[3], [2]])
    table = encoder.embeddings.positions
    assert table is not None
    for mask, reached in ((keep, 3), (None, 5)):
        encoder.zero_grad()
        encoder(ids, Sequences.padded(ids, mask)).pow(3).sum().backward()
        grad = table.weight.grad
        assert (
            grad is not None
            and grad.isfinite().all()
            and grad.any(1).tolist() == [True] * reached + [False] * (5 - reached)
        )


def test_the_gradient_of_learned_positions() -> None:
    made = learned(3, hidden_size=4)
    ids = torch.randint(1, 37, (2, 5))
    keep = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 0, 1, 0]]).bool()
    assert made.positions is not None
    table = made.positions.weight

    def of(values: Tensor) -> Tensor:
        called = torch.func.functional_call(
            made, {"positions.weight": values}, (ids, None, Sequences.padded(ids, keep))
        )
        return called[keep]

    assert torch.autograd.gradcheck(of, table.detach().clone().requires_grad_())
