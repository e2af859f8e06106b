"""The HyperMixing operator: one signature, several exact forms and backends.

`reference` is the specification, `dense` the plain-PyTorch form for any device, `native` the same compiled for CPUs.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypermixer.errors import InputError, nearest
from hypermixer.ops.hypermixing import dense, native, reference
from hypermixer.ops.hypermixing.plan import CONSTANTS, FORMS, Constants, Plan, Shape, constants_for, plan
from hypermixer.ops.hypermixing.weights import NORMALIZATIONS, Hypernetwork, Normalization, OutputNorm
from hypermixer.ops.packing import Packing

BACKENDS = ("native", "dense", "reference")

__all__ = [
    "BACKENDS", "CONSTANTS", "FORMS", "NORMALIZATIONS", "Choice", "Constants", "Hypernetwork", "Normalization",
    "OutputNorm", "Plan", "Shape", "check_backend", "constants_for", "hypermixing", "plan", "resolve_backend",
]  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """A backend and why it was taken: `HyperMixing.backend`."""

    name: str
    reason: str


def check_backend(backend: str, form: str | None = None) -> None:
    """
    Raises:
        InputError: an unknown backend, or a form asked of one that has none.
    """
    if backend not in ("auto", *BACKENDS):
        raise InputError(f"Unknown backend '{backend}': {nearest(backend, ('auto', *BACKENDS))}")
    if backend == "reference" and form is not None:
        raise InputError(f"The reference has no forms: form='{form}' cannot be asked of backend='reference'.")


def resolve_backend(
    backend: str = "auto",
    form: str | None = None,
    *,
    device_type: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Choice:
    """The backend that evaluates a call on such tensors, in the given form where one is asked for.

    Raises:
        InputError: an unknown backend, a form asked of one that has none, or a backend that cannot run here.
    """
    check_backend(backend, form)
    if backend in ("dense", "reference"):
        return Choice(backend, "asked for by name")
    obstacle = native.obstacle(device_type, dtype)
    if obstacle is None:
        return Choice("native", "compiled for this processor" if backend == "auto" else "asked for by name")
    if backend == "native":
        raise InputError(f"backend='native' cannot run here: {obstacle}.")
    return Choice("dense", obstacle)


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
    key_packing: Packing | None = None,
    query_packing: Packing | None = None,
    input_scale: float = 1.0,
    normalization: Normalization = "layer",
    norm: OutputNorm | None = None,
    backend: str = "auto",
    form: str | None = None,
) -> Tensor:
    """Token mixing by generated weights: Y = W2 GELU(W1' X), W1 and W2 made from keys and queries.

    Padded, tokens are [B, N, D] with masks; packed, they are [tokens, D] with packings, which stand in place of masks.

    Args:
        query: [B, M, D] or [query tokens, D].
        key: [B, N, D] or [key tokens, D]; the same object as `query` for self-mixing.
        value: of the shape of `key`.
        key_net: makes W1 from keys.
        query_net: makes W2 from queries; None ties both (W2 = W1's network).
        query_positions: [M, D] or [B, M, D], added to the input of the hypernetwork only; packed: [longest, D], or
            [query tokens, 1, D] for codes of each token's own.
        key_positions: likewise.
        key_keep: [B, N] bool, True = real; others contribute nothing, whatever is stored there.
        query_keep: [B, M] bool; others come out as zero.
        key_packing: which keys belong to which sequence.
        query_packing: likewise of queries; as many sequences as `key_packing` has.
        input_scale: of the tokens in the hypernetworks' input, positions apart.
        normalization: `layer` (LayerNorm over D), `length` (W1 over the number of kept keys) or `none`.
        norm: parameters of the LayerNorm.
        backend: `auto` or one of `BACKENDS`.
        form: a plan's form, in place of the one that the shapes choose; the reference has none.

    Returns:
        Of the shape of `query`, in its dtype (the autocast dtype under autocast).

    Raises:
        InputError: an unknown backend or form, one that cannot run here, or a form asked of the reference.
    """
    tensors = _autocast(query, key, value, key_net, query_net)
    _check_kinds(*tensors)
    _check_positions("query_positions", query_positions, query, query_packing or key_packing)
    _check_positions("key_positions", key_positions, key, key_packing)
    choice = resolve_backend(backend, form, device_type=query.device.type, dtype=tensors[0].dtype)
    options: dict[str, Any] = {
        "query_positions": query_positions, "key_positions": key_positions, "input_scale": input_scale,
        "normalization": normalization, "norm": norm,
    }  # fmt: skip
    evaluate = reference
    if choice.name != "reference":
        evaluate, options = dense, options | {"form": form, "native": choice.name == "native"}
    device = query.device.type
    with torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext():
        if key_packing is None:
            return evaluate.hypermixing(*tensors, key_keep=key_keep, query_keep=query_keep, **options)
        return evaluate.hypermixing_packed(
            *tensors, key_packing if query_packing is None else query_packing, key_packing, **options
        )


def _check_kinds(
    query: Tensor, key: Tensor, value: Tensor, key_net: Hypernetwork, query_net: Hypernetwork | None
) -> None:
    """Raises InputError where tokens and weights differ in dtype or device."""
    for name, t in (("key", key), ("value", value), *(("weights", t) for t in (*key_net, *(query_net or ())))):
        if t is None:
            continue
        if t.dtype != query.dtype:
            raise InputError(f"Tokens and weights must share a dtype: query is {query.dtype}, {name} {t.dtype}.")
        if t.device.type != query.device.type:
            raise InputError(
                f"Tokens and weights must share a device: query is on {query.device}, {name} on {t.device}."
            )


def _check_positions(name: str, positions: Tensor | None, x: Tensor, packing: Packing | None) -> None:
    """Raises InputError where there is not a position code for every token."""
    if positions is None:
        return
    width = x.shape[-1]
    longest = x.shape[1] if packing is None else max(packing.lengths, default=0)
    each = (x.shape[0], 1, width) if packing is not None else (x.shape[0], x.shape[1], width)
    table = positions.dim() == 2 and positions.shape[0] >= longest and positions.shape[1] == width
    if not table and tuple(positions.shape) != each:
        raise InputError(f"{name} must have shape ({longest}, {width}) or {each}, got {tuple(positions.shape)}.")


def _autocast(
    query: Tensor, key: Tensor, value: Tensor, key_net: Hypernetwork, query_net: Hypernetwork | None
) -> tuple[Tensor, Tensor, Tensor, Hypernetwork, Hypernetwork | None]:
    """As autocast wants them: in its dtype, unless they are float64; what was one object stays one."""
    device = query.device.type
    enabled = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    if not enabled or query.dtype == torch.float64:
        return query, key, value, key_net, query_net
    dtype = torch.get_autocast_dtype(device)
    cast_query = query.to(dtype)
    cast_key = cast_query if key is query else key.to(dtype)
    cast_value = cast_key if value is key else value.to(dtype)
    return (
        cast_query,
        cast_key,
        cast_value,
        _cast(key_net, dtype),
        None if query_net is None else _cast(query_net, dtype),
    )


def _cast(net: Hypernetwork, dtype: torch.dtype) -> Hypernetwork:
    return Hypernetwork(*(None if t is None else t.to(dtype) for t in net))  # pyright: ignore[reportArgumentType]
