"""One linear layer over many rows, by the fastest exact product at hand.

PyTorch hands float32 products on the CPU to a BLAS library, which on some processors reaches a third of what oneDNN's
own product does. That product has no derivative, so it serves where none is asked for, and inside operators that
bring their own.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import flop_registry, register_flop_formula

#: Below this many multiply-adds the detour costs more than it gains.
_LEAST_WORK = 1 << 22


def has_own_product(x: Tensor, work: int) -> bool:
    """Whether oneDNN's own product serves for `x` in a call of `work` multiply-adds."""
    return (
        not torch.compiler.is_compiling()
        and work >= _LEAST_WORK
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and type(x) in (Tensor, torch.nn.Parameter)
        and torch.backends.mkldnn.is_available()
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False) -> Tensor:
    """x [rows, in] times weight' [in, out], plus bias [out], then the exact GELU if asked for; without derivative."""
    if has_own_product(x, x.shape[0] * weight.numel()):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "gelu" if gelu else "none", [], "none")
    y = F.linear(x, weight, bias)
    return F.gelu(y) if gelu else y


def linear_per_head(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, gelu: bool = False) -> Tensor:
    """x [H, rows, in], weight [H, out, in], bias [H, out] -> [H, rows, out]; without derivative."""
    if len(x) == 1:
        return linear(x[0], weight[0], None if bias is None else bias[0], gelu=gelu).unsqueeze(0)
    if has_own_product(x, x.shape[1] * weight[0].numel()):
        y = x.new_empty(x.shape[0], x.shape[1], weight.shape[1])
        for h in range(len(x)):
            y[h] = linear(x[h], weight[h], None if bias is None else bias[h], gelu=gelu)
        return y
    product = weight.transpose(1, 2)
    y = torch.bmm(x, product) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, product)
    return F.gelu(y) if gelu else y


def _flops(x: Any, weight: Any, *_: Any, **__: Any) -> int:
    rows = 1
    for size in x[:-1]:
        rows *= size
    return 2 * rows * weight[0] * weight[1]


if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._linear_pointwise not in flop_registry:
    register_flop_formula(torch.ops.mkldnn._linear_pointwise)(_flops)
