"""The direct form: W1 and W2 made for a few sequences at a time, the hidden activation never kept.

    P = W1' x   [K/H, D/H]      y = W2 GELU(P)

The backward pass makes both again. All arrays have heads first; K stands for K/H, D for D/H and R for D/H here.
"""

from functools import partial

import torch
from torch import Tensor

from hypermixer.ops.hypermixing.network import Network, gelu, gelu_backward
from hypermixer.ops.hypermixing.run import Run
from hypermixer.ops.hypermixing.side import Part, equal_slices, parts, split_heads, write_heads


def forward(run: Run, y: Tensor) -> None:
    """Writes W2 GELU(W1' x) into y [B, M, D]."""
    scratch = run.scratch
    for part, queries in _parts(run):
        key = run.key_tokens(part)
        f_key = run.key_features(part, key, scratch("key activations", *key.shape))
        write = _generate(run, "write", run.key_net, f_key)  # [H b, N, K]
        read = write
        if not run.tied:
            query = key if run.self_mixing else run.query_tokens(queries)
            f_query = run.query_features(queries, query, scratch("query activations", *query.shape))
            read = _generate(run, "read", run.query_net, f_query)  # [H b, M, K]
        value = run.value_tokens(part, key).flatten(0, 1)
        mixed = scratch("mixed", len(value), read.shape[1], value.shape[2])
        for at in _blocks(run, len(value), hidden_at_once=1):
            hidden = scratch("hidden", at.stop - at.start, value.shape[2], write.shape[2])
            torch.bmm(value[at].transpose(1, 2), write[at], out=hidden)  # P' [g, D, K]
            torch.bmm(read[at], gelu.out(hidden, out=hidden).transpose(1, 2), out=mixed[at])
        write_heads(y, queries, mixed.unflatten(0, (run.heads, -1)))


def backward(run: Run, grad: Tensor, d_query: Tensor, d_key: Tensor, d_value: Tensor) -> None:
    """Writes the gradients of queries, keys and values, given that of y; `d_query` and `d_value` may be `d_key`."""
    for part, queries in _parts(run):
        key = run.key_tokens(part)
        pre_key, f_key = run.kept_key(part)
        write = _generate(run, "write", run.key_net, f_key)
        query, pre_query, f_query, read = key, pre_key, f_key, write
        if not run.tied:
            query = key if run.self_mixing else run.query_tokens(queries)
            pre_query, f_query = run.kept_query(queries)
            read = _generate(run, "read", run.query_net, f_query)
        value = run.value_tokens(part, key)
        upper = split_heads(grad[queries], run.heads, run.scratch)
        d_values, d_write, d_read = _mlp_backward(run, value.flatten(0, 1), write, read, upper.flatten(0, 1))

        d_f = _generate_backward(run, run.key_net, d_write, f_key)
        d_tokens = run.key_backward(d_f, pre_key, part, key)
        d_values = run.value.input_gradient(d_values.view_as(value), part)
        if run.shares_values:
            d_tokens += d_values
        else:
            run.value.write_gradient(d_value, part, d_values)
        if d_read is not None:
            d_f = _generate_backward(run, run.query_net, d_read, f_query)
            d_query_tokens = run.query_backward(d_f, pre_query, queries, query)
            if run.self_mixing:
                d_tokens += d_query_tokens
            else:
                run.query.write_gradient(d_query, queries, d_query_tokens)
        run.key.write_gradient(d_key, part, d_tokens)


def _mlp_backward(
    run: Run, value: Tensor, write: Tensor, read: Tensor, upper: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Gradients of values [H b, N, D], W1 [H b, N, K] and W2 [H b, M, K]; W2's is in W1's where they are tied."""
    scratch = run.scratch
    d_values, d_write = scratch("gradient of values", *value.shape), scratch("gradient of write", *write.shape)
    d_read = None if run.tied else scratch("gradient of read", *read.shape)
    for at in _blocks(run, len(value), hidden_at_once=3):
        shape = (at.stop - at.start, value.shape[2], write.shape[2])
        pre = torch.bmm(value[at].transpose(1, 2), write[at], out=scratch("pre", *shape))
        slope = torch.bmm(upper[at].transpose(1, 2), read[at], out=scratch("slope", *shape))
        hidden = gelu.out(pre, out=scratch("hidden", *shape))
        gelu_backward.grad_input(slope, pre, grad_input=slope)
        torch.bmm(write[at], slope.transpose(1, 2), out=d_values[at])
        torch.bmm(value[at], slope, out=d_write[at])
        if d_read is None:
            d_write[at].baddbmm_(upper[at], hidden)
        else:
            torch.bmm(upper[at], hidden, out=d_read[at])
    return d_values, d_write, d_read


def _parts(run: Run) -> list[tuple[Part, Part]]:
    """Whole sequences: their keys and their queries."""
    cut = parts(run.batch, max(1, run.keys, run.queries), run.chunk, whole=True)
    return [(Part(p.sequences, slice(0, run.keys)), Part(p.sequences, slice(0, run.queries))) for p in cut]


def _blocks(run: Run, count: int, hidden_at_once: int) -> list[slice]:
    """Cuts H b sequences into blocks whose hidden activations stay in cache."""
    return equal_slices(count, max(1, run.block // hidden_at_once))


def _generate(run: Run, name: str, net: Network, f: Tensor) -> Tensor:
    """Activations [H, b, N, R] -> generated weights [H b, N, K]."""
    heads, batch, tokens, _ = f.shape
    generated = net.generate(f.flatten(1, 2), partial(run.scratch, name))
    return generated.view(heads * batch, tokens, generated.shape[2])


def _generate_backward(run: Run, net: Network, d_generated: Tensor, f: Tensor) -> Tensor:
    """Gradient of generated weights [H b, N, K] -> gradient of the activations [H, b, N, R]."""
    heads, batch, tokens, _ = f.shape
    rows = d_generated.view(heads, batch * tokens, d_generated.shape[2])
    return net.generate_backward(rows, f.flatten(1, 2), partial(run.scratch, "gradient of activations")).view(f.shape)
