"""The two MLPs of HyperMixing as operators that never keep their hidden activation.

The hidden activation [K/H, D/H] of a sequence is larger than a short sequence itself. Both operators evaluate it for a
few sequences at a time, in a buffer that stays in cache, and evaluate it again in the backward pass. They are
registered with torch.library, so that torch.compile takes them whole and the FLOP counter knows them.

Letters: g sequences of a block, L rows of all states of a head (B * D/H); K stands for K/H and D for D/H here.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from hypermixer.ops.rows import has_own_product, linear, linear_per_head

gelu = torch.ops.aten.gelu
gelu_backward = torch.ops.aten.gelu_backward


def _blocks(total: int, block: int) -> Iterator[slice]:
    return (slice(start, min(start + block, total)) for start in range(0, total, block))


def _head_blocks(x: Tensor, block: int) -> Iterator[tuple[int, slice]]:
    return product(range(x.shape[0]), list(_blocks(x.shape[1], block)))


# --- y = W2 GELU(W1' x) with W = f B' + b, made for a few sequences at a time ----------------------------------------


@torch.library.custom_op("hypermixer::token_mlp", mutates_args=())
def token_mlp(
    f1: Tensor, f2: Tensor | None, x: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int
) -> Tensor:
    """f1 [H, B, N, R], f2 [H, B, M, R], x [H, B, N, D], w [H, K, R], b [H, K] -> [H, B, M, D].

    f2 None: tied, read with what f1 makes. `block` sequences of a head at a time.
    """
    queries = (f1 if f2 is None else f2).shape[2]
    y = x.new_empty(*x.shape[:2], queries, x.shape[3])
    buffers = _Buffers(x, f1.shape[2], queries, w1.shape[1], block)
    for h, part in _head_blocks(x, block):
        write = buffers.generate(0, f1[h, part], w1[h], b1, h)  # [g, N, K]
        read = write if f2 is None else buffers.generate(1, f2[h, part], w2[h], b2, h)  # [g, M, K]
        hidden = torch.bmm(x[h, part].transpose(1, 2), write, out=buffers.hidden(0, part))  # [g, D, K]
        gelu.out(hidden, out=hidden)
        torch.bmm(read, hidden.transpose(1, 2), out=y[h, part])
    return y


@token_mlp.register_fake
def _(
    f1: Tensor, f2: Tensor | None, x: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int
) -> Tensor:
    return x.new_empty(*x.shape[:2], (f1 if f2 is None else f2).shape[2], x.shape[3])


@torch.library.custom_op("hypermixer::token_mlp_backward", mutates_args=())
def token_mlp_backward(
    grad: Tensor, f1: Tensor, f2: Tensor | None, x: Tensor,
    w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of f1, f2, x, w1, b1, w2, b2; empty where the input was None or is read through f1 (tied)."""
    tied = f2 is None
    d_f1, d_x = torch.empty_like(f1), torch.empty_like(x)
    d_f2 = f1.new_empty(0) if f2 is None else torch.empty_like(f2)
    d_w1, d_b1, d_w2, d_b2 = _zero_sums(w1, b1, w2, b2, tied)
    buffers = _Buffers(x, f1.shape[2], grad.shape[2], w1.shape[1], block, hidden=3, generated=4)
    for h, part in _head_blocks(x, block):
        write = buffers.generate(0, f1[h, part], w1[h], b1, h)
        read = write if f2 is None else buffers.generate(1, f2[h, part], w2[h], b2, h)
        tokens, upper = x[h, part], grad[h, part]
        pre = torch.bmm(tokens.transpose(1, 2), write, out=buffers.hidden(0, part))  # [g, D, K]
        hidden = gelu.out(pre, out=buffers.hidden(1, part))
        slope = torch.bmm(upper.transpose(1, 2), read, out=buffers.hidden(2, part))
        gelu_backward.grad_input(slope, pre, grad_input=slope)
        torch.bmm(write, slope.transpose(1, 2), out=d_x[h, part])
        d_write = torch.bmm(tokens, slope, out=buffers.generated(2, part))
        if f2 is None:
            d_write.baddbmm_(upper, hidden)
        else:
            d_read = torch.bmm(upper, hidden, out=buffers.generated(3, part))
            _generate_backward(d_read, f2[h, part], w2[h], d_f2[h, part], d_w2[h], None if b2 is None else d_b2[h])
        _generate_backward(d_write, f1[h, part], w1[h], d_f1[h, part], d_w1[h], None if b1 is None else d_b1[h])
    dtype = x.dtype
    return d_f1, d_f2, d_x, d_w1.to(dtype), d_b1.to(dtype), d_w2.to(dtype), d_b2.to(dtype)


