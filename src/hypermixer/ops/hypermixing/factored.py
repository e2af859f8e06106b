"""The factored form: HyperMixing as linear attention with an MLP on its state.

    state   tokens -> S' = sum over tokens of x f', and s0 = sum of x
    mix     S' -> C' = GELU(S' B1' + s0 b1') B2, and c0 = GELU(..) b2
    read    tokens, C' -> y = C f + c0

States are kept transposed, [D/H, R], so that `mix` is one product per head over the rows of all sequences. All arrays
have heads first; K stands for K/H, D for D/H and R for D/H here.
"""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from hypermixer.ops.hypermixing.network import gelu, gelu_backward
from hypermixer.ops.hypermixing.run import Run
from hypermixer.ops.hypermixing.side import Part, equal_slices, parts, split_heads, write_heads
from hypermixer.ops.rows import has_own_product, linear, linear_per_head, matvec


class States(NamedTuple):
    """What stands between writing and reading: S', C' [H, B, D, R] and s0, c0 [H, B, D]."""

    s: Tensor
    c: Tensor
    s0: Tensor
    c0: Tensor


def forward(run: Run, y: Tensor, kept: States | None) -> None:
    """Writes y [B, M, D]; the states go where the backward pass will look for them, or into working memory."""
    s, c, s0, c0 = kept or _scratch_states(run)
    rows = y.view(-1, run.width)
    sums = State(run, s, s0)
    for part in _key_parts(run):
        key = run.key_tokens(part)
        # Activations that are read again wait where the output will stand.
        room = run.place(rows, part, run.keys) if run.tied else run.scratch("key activations", *key.shape)
        sums.add(part, run.key_features(part, key, room), run.value_tokens(part, key))
    sums.finish()
    mix(run, s, s0, c, c0)
    bias = None if run.query_net.weights.out_bias is None else c0
    for part in _query_parts(run):
        if run.tied:
            f = run.place(rows, part, run.keys)
        else:
            query = run.query_tokens(part)
            f = run.query_features(part, query, run.scratch("query activations", *query.shape))
        at = part.sequences
        write_heads(y, part, read(run, "mixed", f, c[:, at], None if bias is None else bias[:, at]))


class State:
    """`state`, part by part: S' = sum of x f' [H, B, D, R] and s0 = sum of x [H, B, D] over a sequence's tokens.

    Where sequences are longer than a part, sums are held in float32 or wider until `finish`.
    """

    def __init__(self, run: Run, s: Tensor, s0: Tensor) -> None:
        self._run, self._results = run, (s, s0)
        self._wide = torch.promote_types(s.dtype, torch.float32)
        self._cut = max(run.keys, run.queries) > run.chunk
        self._s, self._s0 = (s.to(self._wide), s0.to(self._wide)) if self._cut else (s, s0)
        if self._cut or run.keys == 0 or run.queries == 0:
            self._s.zero_()
            self._s0.zero_()

    def add(self, part: Part, f: Tensor, x: Tensor) -> None:
        """Takes tokens f [H, b, n, R], x [H, b, n, D] into the states of their sequences."""
        left, right = x.flatten(0, 1).transpose(1, 2), f.flatten(0, 1)
        s, s0 = self._s[:, part.sequences], self._s0[:, part.sequences]
        if not self._cut:
            s0.copy_(x.sum(2, dtype=self._wide))
            if len(s) == 1:
                torch.bmm(left, right, out=s[0])
            else:
                s.copy_(torch.bmm(left, right, out=self._run.scratch("product", *s.flatten(0, 1).shape)).view_as(s))
            return
        s0 += x.sum(2, dtype=self._wide)
        if len(left) == 1 and s.dtype == x.dtype:
            s[0, 0].addmm_(left[0], right[0])
        else:
            s += torch.bmm(left, right).view_as(s)

    def finish(self) -> None:
        for result, total in zip(self._results, (self._s, self._s0), strict=True):
            if result is not total:
                result.copy_(total)


