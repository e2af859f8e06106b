"""Arguments of a HyperMixing call that do not fit together are refused, each by its name."""

from typing import Any

import pytest
import torch
from torch import Tensor

from hypermixer.errors import InputError
from hypermixer.mixers import HyperMixing
from hypermixer.ops.packing import Packing

CPU = torch.device("cpu")
OFFSETS = torch.tensor([0, 2, 5])


def tokens(*shape: int) -> Tensor:
    return torch.randn(*shape, 8)


SELF: list[tuple[str, Tensor, dict[str, Any]]] = [
    ("key_cu_seqlens decreases from 4 to 2", tokens(5), {"key_cu_seqlens": torch.tensor([0, 4, 2, 5])}),
    ("key_cu_seqlens must start at 0, got 1", tokens(5), {"key_cu_seqlens": torch.tensor([1, 5])}),
    ("key_cu_seqlens ends at 4, but there are 5", tokens(5), {"key_cu_seqlens": torch.tensor([0, 4])}),
    ("key_cu_seqlens ends at 6, but there are 5", tokens(5), {"key_cu_seqlens": torch.tensor([0, 6])}),
    ("key_cu_seqlens .*float32", tokens(5), {"key_cu_seqlens": OFFSETS.float()}),
    ("key_cu_seqlens .*bool", tokens(5), {"key_cu_seqlens": OFFSETS.bool()}),
    (r"key_cu_seqlens .*\(1, 3\)", tokens(5), {"key_cu_seqlens": OFFSETS[None]}),
    (r"key_cu_seqlens .*\(0,\)", tokens(0), {"key_cu_seqlens": OFFSETS[:0]}),
    ("key_cu_seqlens covers 4", tokens(5), {"key_cu_seqlens": Packing([4], CPU)}),
    ("key_cu_seqlens or key_keep", tokens(5), {"key_cu_seqlens": OFFSETS, "key_keep": torch.ones(5).bool()}),
    ("query_keep", tokens(5), {"key_cu_seqlens": OFFSETS, "query_keep": torch.ones(5).bool()}),
    ("query_cu_seqlens has 1 .* key_cu_seqlens has 2", tokens(5), {
        "key_cu_seqlens": OFFSETS, "query_cu_seqlens": torch.tensor([0, 5])}),
    ("query_cu_seqlens ends at 4", tokens(5), {
        "key_cu_seqlens": OFFSETS, "query_cu_seqlens": torch.tensor([0, 2, 4])}),
    (r"query must have shape \(tokens, 8\), got \(1, 5, 8\)", tokens(1, 5), {"key_cu_seqlens": OFFSETS}),
    (r"query must have shape \(tokens, 8\), got \(5, 7\)", torch.randn(5, 7), {"key_cu_seqlens": OFFSETS}),
    (r"query must have shape \(tokens, 8\), got \(\)", torch.tensor(1.0), {"key_cu_seqlens": OFFSETS}),
    (r"query must have shape \(5, tokens, 8\), got \(5, 8\)", tokens(5), {}),
    (r"query must have shape .*got \(\)", torch.tensor(1.0), {}),
    (r"query must have shape \(2, tokens, 8\), got \(2, 3, 7\)", torch.randn(2, 3, 7), {}),
    ("key_keep must be bool", tokens(2, 3), {"key_keep": torch.ones(2, 3)}),
    (r"key_keep .*\(2, 4\)", tokens(2, 3), {"key_keep": torch.ones(2, 4).bool()}),
    ("query_keep must be bool", tokens(2, 3), {"query_keep": torch.ones(2, 3).long()}),
    ("key_cu_seqlens is missing", tokens(5), {"query_cu_seqlens": OFFSETS}),
]  # fmt: skip