@token_mlp_backward.register_fake
def _(
    grad: Tensor, f1: Tensor, f2: Tensor | None, x: Tensor,
    w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    d_f2 = f1.new_empty(0) if f2 is None else torch.empty_like(f2)
    d_w1, d_b1, d_w2, d_b2 = (t.to(x.dtype) for t in _zero_sums(w1, b1, w2, b2, f2 is None))
    return torch.empty_like(f1), d_f2, torch.empty_like(x), d_w1, d_b1, d_w2, d_b2


class _Buffers:
    """Scratch arrays of one block, made once per call and used again for every block."""

    def __init__(
        self, x: Tensor, keys: int, queries: int, k: int, block: int, hidden: int = 1, generated: int = 2
    ) -> None:
        size = min(block, x.shape[1])
        self._hidden = [x.new_empty(size, x.shape[3], k) for _ in range(hidden)]
        self._generated = [x.new_empty(size, keys if i % 2 == 0 else queries, k) for i in range(generated)]

    def hidden(self, index: int, part: slice) -> Tensor:
        return self._hidden[index][: part.stop - part.start]

    def generated(self, index: int, part: slice) -> Tensor:
        return self._generated[index][: part.stop - part.start]

    def generate(self, index: int, f: Tensor, weight: Tensor, bias: Tensor | None, head: int) -> Tensor:
        out = self._generated[index][: len(f)]
        rows = out.flatten(0, 1)
        if has_own_product(f, rows.numel() * f.shape[2]):
            rows.copy_(linear(f.flatten(0, 1), weight, None if bias is None else bias[head]))
        elif bias is None:
            torch.mm(f.flatten(0, 1), weight.t(), out=rows)
        else:
            torch.addmm(bias[head], f.flatten(0, 1), weight.t(), out=rows)
        return out


def _generate_backward(
    d_out: Tensor, f: Tensor, weight: Tensor, d_f: Tensor, d_weight: Tensor, d_bias: Tensor | None
) -> None:
    rows = d_out.flatten(0, 1)
    torch.mm(rows, weight, out=d_f.flatten(0, 1))
    if d_weight.dtype == rows.dtype:
        d_weight.addmm_(rows.t(), f.flatten(0, 1))
    else:
        d_weight += rows.t() @ f.flatten(0, 1)
    if d_bias is not None:
        d_bias += rows.sum(0, dtype=d_bias.dtype)


def _zero_sums(
    w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, tied: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the gradients of shared weights are summed over blocks, in float32 or wider."""
    wide = torch.promote_types(w1.dtype, torch.float32)
    d_w1, d_b1, d_w2, d_b2 = (
        w1.new_zeros(0 if t is None else t.shape, dtype=wide)
        for t in (w1, b1, None if tied else w2, None if tied else b2)
    )
    return d_w1, d_b1, d_w2, d_b2


def _token_setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, block = inputs
    ctx.save_for_backward(*tensors)
    ctx.block = block


def _token_grad(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    f1, f2, x, w1, b1, w2, b2 = ctx.saved_tensors
    # Three hidden activations at a time where the forward pass holds one.
    block = max(1, ctx.block // 2)
    d_f1, d_f2, d_x, d_w1, d_b1, d_w2, d_b2 = token_mlp_backward(grad.contiguous(), f1, f2, x, w1, b1, w2, b2, block)
    d_b1, d_b2 = None if b1 is None else d_b1, None if b2 is None else d_b2
    if f2 is None:  # what was read through f1 is in the gradients of f1, w1 and b1
        return d_f1, None, d_x, d_w1, d_b1, None, None, None
    return d_f1, d_f2, d_x, d_w1, d_b1, d_w2, d_b2, None


token_mlp.register_autograd(_token_grad, setup_context=_token_setup)


# --- C' = GELU(S' B1' + s0 b1') B2, the same weights for all rows of a head -----------------------------------------


@torch.library.custom_op("hypermixer::state_mlp", mutates_args=())
def state_mlp(
    s: Tensor, s0: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int
) -> tuple[Tensor, Tensor]:
    """s [H, L, R], s0 [H, L], w1 and w2 [H, K, R], b1 and b2 [H, K] -> [H, L, R] and [H, L] (empty without b2)."""
    c = torch.empty_like(s)
    c0 = s0.new_empty(0) if b2 is None else torch.empty_like(s0)
    for part in _blocks(s.shape[1], block):
        hidden = _state_hidden(s[:, part], s0[:, part], w1, b1)
        gelu.out(hidden, out=hidden)
        c[:, part] = linear_per_head(hidden, w2.transpose(1, 2).contiguous())
        if b2 is not None:
            c0[:, part] = torch.bmm(hidden, b2.unsqueeze(2)).squeeze(2)
    return c, c0


@state_mlp.register_fake
def _(
    s: Tensor, s0: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(s), s0.new_empty(0) if b2 is None else torch.empty_like(s0)


@torch.library.custom_op("hypermixer::state_mlp_backward", mutates_args=())
def state_mlp_backward(
    grad: Tensor, grad0: Tensor | None, s: Tensor, s0: Tensor,
    w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of s, s0, w1, b1, w2, b2; those of absent biases are empty."""
    d_s, d_s0 = torch.empty_like(s), torch.zeros_like(s0)
    wide = torch.promote_types(s.dtype, torch.float32)
    sums = [torch.zeros_like(w1, dtype=wide), torch.zeros_like(w2, dtype=wide)]
    d_b1, d_b2 = (w1.new_zeros(0 if b is None else b.shape, dtype=wide) for b in (b1, b2))
    for part in _blocks(s.shape[1], block):
        rows, rows0, upper = s[:, part], s0[:, part], grad[:, part]
        pre = _state_hidden(rows, rows0, w1, b1)  # [H, l, K]
        hidden = gelu(pre)
        slope = linear_per_head(upper, w2)
        sums[1] += torch.bmm(hidden.transpose(1, 2), upper)
        if b2 is not None and grad0 is not None:
            upper0 = grad0[:, part].unsqueeze(2)
            slope.baddbmm_(upper0, b2.unsqueeze(1))
            d_b2 += torch.bmm(hidden.transpose(1, 2), upper0).squeeze(2)
        gelu_backward.grad_input(slope, pre, grad_input=slope)
        sums[0] += torch.bmm(slope.transpose(1, 2), rows)
        d_s[:, part] = linear_per_head(slope, w1.transpose(1, 2).contiguous())
        if b1 is not None:
            d_b1 += torch.bmm(slope.transpose(1, 2), rows0.unsqueeze(2)).squeeze(2)
            d_s0[:, part] = torch.bmm(slope, b1.unsqueeze(2)).squeeze(2)
    return d_s, d_s0, sums[0].to(s.dtype), d_b1.to(s.dtype), sums[1].to(s.dtype), d_b2.to(s.dtype)


@state_mlp_backward.register_fake
def _(
    grad: Tensor, grad0: Tensor | None, s: Tensor, s0: Tensor,
    w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None, block: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    d_b1, d_b2 = (w1.new_empty(0 if b is None else b.shape) for b in (b1, b2))
    return torch.empty_like(s), torch.empty_like(s0), torch.empty_like(w1), d_b1, torch.empty_like(w2), d_b2


def _state_hidden(s: Tensor, s0: Tensor, w1: Tensor, b1: Tensor | None) -> Tensor:
    hidden = linear_per_head(s, w1)
    return hidden if b1 is None else hidden.baddbmm_(s0.unsqueeze(2), b1.unsqueeze(1))


def _state_setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    s, s0, w1, b1, w2, b2, block = inputs
    ctx.save_for_backward(s, s0, w1, b1, w2, b2)
    ctx.block = block


def _state_grad(ctx: Any, grad: Tensor, grad0: Tensor) -> tuple[Any, ...]:
    s, s0, w1, b1, w2, b2 = ctx.saved_tensors
    upper0 = None if b2 is None else grad0.contiguous()
    d_s, d_s0, d_w1, d_b1, d_w2, d_b2 = state_mlp_backward(grad.contiguous(), upper0, s, s0, w1, b1, w2, b2, ctx.block)
    return d_s, d_s0, d_w1, None if b1 is None else d_b1, d_w2, None if b2 is None else d_b2, None


state_mlp.register_autograd(_state_grad, setup_context=_state_setup)


# --- FLOPs: two for each multiply-add of the matrix products --------------------------------------------------------


def _formula(op: Any, formula: Callable[..., int]) -> None:
    register_flop_formula(op)(formula)


def _token_flops(f1: Any, f2: Any, x: Any, w1: Any, *_: Any, **__: Any) -> int:
    heads, batch, keys, rank = f1
    queries, networks = (keys, keys) if f2 is None else (f2[2], keys + f2[2])
    return 2 * heads * batch * w1[1] * (networks * rank + (keys + queries) * x[3])


def _token_backward_flops(grad: Any, f1: Any, f2: Any, x: Any, w1: Any, *_: Any, **__: Any) -> int:
    heads, batch, keys, rank = f1
    queries, networks = (keys, keys) if f2 is None else (f2[2], keys + f2[2])
    return 2 * heads * batch * w1[1] * (3 * networks * rank + (3 * keys + 2 * queries) * x[3])


def _state_flops(s: Any, s0: Any, w1: Any, b1: Any, w2: Any, b2: Any, *_: Any, **__: Any) -> int:
    h, rows, r = s
    return 2 * h * rows * w1[1] * (2 * r + (b1 is not None) + (b2 is not None))


def _state_backward_flops(
    grad: Any, grad0: Any, s: Any, s0: Any, w1: Any, b1: Any, w2: Any, b2: Any, *_: Any, **__: Any
) -> int:
    h, rows, r = s
    return 2 * h * rows * w1[1] * (5 * r + 3 * (b1 is not None) + 2 * (b2 is not None))


_formula(torch.ops.hypermixer.token_mlp, _token_flops)
_formula(torch.ops.hypermixer.token_mlp_backward, _token_backward_flops)
_formula(torch.ops.hypermixer.state_mlp, _state_flops)
_formula(torch.ops.hypermixer.state_mlp_backward, _state_backward_flops)
