"""Products of rows with shared weights, by the fastest exact product at hand; without derivative.

PyTorch hands float32 products on the CPU to a BLAS library, which on some processors reaches a third of what oneDNN's
own product does. That product has no derivative, so it serves inside operators that bring their own.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

#: Below this many multiply-adds the detour costs more than it gains; the second is for each of several products, which
#: cost a call and a copy each where the batched product is one call.
_LEAST_WORK, _LEAST_WORK_EACH = 1 << 22, 1 << 24


def has_own_product(x: Tensor, work: int, count: int = 1) -> bool:
    """Whether oneDNN's own product serves for `x` in each of `count` products of `work` multiply-adds."""
    return (
        x.dtype == torch.float32
        and work >= (_LEAST_WORK if count == 1 else _LEAST_WORK_EACH)
        and x.device.type == "cpu"
        and type(x) in (Tensor, torch.nn.Parameter)
        and torch.backends.mkldnn.is_available()
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False) -> Tensor:
    """x [rows, in] times weight' [in, out], plus bias [out], then the exact GELU if asked for."""
    if has_own_product(x, x.shape[0] * weight.numel()):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
    y = F.linear(x, weight, bias)
    return torch.ops.aten.gelu_(y) if gelu else y


def linear_per_head(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    gelu: bool = False,
    out: Tensor | None = None,
    room: Callable[..., Tensor] | None = None,
) -> Tensor:
    """x [G, rows, in], weight [G, out, in], bias [G, out] -> [G, rows, out].

    Args:
        x: [G, rows, in].
        weight: [G, out, in].
        bias: [G, out] or None.
        gelu: whether the exact GELU follows.
        out: [G, rows, out], where the result has to stand.
        room: in place of `out`, called with a shape: makes an array for the products that do not bring their own.
    """
    shape = (x.shape[0], x.shape[1], weight.shape[1])
    own = has_own_product(x, x.shape[1] * weight.shape[1] * weight.shape[2], len(x))
    if own and len(x) == 1 and out is None:
        return linear(x[0], weight[0], None if bias is None else bias[0], gelu=gelu).unsqueeze(0)
    if out is None:
        out = x.new_empty(shape) if room is None else room(*shape)
    if own:
        for g in range(len(x)):
            out[g] = linear(x[g], weight[g], None if bias is None else bias[g], gelu=gelu)
        return out
    if len(x) > 1:
        torch.bmm(x, weight.transpose(1, 2), out=out)
        out = out if bias is None else out.add_(bias.unsqueeze(1))
    elif bias is None:
        torch.mm(x[0], weight[0].t(), out=out[0])
    else:
        torch.addmm(bias[0], x[0], weight[0].t(), out=out[0])
    return torch.ops.aten.gelu_(out) if gelu else out


def matvec(x: Tensor, vector: Tensor) -> Tensor:
    """x [G, rows, in], vector [G, in] -> [G, rows]; x may be transposed."""
    if x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu":  # a product of one column is far slower
        return torch.stack([torch.mv(matrix, v) for matrix, v in zip(x, vector, strict=True)])
    return torch.bmm(x, vector.unsqueeze(2)).squeeze(2)