def mix(run: Run, s: Tensor, s0: Tensor, c: Tensor, c0: Tensor) -> None:
    """The MLP on the state: S' [H, B, D, R], s0 [H, B, D] into C' [H, B, D, R] and, with a bias, c0 [H, B, D]."""
    w2, b2 = run.query_net.weights.out_weight, run.query_net.weights.out_bias
    w2_t = w2.transpose(1, 2).contiguous()
    rows, rows0, out, out0 = s.flatten(1, 2), s0.flatten(1, 2), c.flatten(1, 2), c0.flatten(1, 2)
    for part in _row_blocks(run, rows, hidden_at_once=1):
        hidden = _pre_state(run, rows[:, part], rows0[:, part])
        torch.ops.aten.gelu_(hidden)
        linear_per_head(hidden, w2_t, out=out[:, part])
        if b2 is not None:
            out0[:, part] = matvec(hidden, b2)


def read(run: Run, name: str, f: Tensor, c: Tensor, c0: Tensor | None) -> Tensor:
    """Every token reads the mixed state: f [H, b, n, R], C' [H, b, D, R], c0 [H, b, D] -> [H, b, n, D]."""
    bias = None if c0 is None else c0.flatten(0, 1)
    y = linear_per_head(f.flatten(0, 1), c.flatten(0, 1), bias, room=partial(run.scratch, name))
    return y.unflatten(0, f.shape[:2])


def backward(
    run: Run, grad: Tensor, s: Tensor, c: Tensor, s0: Tensor, d_query: Tensor, d_key: Tensor, d_value: Tensor
) -> None:
    """Writes the gradients of queries, keys and values, given that of y and what the forward pass kept."""
    c_t = run.scratch("C", *c.transpose(2, 3).shape).copy_(c.transpose(2, 3))
    d_s, d_c, d_s0, d_c0 = _scratch_states(run)
    sums = State(run, d_c, d_c0)
    rows = d_key.view(-1, run.width)
    for part in _query_parts(run):
        # Activations that are read again wait where the gradient will stand.
        _, f = run.kept_query(part, run.place(rows, part, run.keys) if run.tied else None)
        sums.add(part, f, split_heads(grad[part], run.heads, run.scratch))
    sums.finish()
    _mix_backward(run, d_c, d_c0, s, s0, d_s, d_s0)
    d_s_t = d_c.view(c_t.shape).copy_(d_s.transpose(2, 3))  # the gradient of C' is not needed any more
    if not run.self_mixing:
        for part in _query_parts(run):
            pre, _ = run.kept_query(part)
            query = run.query_tokens(part)
            d_tokens = run.query_backward(_read_backward(run, grad, c_t, part), pre, part, query)
            run.query.write_gradient(d_query, part, d_tokens)
    for part in _key_parts(run):
        at = part.sequences
        key = run.key_tokens(part)
        value = run.value_tokens(part, key)
        pre, f = run.kept_key(part, run.place(rows, part, run.keys) if run.tied else None, again=run.tied)
        d_values = read(run, "gradient of values", f, d_s[:, at], d_s0[:, at])
        if run.tied:
            d_f = _add_each(_read_backward(run, grad, c_t, part), value, d_s[:, at], d_s_t[:, at])
        else:
            d_f = read(run, "gradient of activations", value, d_s_t[:, at], None)
        d_tokens = run.key_backward(d_f, pre, part, key)
        if run.self_mixing and not run.tied:
            pre, _ = run.kept_query(part)
            d_tokens += run.query_backward(_read_backward(run, grad, c_t, part), pre, part, key)
        d_values = run.value.input_gradient(d_values, part)
        if run.shares_values:
            d_tokens += d_values
        else:
            run.value.write_gradient(d_value, part, d_values)
        run.key.write_gradient(d_key, part, d_tokens)


