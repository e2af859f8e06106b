"""HyperMixing on any device: the direct and the factored form, both exact, in plain matrix products or compiled.

Here padded and packed batches become runs of sequences of equal length; `operator.py` evaluates them.
"""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor

from hypermixer.ops.hypermixing.inputs import RunSpec
from hypermixer.ops.hypermixing.norm import layer_norm
from hypermixer.ops.hypermixing.operator import mixing
from hypermixer.ops.hypermixing.plan import Shape, constants_for
from hypermixer.ops.hypermixing.plan import plan as choose
from hypermixer.ops.hypermixing.weights import Hypernetwork, Normalization, OutputNorm
from hypermixer.ops.packing import Packing


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
    input_scale: float = 1.0,
    normalization: Normalization = "layer",
    norm: OutputNorm | None = None,
    form: str | None = None,
    native: bool = False,
) -> Tensor:
    """As `reference.hypermixing`; `form` overrides the plan; with `native`, by the compiled kernels."""
    self_mixing = key is query and key_keep is query_keep and key_positions is query_positions
    batch, keys, width = key.shape
    divisor = None
    if normalization == "length":  # W1 / n times X is W1 times X / n
        divisor = _full(key, [keys] * batch) if key_keep is None else key_keep.sum(1).clamp(min=1)
    y = mixed(
        None if self_mixing else query.reshape(-1, width), key.reshape(-1, width),
        None if value is key else value.reshape(-1, width), key_net, query_net, [(batch, keys, query.shape[1])],
        query_positions=_flat_codes(query_positions), key_positions=_flat_codes(key_positions),
        query_keep=None if query_keep is None else query_keep.flatten(),
        key_keep=None if key_keep is None else key_keep.flatten(),
        divisor=divisor, scale=input_scale, form=form, native=native,
    ).view(query.shape)  # fmt: skip
    if normalization == "layer":
        y = layer_norm(y, norm, native=native)
    y = y.to(query.dtype)
    if query_keep is None:
        return y
    dropped = ~query_keep.unsqueeze(-1)
    return y.masked_fill(dropped, 0) if torch.is_grad_enabled() else y.masked_fill_(dropped, 0)


def hypermixing_packed(
    query: Tensor,  # [query tokens, D]
    key: Tensor,  # [key tokens, D]
    value: Tensor,  # [key tokens, D]
    key_net: Hypernetwork,
    query_net: Hypernetwork | None,
    query_packing: Packing,
    key_packing: Packing,
    *,
    query_positions: Tensor | None = None,  # [longest, D], or [tokens, 1, D]
    key_positions: Tensor | None = None,
    input_scale: float = 1.0,
    normalization: Normalization = "layer",
    norm: OutputNorm | None = None,
    form: str | None = None,
    native: bool = False,
) -> Tensor:  # [query tokens, D]
    """Likewise for packed sequences: nothing is padded, and each sequence has the plan of its own length."""
    self_mixing = key is query and key_packing is query_packing and key_positions is query_positions
    pairs = list(zip(key_packing.lengths, query_packing.lengths, strict=True))
    runs = _runs(pairs)
    # Sequences of equal length have to stand side by side: others are moved, and the result is moved back.
    query_rows = None
    if len(runs) > len(set(pairs)):
        order = sorted(range(len(pairs)), key=pairs.__getitem__)
        runs = _runs([pairs[i] for i in order])
        key_packing, key_rows = key_packing.rearranged(order)
        query_rows = key_rows if self_mixing else query_packing.rearranged(order)[1]
        key_positions, query_positions = _moved(key_positions, key_rows), _moved(query_positions, query_rows)
        moved_key = key[key_rows]
        value = moved_key if value is key else value[key_rows]
        key, query = moved_key, moved_key if self_mixing else query[query_rows]
    y = mixed(
        None if self_mixing else query, key, None if value is key else value, key_net, query_net, runs,
        query_positions=query_positions, key_positions=key_positions,
        divisor=_full(key, key_packing.lengths) if normalization == "length" else None, scale=input_scale, form=form,
        native=native,
    )  # fmt: skip
    if query_rows is not None:
        y = torch.empty_like(y).index_copy(0, query_rows, y)
    return (layer_norm(y, norm, native=native) if normalization == "layer" else y).to(query.dtype)


def mixed(
    query: Tensor | None,
    key: Tensor,
    value: Tensor | None,
    key_net: Hypernetwork,
    query_net: Hypernetwork | None,
    runs: Sequence[tuple[int, int, int]],
    *,
    query_positions: Tensor | None,
    key_positions: Tensor | None,
    query_keep: Tensor | None = None,
    key_keep: Tensor | None = None,
    divisor: Tensor | None = None,
    scale: float = 1.0,
    form: str | None = None,
    native: bool = False,
) -> Tensor:
    """W2 GELU(W1' X) for tokens that stand in runs of (sequences, keys, queries); each run has its own plan.

    Arguments as `operator.mixing`'s. In float16 everything is evaluated in float32: sums over long inputs leave the
    range of float16.
    """
    if key.dtype == torch.float16:
        query, value = (None if t is None else t.float() for t in (query, value))
        key, key_net, query_net = key.float(), _float(key_net), None if query_net is None else _float(query_net)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (query_positions, key_positions)):
        # The operator has no derivative for positions: the networks' input is made here, where autograd sees it.
        value = key if value is None else value
        query = None if query is None else _informed(query, query_positions, scale, [run[0::2] for run in runs])
        key = _informed(key, key_positions, scale, [run[:2] for run in runs])
        query_positions, key_positions, scale = None, None, 1.0
    query, value = (None if t is None else t.contiguous() for t in (query, value))
    key = key.contiguous()
    heads, per_head, rank = key_net.out_weight.shape
    tied = query is None and query_net is None
    constants = constants_for("native" if native else key.device.type)
    flat: list[int] = []
    for batch, keys, queries in runs:
        shape = Shape(batch, keys, queries, rank * heads, per_head * heads, heads, tied, key.element_size())
        flat += RunSpec.of(batch, keys, queries, choose(shape, form, constants))
    nets = (*key_net, *(query_net or (None, None, None, None)))
    kept = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (query, key, value, *nets))
    codes = (None if t is None else t.to(key.dtype) for t in (query_positions, key_positions))
    return mixing(query, key, value, *nets, *codes, query_keep, key_keep, divisor, scale, flat, kept, native)[0]


def _runs(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    return [(len(list(run)), *pair) for pair, run in groupby(pairs)]


def _moved(positions: Tensor | None, rows: Tensor) -> Tensor | None:
    return positions if positions is None or positions.dim() == 2 else positions[rows]


def _informed(x: Tensor, positions: Tensor | None, scale: float, runs: Sequence[tuple[int, ...]]) -> Tensor:
    """What a network sees of x [tokens, D] in runs of (sequences, tokens in each)."""
    z = x if scale == 1.0 else x * scale
    if positions is None:
        return z
    if positions.dim() == 2:
        positions = torch.cat([positions[:0], *(positions[:tokens].repeat(batch, 1) for batch, tokens in runs)])
    return z + positions.view(z.shape).to(x.dtype)


def _flat_codes(positions: Tensor | None) -> Tensor | None:
    if positions is None or positions.dim() == 2:
        return positions
    return positions.reshape(-1, 1, positions.shape[2])


def _full(like: Tensor, lengths: Sequence[int]) -> Tensor:
    return torch.tensor([max(1, n) for n in lengths], device=like.device)


def _float(net: Hypernetwork) -> Hypernetwork:
    return Hypernetwork(*(None if t is None else t.float() for t in net))  # pyright: ignore[reportArgumentType]
