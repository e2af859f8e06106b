"""HyperMixing as the equations say it (HyperMixer, arXiv 2203.03691, Algorithm 1; heads: HyperConformer, 2305.18281).

Every other form is held to this one, in value and in every gradient. It forms W1 and W2 and keeps all that it computes.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermixer.ops.hypermixing.weights import Hypernetwork, Normalization, OutputNorm
from hypermixer.ops.packing import Packing


def hypermixing(
    query: Tensor,  # [B, M, D]
    key: Tensor,  # [B, N, D]
    value: Tensor,  # [B, N, D]
    key_net: Hypernetwork,
    query_net: Hypernetwork | None = None,  # None: tied, one network for both
    *,
    query_positions: Tensor | None = None,  # [M, D] or [B, M, D]
    key_positions: Tensor | None = None,  # [N, D] or [B, N, D]
    key_keep: Tensor | None = None,  # [B, N] bool, True = real
    query_keep: Tensor | None = None,  # [B, M] bool
    input_scale: float = 1.0,  # of the tokens in the hypernetworks' input
    normalization: Normalization = "layer",
    norm: OutputNorm | None = None,
) -> Tensor:  # [B, M, D]
    batch, tokens, width = key.shape
    heads = key_net.hidden_weight.shape[0]
    if key_keep is None:
        key_keep = torch.ones(batch, tokens, dtype=torch.bool, device=key.device)
    if query_keep is None:
        query_keep = torch.ones(query.shape[:2], dtype=torch.bool, device=query.device)
    # What is stored at a dropped position may be anything, NaN included: it is replaced before it is touched.
    query, key, value = (
        x.masked_fill(~keep.unsqueeze(-1), 0) for x, keep in ((query, query_keep), (key, key_keep), (value, key_keep))
    )
    z_query, z_key = query * input_scale, key * input_scale
    if query_positions is not None:
        z_query = z_query + query_positions.to(query.dtype)
    if key_positions is not None:
        z_key = z_key + key_positions.to(key.dtype)

    w1 = _generate(z_key, key_net)  # [B, H, N, K/H]
    w2 = _generate(z_query, query_net or key_net)  # [B, H, M, K/H]
    if normalization == "length":
        w1 = (w1 / key_keep.sum(1).clamp(min=1).double().view(batch, 1, 1, 1)).to(w1.dtype)
    if w1.dtype == torch.float16:  # sums over long inputs leave the range of fp16
        w1, w2, value = w1.float(), w2.float(), value.float()
    hidden = F.gelu(w1.transpose(2, 3) @ _split(value, heads))  # [B, H, K/H, D/H]
    y = (w2 @ hidden).transpose(1, 2).flatten(2)  # [B, M, D]
    if normalization == "layer":
        weight, bias, eps = norm or OutputNorm(None, None)
        y = F.layer_norm(y, (width,), _as(weight, y), _as(bias, y), eps)
    return y.to(query.dtype).masked_fill(~query_keep.unsqueeze(-1), 0)


def hypermixing_packed(
    query: Tensor,  # [query tokens, D]
    key: Tensor,  # [key tokens, D]
    value: Tensor,  # [key tokens, D]
    key_net: Hypernetwork,
    query_net: Hypernetwork | None,
    query_packing: Packing,
    key_packing: Packing,
    *,
    query_positions: Tensor | None = None,  # [longest, D], or [query tokens, 1, D]
    key_positions: Tensor | None = None,
    **options: Any,
) -> Tensor:  # [query tokens, D]
    """One sequence after the other."""
    mixed = []
    for i in range(len(key_packing)):
        (q_codes, q), (k_codes, k), (_, v) = (
            _one(x, positions, packing, i)
            for x, positions, packing in (
                (query, query_positions, query_packing), (key, key_positions, key_packing), (value, None, key_packing),
            )
        )  # fmt: skip
        y = hypermixing(q, k, v, key_net, query_net, query_positions=q_codes, key_positions=k_codes, **options)
        mixed.append(y[0])
    return torch.cat(mixed) if mixed else query * 0


def _one(x: Tensor, positions: Tensor | None, packing: Packing, i: int) -> tuple[Tensor | None, Tensor]:
    start, stop = int(packing.cu_seqlens[i]), int(packing.cu_seqlens[i + 1])
    if positions is not None:
        positions = positions[: stop - start] if positions.dim() == 2 else positions[start:stop, 0]
    return positions, x[start:stop].unsqueeze(0)


def _generate(z: Tensor, net: Hypernetwork) -> Tensor:
    z = _split(z, net.hidden_weight.shape[0])
    hidden = F.gelu(_affine(z, net.hidden_weight, net.hidden_bias))
    return _affine(hidden, net.out_weight, net.out_bias)


def _affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    y = x @ weight.transpose(1, 2)
    return y if bias is None else y + bias.unsqueeze(1)


def _split(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, x.shape[-1] // heads)).transpose(1, 2)  # [B, H, N, D/H]


def _as(parameter: Tensor | None, like: Tensor) -> Tensor | None:
    return None if parameter is None else parameter.to(like.dtype)
