"""HyperMixing: token mixing by an MLP whose weights are generated from the tokens.

Source: HyperMixer (arXiv 2203.03691), Algorithm 1; heads as in HyperConformer (arXiv 2305.18281).
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from hypermixer.errors import InputError, nearest
from hypermixer.mixers.base import Sequences, TokenMixer, check_heads, sequence_sinusoid
from hypermixer.ops.hypermixing import (
    NORMALIZATIONS,
    Hypernetwork,
    Normalization,
    OutputNorm,
    Plan,
    Shape,
    hypermixing,
    plan,
    resolve_backend,
)

PositionCode = Literal["sinusoidal", "none"]


class HeadLinear(nn.Module):
    """One linear layer per head: weight [H, out, in], bias [H, out]. Initialised by the fan-in of a head."""

    def __init__(self, num_heads: int, in_features: int, out_features: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_heads, out_features, in_features))
        self.bias = nn.Parameter(torch.empty(num_heads, out_features)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.weight.shape[2])
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)


class HyperNetwork(nn.Module):
    """Generates token-mixing weights, token by token and head by head: D/H -> R = D/H -> K/H."""

    def __init__(self, d_model: int, d_hidden: int, num_heads: int, *, bias: bool) -> None:
        super().__init__()
        width = d_model // num_heads
        self.hidden = HeadLinear(num_heads, width, width, bias=bias)
        self.out = HeadLinear(num_heads, width, d_hidden // num_heads, bias=bias)

    def weights(self) -> Hypernetwork:
        return Hypernetwork(self.hidden.weight, self.hidden.bias, self.out.weight, self.out.bias)


class HyperMixing(nn.Module):
    """Linear-time token mixing in place of self- or cross-attention.

    Args:
        d_model: width of the tokens, D.
        d_hidden: hidden size of the token-mixing MLP over all heads, K; None: 2 * d_model.
        num_heads: slices of the width that mix apart from each other, H; divides D and K.
        tied: one hypernetwork for both sets of weights; self-mixing only.
        bias: biases in the hypernetworks.
        normalization: of the output: `layer` (LayerNorm), `length` (generated keys' weights over the number of kept
            keys) or `none`.
        positions: what the hypernetworks, and only they, are told of positions: `sinusoidal` or `none`.
        backend: `auto`, or a name of `hypermixer.ops.hypermixing.BACKENDS`.
        form: an exact form by name in place of the one that the shapes choose.

    Raises:
        InputError: sizes below 1, heads that do not divide a width, an unknown choice.
    """

    def __init__(
        self,
        d_model: int,
        d_hidden: int | None = None,
        num_heads: int = 1,
        *,
        tied: bool = True,
        bias: bool = True,
        normalization: Normalization = "layer",
        positions: PositionCode = "sinusoidal",
        backend: str = "auto",
        form: str | None = None,
    ) -> None:
        super().__init__()
        d_hidden = 2 * d_model if d_hidden is None else d_hidden
        check_heads(num_heads, d_model=d_model, d_hidden=d_hidden)
        _check_choice("normalization", normalization, NORMALIZATIONS)
        _check_choice("positions", positions, get_args(PositionCode))
        self.d_model, self.d_hidden, self.num_heads = d_model, d_hidden, num_heads
        self.normalization: Normalization = normalization
        self.positions, self.form = positions, form
        self.backend = resolve_backend(backend, form)
        self.key_net = HyperNetwork(d_model, d_hidden, num_heads, bias=bias)
        self.query_net = None if tied else HyperNetwork(d_model, d_hidden, num_heads, bias=bias)
        self.norm = nn.LayerNorm(d_model) if normalization == "layer" else None
        self.plan(1)

    @property
    def tied(self) -> bool:
        return self.query_net is None

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        key_keep: Tensor | None = None,
        query_keep: Tensor | None = None,
        query_positions: Tensor | None = None,
        key_positions: Tensor | None = None,
    ) -> Tensor:
        """Mixes `query` [B, M, D] with `key` and `value` [B, N, D]; self-mixing where `key` is None or is `query`.

        Args:
            query: [B, M, D].
            key: [B, N, D], by default `query`.
            value: [B, N, D], by default `key`.
            key_keep: [B, N] bool, True = real token; others contribute nothing.
            query_keep: [B, M] bool, by default `key_keep` when self-mixing; others come out as zero.
            query_positions: [M, D] or [B, M, D] in place of the sinusoid over kept queries.
            key_positions: [N, D] or [B, N, D], likewise.

        Returns:
            [B, M, D].

        Raises:
            InputError: shapes or dtypes that do not fit, another key where both hypernetworks are tied.
        """
        self_mixing = key is None or key is query
        key = query if key is None else key
        value = key if value is None else value
        if self_mixing and query_keep is None:
            query_keep = key_keep
        self._check(query, key, value, key_keep, query_keep, self_mixing)
        if self.positions == "sinusoidal":
            if key_positions is None:
                key_positions = sequence_sinusoid(key, key_keep)
            if query_positions is None:
                same = self_mixing and query_keep is key_keep
                query_positions = key_positions if same else sequence_sinusoid(query, query_keep)
        norm = self.norm
        return hypermixing(
            query,
            key,
            value,
            self.key_net.weights(),
            None if self.query_net is None else self.query_net.weights(),
            query_positions=query_positions,
            key_positions=key_positions,
            key_keep=key_keep,
            query_keep=query_keep,
            normalization=self.normalization,
            norm=None if norm is None else OutputNorm(norm.weight, norm.bias, norm.eps),
            backend=self.backend.name,
            form=self.form,
        )

    def plan(self, tokens: int, *, batch: int = 1, element_bytes: int = 4) -> Plan:
        """How self-mixing of `batch` sequences of `tokens` is evaluated by the dense backend."""
        return plan(self._shape(tokens, batch, element_bytes), self.form)

    def flops(self, tokens: int) -> int:
        """Operations (two per multiply-add) of the products for one self-mixed sequence, in the form the plan takes."""
        shape = self._shape(tokens, 1, 4)
        if self.backend.name == "reference":  # generates both weights, tied or not
            return 2 * replace(shape, tied=False).multiply_adds("direct")
        form = self.plan(tokens).form
        biases = 2 if form == "factored" and self.key_net.out.bias is not None else 0
        return 2 * (shape.multiply_adds(form) + biases * self.d_hidden * self.d_model // self.num_heads)

    def extra_repr(self) -> str:
        return (
            f"d_model={self.d_model}, d_hidden={self.d_hidden}, num_heads={self.num_heads}, tied={self.tied}, "
            f"normalization={self.normalization!r}, positions={self.positions!r}, backend={self.backend.name!r}"
        )

    def _shape(self, tokens: int, batch: int, element_bytes: int) -> Shape:
        return Shape(batch, tokens, tokens, self.d_model, self.d_hidden, self.num_heads, self.tied, element_bytes)

    def _check(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_keep: Tensor | None,
        query_keep: Tensor | None,
        self_mixing: bool,
    ) -> None:
        if self.tied and not self_mixing:
            raise InputError("Tied HyperMixing mixes a sequence with itself; use tied=False for another key.")
        for name, x in (("query", query), ("key", key), ("value", value)):
            if x.dim() != 3 or x.shape[-1] != self.d_model or x.shape[0] != query.shape[0]:
                raise InputError(
                    f"{name} must have shape ({query.shape[0]}, tokens, {self.d_model}), got {tuple(x.shape)}."
                )
        if key.shape != value.shape:
            raise InputError(f"key {tuple(key.shape)} and value {tuple(value.shape)} must have the same shape.")
        if not query.dtype == key.dtype == value.dtype:
            raise InputError(f"query, key and value must share a dtype, got {query.dtype}, {key.dtype}, {value.dtype}.")
        for name, keep, x in (("key_keep", key_keep, key), ("query_keep", query_keep, query)):
            if keep is not None and (keep.dtype != torch.bool or keep.shape != x.shape[:2]):
                raise InputError(
                    f"{name} must be bool of shape {tuple(x.shape[:2])}, got {keep.dtype} of {tuple(keep.shape)}."
                )


class HyperMixingMixer(TokenMixer):
    """`HyperMixing` as a token mixer of the encoder."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Options of `HyperMixing`; `d_hidden` None means twice the model's width."""

        d_hidden: int | None = None
        num_heads: int = 1
        tied: bool = True
        bias: bool = True
        normalization: str = "layer"
        positions: str = "sinusoidal"
        backend: str = "auto"
        form: str | None = None

    positions = "own"
    tags = frozenset({"linear_cost", "heads", "d_hidden"})
    source = "HyperMixer, arXiv 2203.03691, Algorithm 1"

    def __init__(self, config: Config, *, d_model: int) -> None:
        super().__init__(config, d_model=d_model)
        options: dict[str, Any] = vars(config)
        self.mixing = HyperMixing(d_model, **options)

    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        codes = sequences.sinusoid(x) if self.mixing.positions == "sinusoidal" else None
        return self.mixing(x, key_keep=sequences.keep, query_positions=codes, key_positions=codes)

    def flops(self, tokens: int) -> int:
        return self.mixing.flops(tokens)

    def state_size(self, tokens: int) -> int:
        width = self.mixing.d_model // self.mixing.num_heads
        return (width + 1) * self.mixing.d_model


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"Unknown {name} '{value}': {nearest(value, choices)}")
