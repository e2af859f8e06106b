"""HyperMixing in plain matrix products: the direct and the factored form, both exact.

Heads come first in every array, so that each product is one batched call over G = H * B matrices and none is
broadcast. States are kept transposed, [D/H, R]: the products with the hypernetworks' shared second layer are then one
large product per head over the rows of all sequences.

    state   tokens -> S' = sum over tokens of x f', and s0 = sum of x
    mix     S' -> C' = B2' GELU(B1' S + b1 s0'), and c0 = b2' GELU(..)
    read    tokens, C' -> y = C f + c0
"""

from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermixer.ops.hypermixing import recompute
from hypermixer.ops.hypermixing.plan import Plan, Shape
from hypermixer.ops.hypermixing.plan import plan as choose
from hypermixer.ops.hypermixing.weights import Hypernetwork, Normalization, OutputNorm
from hypermixer.ops.rows import has_own_product, linear, linear_per_head


def hypermixing(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_net: Hypernetwork,
    query_net: Hypernetwork | None = None,
    *,
    query_positions: Tensor | None = None,
    key_positions: Tensor | None = None,
    key_keep: Tensor | None = None,
    query_keep: Tensor | None = None,
    normalization: Normalization = "layer",
    norm: OutputNorm | None = None,
    form: str | None = None,
) -> Tensor:
    """As `reference.hypermixing`; `form` overrides the plan."""
    heads, dtype = key_net.hidden_weight.shape[0], query.dtype
    same_tokens = key is query and key_keep is query_keep and key_positions is query_positions
    key_kept = _drop(key, key_keep)
    query_kept = key_kept if same_tokens else _drop(query, query_keep)
    value_kept = key_kept if value is key else _drop(value, key_keep)

    f_key = features(key_kept, key_net, key_positions)  # [H, B, N, R]
    tied_features = same_tokens and query_net is None
    query_net = query_net or key_net
    f_query = f_key if tied_features else features(query_kept, query_net, query_positions)
    x = split_heads(value_kept, heads)  # [H, B, N, D/H]
    if dtype == torch.float16:  # sums over long inputs leave the range of fp16
        f_key, x = f_key.float(), x.float()
        f_query = f_key if tied_features else f_query.float()
        tied_nets = query_net is key_net
        key_net = _float(key_net)
        query_net = key_net if tied_nets else _float(query_net)
    if normalization == "length":
        x = (x / _lengths(x, key_keep)).to(x.dtype)  # W1 / n times X is W1 times X / n, and X is the smaller

    shape = shape_of(query, key, key_net, tied=tied_features)
    chosen = choose(shape, form)
    evaluate = _direct if chosen.form == "direct" else _factored
    y = merge_heads(evaluate(f_key, f_query, x, key_net, query_net, chosen))  # [B, M, D]
    if normalization == "layer":
        weight, bias, eps = norm or OutputNorm(None, None)
        weight, bias = (None if p is None else p.to(y.dtype) for p in (weight, bias))
        y = F.layer_norm(y, y.shape[-1:], weight, bias, eps)
    return _drop(y.to(dtype), query_keep)


def shape_of(query: Tensor, key: Tensor, net: Hypernetwork, *, tied: bool) -> Shape:
    """The sizes that the plan looks at."""
    heads, per_head, _ = net.out_weight.shape
    width = net.hidden_weight.shape[2] * heads
    return Shape(key.shape[0], key.shape[1], query.shape[1], width, per_head * heads, heads, tied, key.element_size())


