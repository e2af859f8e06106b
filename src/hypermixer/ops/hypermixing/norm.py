"""The LayerNorm of the layer's output, over the whole width."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermixer.ops.hypermixing import native as kernels
from hypermixer.ops.hypermixing.weights import OutputNorm

#: Rows that are normalised at a time where the result takes the place of its input.
_ROWS = 2048


def layer_norm(y: Tensor, norm: OutputNorm | None, *, native: bool = False) -> Tensor:
    """y [.., D] normalised, in its dtype; in place where no derivative is asked for.

    A compiler gets PyTorch's own operator: it can be merged with what follows.
    """
    weight, bias, eps = norm or OutputNorm(None, None)
    weight, bias = (None if p is None else p.to(y.dtype).contiguous() for p in (weight, bias))
    native = native and _has_address(y)
    if torch.compiler.is_compiling() or y.device.type != "cpu":
        return F.layer_norm(y, y.shape[-1:], weight, bias, eps)
    rows = y.view(-1, y.shape[-1])
    if torch.is_grad_enabled():
        if native:
            return _Native.apply(rows, weight, bias, eps).view(y.shape)
        return F.layer_norm(y, y.shape[-1:], weight, bias, eps)
    if native:
        kernels.layer_norm(rows, weight, bias, eps, out=rows)
        return y
    for part in rows.split(_ROWS):
        part.copy_(F.layer_norm(part, part.shape[-1:], weight, bias, eps))
    return y


def _has_address(y: Tensor) -> bool:
    """Whether y is memory: under vmap, and where only shapes are followed, it is not."""
    if type(y) is not Tensor:
        return False
    try:
        return bool(y.data_ptr()) or y.numel() == 0
    except RuntimeError:
        return False


class _Native(torch.autograd.Function):
    """Rows [rows, D] by the compiled kernels, which take mean and deviation again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        ctx.eps = eps
        out = torch.empty_like(x)
        kernels.layer_norm(x, weight, bias, eps, out=out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - its decorator makes ctx positional
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, weight, bias = ctx.saved_tensors
        d_x, d_weight, d_bias = kernels.layer_norm_backward(grads[0].contiguous(), x, weight, bias, ctx.eps)
        of_weight = None if weight is None else d_weight.to(weight.dtype)
        return d_x, of_weight, None if bias is None else d_bias.to(bias.dtype), None
