"""What the documents say that the reference can do and the dense operator cannot."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from hypermixer.mixers import HyperMixing
from hypermixer.ops.compare import TOLERANCES, error_ratio

DOUBLE = torch.float64
OFFSETS = torch.tensor([0, 3, 3, 7])


def layer(backend: str, *, tied: bool = True) -> HyperMixing:
    torch.manual_seed(0)
    return HyperMixing(6, 8, num_heads=2, tied=tied, backend=backend).to(DOUBLE)


def options(kind: str) -> dict[str, Any]:
    keep = torch.tensor([[True, False, True, True, True], [False] * 4 + [True]])
    return {"packed": {"key_cu_seqlens": OFFSETS}, "masked": {"key_keep": keep}}.get(kind, {})


def tokens(kind: str) -> Tensor:
    return torch.randn((7, 6) if kind == "packed" else (2, 5, 6), dtype=DOUBLE)


@pytest.mark.parametrize("kind", ["padded", "masked", "packed"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_reference_is_mapped_over_tokens(tied: bool, kind: str) -> None:
    mixing = layer("reference", tied=tied)
    x = torch.stack([tokens(kind) for _ in range(3)])
    mapped = torch.func.vmap(lambda one: mixing(one, **options(kind)))(x)
    assert error_ratio(mapped, torch.stack([mixing(one, **options(kind)) for one in x])) < TOLERANCES[DOUBLE].exact


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_the_reference_is_mapped_over_weights(kind: str) -> None:
    mixing, x = layer("reference"), tokens(kind)
    weights = {k: torch.stack([p.detach(), 2 * p.detach()]) for k, p in mixing.named_parameters()}

    def mix(of: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(mixing, of, (x,), options(kind))

    expected = torch.stack([mix({k: p[i] for k, p in weights.items()}) for i in range(2)])
    assert error_ratio(torch.func.vmap(mix)(weights), expected) < TOLERANCES[DOUBLE].exact


@pytest.mark.parametrize("kind", ["padded", "masked", "packed"])
def test_the_reference_has_second_derivatives(kind: str) -> None:
    mixing = layer("reference")
    x = tokens(kind).requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: mixing(x, **options(kind)), x, fast_mode=True)


def test_gradients_of_each_sequence_come_from_the_reference() -> None:
    def gradient(mixing: HyperMixing, x: Tensor) -> Tensor:
        return torch.func.grad(lambda x: mixing(x).pow(3).sum())(x)

    x = torch.randn(3, 1, 5, 6, dtype=DOUBLE)
    each = torch.func.vmap(partial(gradient, layer("reference")))(x).squeeze(1)
    whole = x.squeeze(1).requires_grad_()
    layer("dense")(whole).pow(3).sum().backward()
    assert whole.grad is not None and error_ratio(each, whole.grad) < TOLERANCES[DOUBLE].exact
    with pytest.raises(RuntimeError, match="functorch"):
        gradient(layer("dense"), x[0])


def test_the_dense_operator_has_no_second_derivative() -> None:
    x = tokens("padded").requires_grad_()
    (first,) = torch.autograd.grad(layer("dense")(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="hypermixer"):
        first.sum().backward()


def test_masks_are_not_mapped_over() -> None:
    keep = torch.ones(3, 2, 5, dtype=torch.bool)
    mixing, x = layer("reference"), torch.randn(3, 2, 5, 6, dtype=DOUBLE)
    with pytest.raises(RuntimeError, match="vmap"):
        torch.func.vmap(lambda x, keep: mixing(x, key_keep=keep))(x, keep)
