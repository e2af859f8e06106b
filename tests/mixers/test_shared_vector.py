import math

import pytest
import torch

from hypermixer import HyperMixing, InputError
from hypermixer.mixers import Sequences, build_mixer, shared_vector
from hypermixer.mixers.shared_vector import SharedVector
from hypermixer.ops.compare import TOLERANCES, error_ratio

EXACT = TOLERANCES[torch.float64].exact
KEY, QUERY = [1.0, 2.0, -1.0], [3.0, 1.0, -2.0]
X = [[1.0, 2.0], [3.0, -4.0], [1.0, 1.0]]
SCALE, SHIFT = [2.0, -1.0], [0.5, 3.0]


def gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def made(d_model: int, d_hidden: int | None = None, normalization: str = "layer") -> SharedVector:
    mixer = build_mixer("shared_vector", {"d_hidden": d_hidden, "normalization": normalization}, d_model=d_model)
    assert isinstance(mixer, SharedVector)
    return mixer.double()


@pytest.mark.parametrize("normalization", ["none", "length", "layer"])
def test_the_equation_by_hand(normalization: str) -> None:
    total = [5.0, -1.0]  # 1 + 3 + 1, 2 - 4 + 1
    if normalization == "length":
        total = [5 / 3, -1 / 3]
    y = [sum(w2 * gelu(w1 * s) for w1, w2 in zip(KEY, QUERY, strict=True)) for s in total]
    state = {"key_vector": KEY, "query_vector": QUERY}
    if normalization == "layer":
        mean = (y[0] + y[1]) / 2
        deviation = math.sqrt(((y[0] - mean) ** 2 + (y[1] - mean) ** 2) / 2 + 1e-5)
        y = [(v - mean) / deviation * a + b for v, a, b in zip(y, SCALE, SHIFT, strict=True)]
        state |= {"norm.weight": SCALE, "norm.bias": SHIFT}
    mixer = made(2, 3, normalization)
    mixer.load_state_dict({name: torch.tensor(value, dtype=torch.float64) for name, value in state.items()})
    x = torch.tensor([X], dtype=torch.float64)
    expected = torch.tensor([[y, y, y]], dtype=torch.float64)
    assert error_ratio(mixer(x, Sequences.padded(x)), expected) <= EXACT


@pytest.mark.parametrize("kind", ["plain", "masked", "packed"])
@pytest.mark.parametrize("normalization", ["none", "length", "layer"])
def test_it_is_hypermixing_with_constant_hypernetworks(normalization: str, kind: str) -> None:
    torch.manual_seed(0)
    mixer = made(6, 10, normalization)
    mixing = HyperMixing(6, 10, tied=False, positions="none", normalization=normalization).double()  # pyright: ignore[reportArgumentType]
    assert mixing.query_net is not None
    with torch.no_grad():
        if mixer.norm is not None and mixing.norm is not None:
            mixing.norm.weight.copy_(mixer.norm.weight.normal_())
            mixing.norm.bias.copy_(mixer.norm.bias.normal_())
        for net, vector in ((mixing.key_net, mixer.key_vector), (mixing.query_net, mixer.query_vector)):
            assert net.out.bias is not None
            net.out.weight.zero_()
            net.out.bias.copy_(vector.unsqueeze(0))
    if kind == "packed":
        x, offsets = torch.randn(9, 6, dtype=torch.float64), torch.tensor([0, 4, 4, 5, 9])
        y, expected = mixer(x, Sequences.packed(x, offsets)), mixing(x, key_cu_seqlens=offsets)
    else:
        x = torch.randn(3, 7, 6, dtype=torch.float64)
        keep = torch.rand(3, 7) > 0.4 if kind == "masked" else None
        y, expected = mixer(x, Sequences.padded(x, keep)), mixing(x, key_keep=keep)
    assert error_ratio(y, expected) <= EXACT


def test_all_tokens_of_a_sequence_receive_the_same_vector() -> None:
    torch.manual_seed(0)
    mixer = made(5)
    x = torch.randn(3, 7, 5, dtype=torch.float64)
    y = mixer(x, Sequences.padded(x))
    assert torch.equal(y, y[:, :1].expand_as(y)) and not torch.allclose(y[0], y[1])
    packed = x.flatten(0, 1)[:11]
    z = mixer(packed, Sequences.packed(packed, torch.tensor([0, 7, 11])))
    assert torch.equal(z[:7], z[:1].expand(7, 5)) and torch.equal(z[7:], z[7:8].expand(4, 5))
    assert not torch.allclose(z[0], z[7])


def test_blocks_of_sequences_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    mixer, x = made(5), torch.randn(7, 3, 5, dtype=torch.float64)
    whole = mixer(x, Sequences.padded(x))
    monkeypatch.setattr(shared_vector, "_BLOCK_BYTES", 2 * 5 * 10 * 8)
    assert error_ratio(mixer(x, Sequences.padded(x)), whole) <= EXACT


def test_the_hidden_size_is_twice_the_width_unless_told() -> None:
    assert made(5).key_vector.shape == made(5).query_vector.shape == (10,)
    assert made(5, 3).key_vector.shape == (3,)


@pytest.mark.parametrize(
    "options, word", [({"d_hidden": 0}, "d_hidden"), ({"normalization": "lenght"}, "length"), ({"d_hidden": -3}, "-3")]
)
def test_bad_options_are_refused(options: dict[str, object], word: str) -> None:
    with pytest.raises(InputError, match=word):
        build_mixer("shared_vector", options, d_model=5)
