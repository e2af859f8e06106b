"""What the layers of a batch share: position codes, on the device and in the dtype of the tokens that ask."""

import pytest
import torch

from hypermixer.mixers import Sequences
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.packing import Packing
from hypermixer.ops.positions import idiap_sinusoid, sinusoid

LEFT = torch.tensor([[False, True, True, True, False], [True] * 5])


@pytest.mark.parametrize("code", [sinusoid, idiap_sinusoid])
@pytest.mark.parametrize("kind", ["padded", "masked", "packed"])
def test_tokens_on_another_device_get_codes_on_theirs(kind: str, code: object) -> None:
    shape = (7, 6) if kind == "packed" else (2, 5, 6)
    x = torch.randn(shape)
    if kind == "packed":
        sequences = Sequences.packed(x, torch.tensor([0, 5, 7]))
    else:
        sequences = Sequences.padded(x, LEFT if kind == "masked" else None)
    for elsewhere in (False, True, False):
        tokens = x.to("meta") if elsewhere else x
        for codes in (sequences.codes(tokens, code), sequences.codes_of_tokens(tokens, code)):  # pyright: ignore[reportArgumentType]
            assert codes.device == tokens.device
            assert sequences.codes(tokens.bfloat16()).dtype == torch.bfloat16
        assert (tokens + codes).shape == shape


def test_mean_counts_kept_tokens_only() -> None:
    keep = torch.tensor([[True, True, False], [False, False, False]])
    x = torch.tensor([[[1.0], [3.0], [0.0]], [[0.0], [0.0], [0.0]]])
    assert Sequences.padded(x, keep).mean(x).tolist() == [[2.0], [0.0]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_mean_of_packed_tokens(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    lengths = (3, 0, 700, 1)
    packing = Packing(lengths, torch.device("cpu"))
    x = (torch.randn(packing.tokens, 24) + 1).to(dtype).requires_grad_()
    pooled = Sequences.packed(x, packing).mean(x)
    expected = torch.stack([part.double().sum(0) / max(1, len(part)) for part in x.split(lengths)])
    assert pooled.dtype == dtype and error_ratio(pooled, expected) <= TOLERANCES[dtype].rounded
    pooled.sum().backward()
    assert x.grad is not None
    share = (1 / packing.lengths_tensor.clamp(min=1).double())[packing.sequence_of].unsqueeze(1).expand_as(x)
    assert error_ratio(x.grad, share) <= TOLERANCES[dtype].rounded


def test_mean_of_nothing() -> None:
    x = torch.empty(0, 24)
    assert Sequences.packed(x, Packing((), x.device)).mean(x).shape == (0, 24)
    assert Sequences.packed(x, Packing((0, 0), x.device)).mean(x).tolist() == [[0.0] * 24] * 2
