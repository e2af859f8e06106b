"""Whether the arguments of a HyperMixing call fit together; each misfit in one sentence."""

import torch
from torch import Tensor

from hypermixer.errors import InputError
from hypermixer.ops.packing import Packing


def check_call(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    width: int,
    *,
    keep: tuple[Tensor | None, Tensor | None],
    cu_seqlens: tuple[Tensor | Packing | None, Tensor | Packing | None],
) -> tuple[Tensor | None, Tensor | None] | tuple[Packing, Packing]:
    """Which tokens of queries and of keys belong to which sequence: their masks or, packed, their packings.

    Args:
        query, key, value: as `HyperMixing.forward` takes them.
        width: D.
        keep: masks of queries and keys.
        cu_seqlens: offsets of queries and keys.

    Raises:
        InputError: something does not fit.
    """
    packed = any(offsets is not None for offsets in cu_seqlens)
    check_tokens(query, key, value, width, packed=packed)
    if packed:
        return check_packings(query, key, *cu_seqlens, *keep)
    check_masks(query, key, *keep)
    return keep


def check_tokens(query: Tensor, key: Tensor, value: Tensor, width: int, *, packed: bool) -> None:
    """Raises InputError unless all three are [batch, tokens, width], or [tokens, width] packed, in one dtype."""
    wanted = f"(tokens, {width})" if packed else f"({query.shape[0] if query.dim() else 1}, tokens, {width})"
    for name, x in (("query", query), ("key", key), ("value", value)):
        fits = x.dim() == (2 if packed else 3) and x.shape[-1] == width
        if not fits or (not packed and x.shape[0] != query.shape[0]):
            raise InputError(f"{name} must have shape {wanted}, got {tuple(x.shape)}.")
    if key.shape != value.shape:
        raise InputError(f"key {tuple(key.shape)} and value {tuple(value.shape)} must have the same shape.")
    if not query.dtype == key.dtype == value.dtype:
        raise InputError(f"query, key and value must share a dtype, got {query.dtype}, {key.dtype}, {value.dtype}.")


def check_masks(query: Tensor, key: Tensor, query_keep: Tensor | None, key_keep: Tensor | None) -> None:
    """Raises InputError for a mask that is not bool of [batch, tokens]."""
    for name, keep, x in (("key_keep", key_keep, key), ("query_keep", query_keep, query)):
        if keep is not None and (keep.dtype != torch.bool or keep.shape != x.shape[:2]):
            raise InputError(
                f"{name} must be bool of shape {tuple(x.shape[:2])}, got {keep.dtype} of {tuple(keep.shape)}."
            )


def check_packings(
    query: Tensor,
    key: Tensor,
    query_cu_seqlens: Tensor | Packing | None,
    key_cu_seqlens: Tensor | Packing | None,
    query_keep: Tensor | None,
    key_keep: Tensor | None,
) -> tuple[Packing, Packing]:
    """The packings of queries and keys.

    Raises:
        InputError: one of them is missing or does not fit, they differ in sequences, or there are masks too.
    """
    if key_cu_seqlens is None or query_cu_seqlens is None:
        missing = "key_cu_seqlens" if key_cu_seqlens is None else "query_cu_seqlens"
        raise InputError(f"{missing} is missing: keys and queries are both packed, or neither.")
    for side, keep in (("key", key_keep), ("query", query_keep)):
        if keep is not None:
            raise InputError(f"Packed sequences hold no padding: give {side}_cu_seqlens or {side}_keep, not both.")
    keys = Packing.of(key_cu_seqlens, key, "key_cu_seqlens")
    queries = keys
    if query_cu_seqlens is not key_cu_seqlens or query.shape != key.shape:
        queries = Packing.of(query_cu_seqlens, query, "query_cu_seqlens")
    if len(queries) != len(keys):
        raise InputError(f"query_cu_seqlens has {len(queries)} sequences, but key_cu_seqlens has {len(keys)}.")
    return queries, keys