def _read_backward(run: Run, grad: Tensor, c_t: Tensor, part: Part) -> Tensor:
    """Gradient of the queries' activations, dY C [H, b, n, R], given C [H, B, R, D]."""
    upper = split_heads(grad[part], run.heads, run.scratch)
    return read(run, "gradient of activations", upper, c_t[:, part.sequences], None)


def _add_each(total: Tensor, x: Tensor, d_s: Tensor, d_s_t: Tensor) -> Tensor:
    """total + x dS [H, b, n, R], in place, given dS' and its transpose."""
    flat, rows = total.flatten(0, 1), x.flatten(0, 1)
    if has_own_product(rows, rows.shape[1] * d_s_t.shape[2] * d_s_t.shape[3], len(rows)):
        for out, row, weight in zip(flat, rows, d_s_t.flatten(0, 1), strict=True):
            out += linear(row, weight)
    elif len(flat) == 1:
        flat[0].addmm_(rows[0], d_s.flatten(0, 1)[0])
    else:
        flat.baddbmm_(rows, d_s.flatten(0, 1))
    return total


def _mix_backward(run: Run, d_c: Tensor, d_c0: Tensor, s: Tensor, s0: Tensor, d_s: Tensor, d_s0: Tensor) -> None:
    """Writes the gradients of S' and s0; those of the second layers go to their networks."""
    w2, b1, b2 = run.query_net.weights.out_weight, run.key_net.weights.out_bias, run.query_net.weights.out_bias
    w1_t = run.key_net.weights.out_weight.transpose(1, 2).contiguous()
    rows, rows0, upper, upper0, out, out0 = (t.flatten(1, 2) for t in (s, s0, d_c, d_c0, d_s, d_s0))
    for part in _row_blocks(run, rows, hidden_at_once=3):
        pre = _pre_state(run, rows[:, part], rows0[:, part])  # [H, l, K]
        hidden = gelu.out(pre, out=run.scratch("hidden", *pre.shape))
        slope = linear_per_head(upper[:, part], w2, room=partial(run.scratch, "slope"))
        run.query_net.add_out(hidden, upper[:, part])
        if b2 is not None:
            slope.baddbmm_(upper0[:, part].unsqueeze(2), b2.unsqueeze(1))
            run.query_net.add_out_bias(matvec(hidden.transpose(1, 2), upper0[:, part]))
        gelu_backward.grad_input(slope, pre, grad_input=slope)
        run.key_net.add_out(slope, rows[:, part])
        linear_per_head(slope, w1_t, out=out[:, part])
        if b1 is not None:
            run.key_net.add_out_bias(matvec(slope.transpose(1, 2), rows0[:, part]))
            out0[:, part] = matvec(slope, b1)
    if b1 is None:
        d_s0.zero_()


def _pre_state(run: Run, rows: Tensor, rows0: Tensor) -> Tensor:
    """S' B1' + s0 b1' for rows [H, l, R] and [H, l] -> [H, l, K]."""
    weight, bias = run.key_net.weights.out_weight, run.key_net.weights.out_bias
    pre = linear_per_head(rows, weight, room=partial(run.scratch, "pre"))
    return pre if bias is None else pre.baddbmm_(rows0.unsqueeze(2), bias.unsqueeze(1))


def _scratch_states(run: Run) -> States:
    heads, rank, width = run.key_net.weights.hidden_weight.shape
    s, c = (run.scratch(name, heads, run.batch, width, rank) for name in ("state", "mixed state"))
    s0, c0 = (run.scratch(name, heads, run.batch, width) for name in ("state of bias", "mixed state of bias"))
    return States(s, c, s0, c0)


def _key_parts(run: Run) -> list[Part]:
    return list(parts(run.batch, run.keys, run.chunk))


def _query_parts(run: Run) -> list[Part]:
    return list(parts(run.batch, run.queries, run.chunk))


def _row_blocks(run: Run, rows: Tensor, hidden_at_once: int) -> list[slice]:
    size = max(1, run.block // (run.heads * hidden_at_once)) * (run.width // run.heads)
    return equal_slices(rows.shape[1], size) if rows.shape[1] else []
