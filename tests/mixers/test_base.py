"""What the layers of a batch share: position codes, on the device and in the dtype of the tokens that ask."""

import pytest
import torch

from hypermixer.mixers import Sequences
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
