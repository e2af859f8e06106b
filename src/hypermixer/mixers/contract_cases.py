"""The tensors that the contract's checks run on, and how two results are compared."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hypermixer.mixers.base import TokenMixer, strict_options
from hypermixer.mixers.sequences import Sequences
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.packing import Packing

WIDTH = 24
LENGTHS = (7, 1, 4, 0)  # odd, one token, even, nothing at all


def build(mixer: type[TokenMixer], options: dict[str, Any], dtype: torch.dtype) -> TokenMixer:
    return mixer(strict_options(mixer.Config, options, mixer.__name__), d_model=WIDTH).to(dtype)


def case(
    mixer: type[TokenMixer], options: dict[str, Any], dtype: torch.dtype = torch.float32
) -> tuple[TokenMixer, Tensor, Tensor]:
    """A mixer, x [4, 7, D] and the mask of sequences of `LENGTHS`."""
    torch.manual_seed(0)
    x = torch.randn(len(LENGTHS), max(LENGTHS), WIDTH, dtype=torch.float64).to(dtype)
    keep = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS).unsqueeze(1)
    return build(mixer, options, dtype), x, keep


def given_gradient(x: Tensor) -> Tensor:
    """A gradient for the output, the same for every padding of the case."""
    return torch.sin(torch.arange(x.numel(), dtype=torch.float64).view(x.shape) * 0.7).to(x.dtype)


def spread_out(x: Tensor, places: Sequence[int]) -> Tensor:
    """x [B, 7, ...] with its tokens at seven of twelve places, zeros elsewhere."""
    wide = x.new_zeros(x.shape[0], 12, *x.shape[2:])
    wide[:, list(places)] = x
    return wide


def results(
    module: TokenMixer,
    x: Tensor,
    keep: Tensor | None,
    upper: Tensor | None = None,
    packing: Packing | None = None,
) -> dict[str, Tensor]:
    """The output, and the gradient of the input and of every parameter."""
    module.zero_grad()
    x = x.clone().requires_grad_()
    y = module(x, Sequences.padded(x, keep) if packing is None else Sequences.packed(x, packing))
    if upper is None:
        # The case's own gradient, moved along with its tokens.
        assert keep is not None
        first = given_gradient(torch.empty(len(LENGTHS), max(LENGTHS), WIDTH, dtype=x.dtype))
        upper = torch.zeros_like(y)
        for row, length in enumerate(LENGTHS):
            upper[row, keep[row]] = first[row, :length]
    y.backward(upper)
    assert x.grad is not None
    results = {"output": y.detach(), "gradient of x": x.grad}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} receives no gradient"
        results[f"gradient of {name}"] = parameter.grad.clone()
    return results


def same(actual: Tensor, expected: Tensor, dtype: torch.dtype, what: str, *, rounded: bool = False) -> None:
    ratio = error_ratio(actual, expected)
    assert ratio <= (TOLERANCES[dtype].rounded if rounded else TOLERANCES[dtype].exact), (
        f"{what} differs by {ratio:.1e} in {dtype}"
    )