CROSS: list[tuple[str, tuple[Tensor, ...], dict[str, Any]]] = [
    ("query_cu_seqlens is missing", (tokens(5), tokens(5)), {"key_cu_seqlens": OFFSETS}),
    ("key_cu_seqlens is missing", (tokens(5), tokens(5)), {"query_cu_seqlens": OFFSETS}),
    ("query_cu_seqlens has 2 .* key_cu_seqlens has 1", (tokens(5), tokens(4)), {
        "key_cu_seqlens": torch.tensor([0, 4]), "query_cu_seqlens": OFFSETS}),
    ("query_cu_seqlens ends at 5, but there are 6", (tokens(6), tokens(5)), {
        "key_cu_seqlens": OFFSETS, "query_cu_seqlens": OFFSETS}),
    ("key_cu_seqlens ends at 5, but there are 6", (tokens(5), tokens(6)), {
        "key_cu_seqlens": OFFSETS, "query_cu_seqlens": OFFSETS}),
    (r"key must have shape \(2, tokens, 8\), got \(3, 4, 8\)", (tokens(2, 3), tokens(3, 4)), {}),
    (r"key must have shape .*got \(2, 4, 7\)", (tokens(2, 3), torch.randn(2, 4, 7)), {}),
    ("key .*and value .*same shape", (tokens(2, 3), tokens(2, 4), tokens(2, 5)), {}),
    (r"value must have shape", (tokens(2, 3), tokens(2, 4), tokens(2)), {}),
    ("dtype, got .*float32, .*float64, .*float64", (tokens(2, 3), tokens(2, 4).double()), {}),
    ("value must share a dtype", (tokens(2, 3), tokens(2, 4), tokens(2, 4).bfloat16()), {}),
    ("share a dtype", (tokens(5), tokens(5).double()), {"key_cu_seqlens": OFFSETS, "query_cu_seqlens": OFFSETS}),
    ("query_keep must be bool of shape", (tokens(2, 3), tokens(2, 4)), {"query_keep": torch.ones(2, 4).bool()}),
    ("key_keep must be bool of shape", (tokens(2, 3), tokens(2, 4)), {"key_keep": torch.ones(2, 3).bool()}),
    ("tied=False", (tokens(2, 3), tokens(2, 4)), {"tied": True}),
]  # fmt: skip


def refused(word: str, inputs: tuple[Tensor, ...], options: dict[str, Any], *, tied: bool) -> None:
    with pytest.raises(InputError, match=word) as raised:
        HyperMixing(8, tied=tied)(*inputs, **options)
    message = str(raised.value)
    assert message.endswith(".") and "\n" not in message


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("word, x, options", SELF, ids=[word for word, *_ in SELF])
def test_self_mixing(word: str, x: Tensor, options: dict[str, Any], tied: bool) -> None:
    refused(word, (x,), options, tied=tied)


@pytest.mark.parametrize("word, inputs, options", CROSS, ids=[word for word, *_ in CROSS])
def test_another_key(word: str, inputs: tuple[Tensor, ...], options: dict[str, Any]) -> None:
    options = dict(options)
    refused(word, inputs, options, tied=options.pop("tied", False))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_what_fits_is_taken(dtype: torch.dtype) -> None:
    x, y = tokens(5), tokens(4)
    mixing = HyperMixing(8, tied=False)
    offsets, others = OFFSETS.to(dtype), torch.tensor([0, 3, 4], dtype=dtype)
    assert mixing(x, key_cu_seqlens=offsets).shape == x.shape
    assert mixing(x, y, key_cu_seqlens=others, query_cu_seqlens=offsets).shape == x.shape
    as_packing = mixing(x, y, key_cu_seqlens=Packing([3, 1], CPU), query_cu_seqlens=Packing([2, 3], CPU))
    assert torch.equal(as_packing, mixing(x, y, key_cu_seqlens=others, query_cu_seqlens=offsets))


@pytest.mark.parametrize("lengths", [(3, 1, 3), (4, 3)])
@pytest.mark.parametrize("tied", [True, False])
def test_offsets_may_stand_on_another_device_than_tokens(tied: bool, lengths: tuple[int, ...]) -> None:
    mixing = HyperMixing(8, num_heads=2, tied=tied).to("meta")
    x = tokens(7).to("meta")
    packing = Packing(lengths, CPU)
    for offsets in (packing.cu_seqlens, packing):
        assert mixing(x, key_cu_seqlens=offsets).device == x.device
        if not tied:
            others = torch.tensor([0, 2, *[4] * (len(lengths) - 1)])
            assert mixing(x[:4], x, key_cu_seqlens=offsets, query_cu_seqlens=others).device == x.device
