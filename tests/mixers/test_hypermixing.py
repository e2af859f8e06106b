import inspect
import math

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hypermixer import MIXERS, HyperMixing, InputError
from hypermixer.ops.compare import TOLERANCES, error_ratio


def test_the_state_dict_is_as_documented() -> None:
    shapes = {k: tuple(v.shape) for k, v in HyperMixing(12, 18, 3).state_dict().items()}
    assert shapes == {
        "key_net.hidden.weight": (3, 4, 4),
        "key_net.hidden.bias": (3, 4),
        "key_net.out.weight": (3, 6, 4),
        "key_net.out.bias": (3, 6),
        "norm.weight": (12,),
        "norm.bias": (12,),
    }
    untied = HyperMixing(12, tied=False, bias=False, normalization="none").state_dict()
    assert set(untied) == {f"{net}.{layer}.weight" for net in ("key_net", "query_net") for layer in ("hidden", "out")}
    assert untied["query_net.out.weight"].shape == (1, 24, 12)


def test_cross_form_reads_other_tokens() -> None:
    torch.manual_seed(0)
    mixing = HyperMixing(8, num_heads=2, tied=False).double()
    query, key, value = (torch.randn(3, n, 8, dtype=torch.float64) for n in (5, 9, 9))
    keep = torch.rand(3, 9) > 0.4
    y = mixing(query, key, value, key_keep=keep)
    assert y.shape == query.shape
    changed = value.masked_fill(~keep.unsqueeze(-1), math.nan)
    assert torch.equal(mixing(query, key, changed, key_keep=keep), y)
    assert not torch.allclose(mixing(query, key, value + 1, key_keep=keep), y)
    # A key that is equal to the query but another object is cross-mixing too, and gives the same values.
    self_mixed = mixing(query, key_keep=keep[:, :5], query_keep=torch.ones(3, 5, dtype=torch.bool))
    crossed = mixing(query, query.clone(), key_keep=keep[:, :5])
    assert error_ratio(crossed, self_mixed) < TOLERANCES[torch.float64].exact


def test_positions_reach_the_hypernetworks_only() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    with_positions, without = HyperMixing(8), HyperMixing(8, positions="none")
    assert torch.allclose(without(x[:, order]), without(x)[:, order], atol=1e-5)
    assert not torch.allclose(with_positions(x[:, order]), with_positions(x)[:, order], atol=1e-2)
    zero = torch.zeros(2, 6, 8)
    plain = HyperMixing(8, normalization="none", bias=False)
    assert not plain(zero).any(), "positions leaked into the values"


@pytest.mark.parametrize("form", ["direct", "factored"])
def test_scale_of_output_and_gradients_over_length(form: str) -> None:
    """With LayerNorm both stay within a factor of 3 from 16 to 16,384 tokens."""
    sizes: list[float] = []
    gradients: list[float] = []
    for tokens in (16, 256, 4_096, 16_384):
        torch.manual_seed(0)
        mixing = HyperMixing(32, 64, form=form)
        x = torch.randn(1, tokens, 32, requires_grad=True)
        y = mixing(x)
        y.backward(torch.randn_like(y))
        sizes.append(y.detach().square().mean().sqrt().item())
        assert x.grad is not None
        gradients.append(x.grad.square().mean().sqrt().item())
    assert max(sizes) < 3 * min(sizes)
    assert max(gradients) < 3 * min(gradients), gradients


def test_the_mixers_defaults_are_the_layers() -> None:
    signature = inspect.signature(HyperMixing.__init__).parameters
    config = MIXERS["hypermixing"].Config()
    assert vars(config) == {name: signature[name].default for name in vars(config)}
    assert set(vars(config)) == set(signature) - {"self", "d_model"}


@pytest.mark.parametrize("tied", [True, False])
def test_half_precision_generates_each_network_once(tied: bool) -> None:
    mixing = HyperMixing(24, tied=tied, form="direct").half()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        mixing(torch.randn(1, 9, 24).half())
    assert counter.get_total_flops() == mixing.flops(9)


def test_a_mask_of_ones_changes_nothing_at_odd_lengths() -> None:
    torch.manual_seed(0)
    mixing = HyperMixing(16, normalization="length").bfloat16()
    x = torch.randn(1, 1005, 16).bfloat16()
    assert error_ratio(mixing(x, key_keep=torch.ones(1, 1005, dtype=torch.bool)), mixing(x)) < 1e-3


def test_length_zero_and_rows_with_nothing_kept() -> None:
    mixing = HyperMixing(8, num_heads=2)
    assert mixing(torch.empty(2, 0, 8)).shape == (2, 0, 8)
    y = mixing(torch.full((2, 3, 8), math.nan), key_keep=torch.zeros(2, 3, dtype=torch.bool))
    assert not y.any()


def test_non_contiguous_inputs() -> None:
    torch.manual_seed(0)
    mixing = HyperMixing(8, num_heads=2)
    x = torch.randn(8, 5, 3).permute(2, 1, 0)
    assert error_ratio(mixing(x), mixing(x.contiguous())) < TOLERANCES[torch.float32].exact


def bad_calls() -> list[tuple[str, tuple[Tensor, ...], dict[str, Tensor]]]:
    x = torch.randn(2, 3, 8)
    return [
        ("tied=False", (x, torch.randn(2, 4, 8)), {}),
        ("query", (torch.randn(2, 3, 7),), {}),
        ("key_keep", (x,), {"key_keep": torch.ones(2, 3)}),
        ("key_keep", (x,), {"key_keep": torch.ones(2, 4, dtype=torch.bool)}),
        ("value", (x, x, torch.randn(2, 4, 8)), {}),
        ("dtype", (x, x, x.double()), {}),
    ]


@pytest.mark.parametrize("word, arguments, options", bad_calls())
def test_bad_calls_say_what_is_wrong(word: str, arguments: tuple[Tensor, ...], options: dict[str, Tensor]) -> None:
    with pytest.raises(InputError, match=word):
        HyperMixing(8)(*arguments, **options)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"num_heads": 3}, "num_heads=3"),
        ({"num_heads": 0}, "num_heads"),
        ({"d_hidden": 0}, "d_hidden"),
        ({"d_hidden": 7, "num_heads": 2}, "d_hidden=7"),
        ({"normalization": "batch"}, "layer"),
        ({"positions": "learned"}, "sinusoidal"),
        ({"backend": "triton"}, "dense"),
        ({"form": "blocked"}, "direct"),
        ({"form": "direct", "backend": "reference"}, "reference"),
    ],
)
def test_bad_options_are_refused(options: dict[str, int], word: str) -> None:
    with pytest.raises(InputError, match=word):
        HyperMixing(8, **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("tied", [True, False])
def test_projections_stand_around_the_mixing(tied: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    plain, projected = (HyperMixing(8, num_heads=2, tied=tied, projections=wanted).double() for wanted in (False, True))
    plain.load_state_dict({k: v for k, v in projected.state_dict().items() if "projection" not in k})
    value, output = projected.value_projection, projected.output_projection
    assert value is not None and output is not None and "value_projection.weight" in projected.state_dict()
    keep = torch.tensor([[True, True, False, True, True], [False] * 5])
    expected = output(plain(x, value=value(x), key_keep=keep)).masked_fill(~keep.unsqueeze(-1), 0)
    assert error_ratio(projected(x, key_keep=keep), expected) < TOLERANCES[torch.float64].exact
    assert projected.flops(5) - plain.flops(5) == 2 * 2 * 5 * 8 * 8