def features(x: Tensor, net: Hypernetwork, positions: Tensor | None) -> Tensor:
    """Hidden layer of a hypernetwork: tokens [B, N, D] -> GELU activations [H, B, N, R]."""
    z = x if positions is None else x + positions.to(x.dtype)
    batch, tokens, width = z.shape
    heads, rank, _ = net.hidden_weight.shape
    if not torch.is_grad_enabled():
        rows = split_heads(z, heads).flatten(1, 2)
        hidden = linear_per_head(rows, net.hidden_weight, net.hidden_bias, gelu=True)
        return hidden.view(heads, batch, tokens, rank)
    if heads == 1:
        bias = None if net.hidden_bias is None else net.hidden_bias[0]
        hidden = F.linear(z, net.hidden_weight[0], bias)
    else:
        rows = z.reshape(batch * tokens, heads, width // heads).transpose(0, 1)  # [H, BN, D/H], a view
        hidden = _affine(rows, net.hidden_weight, net.hidden_bias)
    return F.gelu(hidden).view(heads, batch, tokens, rank)


def state(f: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over tokens: f [H, B, N, R], x [H, B, N, D/H] -> S' [H, B, D/H, R] and s0 [H, B, D/H]."""
    heads, batch = f.shape[:2]
    s = torch.bmm(x.flatten(0, 1).transpose(1, 2), f.flatten(0, 1))
    s0 = x.sum(2, dtype=torch.promote_types(x.dtype, torch.float32)).to(x.dtype)
    return s.unflatten(0, (heads, batch)), s0


def mix(
    s: Tensor, s0: Tensor, key_net: Hypernetwork, query_net: Hypernetwork, block: int
) -> tuple[Tensor, Tensor | None]:
    """The MLP on the state: S' [H, B, D/H, R], s0 [H, B, D/H] -> C' [H, B, D/H, R] and c0 [H, B, D/H] or None."""
    heads, batch, head_width, _ = s.shape
    c, c0 = recompute.state_mlp(
        s.flatten(1, 2), s0.flatten(1, 2), key_net.out_weight, key_net.out_bias, query_net.out_weight,
        query_net.out_bias, max(1, block // heads) * head_width,
    )  # fmt: skip
    shape = (heads, batch, head_width)
    return c.view_as(s), None if query_net.out_bias is None else c0.view(shape)


def read(f: Tensor, c: Tensor, c0: Tensor | None) -> Tensor:
    """Every token reads the mixed state: f [H, B, M, R], C' [H, B, D/H, R] -> y [H, B, M, D/H]."""
    heads, batch = f.shape[:2]
    if not torch.is_grad_enabled() and has_own_product(f, f.shape[2] * c.shape[2] * c.shape[3]):
        y = f.new_empty(*f.shape[:3], c.shape[2])
        for h, b in product(range(heads), range(batch)):
            y[h, b] = linear(f[h, b], c[h, b], None if c0 is None else c0[h, b])
        return y
    rows, matrix = f.flatten(0, 1), c.flatten(0, 1).transpose(1, 2)
    y = torch.bmm(rows, matrix) if c0 is None else torch.baddbmm(c0.flatten(0, 1).unsqueeze(1), rows, matrix)
    return y.unflatten(0, (heads, batch))


def _factored(
    f_key: Tensor, f_query: Tensor, x: Tensor, key_net: Hypernetwork, query_net: Hypernetwork, chosen: Plan
) -> Tensor:
    s, s0 = state(f_key, x)
    return read(f_query, *mix(s, s0, key_net, query_net, chosen.block))


def _direct(
    f_key: Tensor, f_query: Tensor, x: Tensor, key_net: Hypernetwork, query_net: Hypernetwork, chosen: Plan
) -> Tensor:
    tied = f_query is f_key and query_net is key_net
    return recompute.token_mlp(
        f_key, None if tied else f_query, x, key_net.out_weight, key_net.out_bias, query_net.out_weight,
        query_net.out_bias, chosen.block,
    )  # fmt: skip


def _affine(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None:
        return torch.bmm(rows, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[B, N, D] -> [H, B, N, D/H], contiguous."""
    return (
        x.unsqueeze(0)
        if heads == 1
        else x.unflatten(-1, (heads, x.shape[-1] // heads)).permute(2, 0, 1, 3).contiguous()
    )


def merge_heads(y: Tensor) -> Tensor:
    """[H, B, N, D/H] -> [B, N, D]."""
    return y[0] if y.shape[0] == 1 else y.permute(1, 2, 0, 3).flatten(2)


def _drop(x: Tensor, keep: Tensor | None) -> Tensor:
    # A copy rather than a product with the mask: NaN times zero is NaN.
    return x if keep is None else x.masked_fill(~keep.unsqueeze(-1), 0)


def _lengths(x: Tensor, keep: Tensor | None) -> Tensor | int:
    if keep is None:
        return max(1, x.shape[2])
    # A count of many tokens is no bfloat16 number: the division is in float32 or wider.
    return keep.sum(1).clamp(min=1).to(torch.promote_types(x.dtype, torch.float32)).view(1, -1, 1, 1)


def _float(net: Hypernetwork) -> Hypernetwork:
    return Hypernetwork(*(None if t is None else t.float() for t in net))  # pyright: ignore[reportArgumentType]
