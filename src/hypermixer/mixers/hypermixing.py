"""HyperMixing: token mixing by an MLP whose weights are generated from the tokens.

Source: HyperMixer (arXiv 2203.03691), Algorithm 1; heads as in HyperConformer (arXiv 2305.18281).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hypermixer.errors import InputError
from hypermixer.mixers import imported
from hypermixer.mixers.base import check_choice, check_heads
from hypermixer.mixers.checks import check_call
from hypermixer.mixers.hypernetwork import HyperNetwork
from hypermixer.mixers.sequences import position_codes
from hypermixer.ops.hypermixing import (
    NORMALIZATIONS,
    Choice,
    Normalization,
    OutputNorm,
    Plan,
    Shape,
    check_backend,
    constants_for,
    hypermixing,
    plan,
    resolve_backend,
)
from hypermixer.ops.packing import Packing
from hypermixer.ops.positions import POSITIONS

PositionCode = Literal["sinusoidal", "idiap", "none"]


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
        positions: what the hypernetworks, and only they, are told of positions: `sinusoidal`, `none`, or `idiap` as the
            official layer does it (see `from_idiap`).
        projections: mix X Wv + bv in place of X, and take Y Wo + bo for Y, as attention does; the paper has neither.
        backend: `auto`, or a name of `hypermixer.ops.hypermixing.BACKENDS`.
        form: an exact form by name in place of the one that the shapes choose.

    Raises:
        InputError: sizes below 1, heads that do not divide a width, an unknown choice, a backend that cannot run here.
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
        projections: bool = False,
        backend: str = "auto",
        form: str | None = None,
    ) -> None:
        super().__init__()
        d_hidden = 2 * d_model if d_hidden is None else d_hidden
        check_heads(num_heads, d_model=d_model, d_hidden=d_hidden)
        check_choice("normalization", normalization, NORMALIZATIONS)
        check_choice("positions", positions, tuple(POSITIONS))
        self.d_model, self.d_hidden, self.num_heads = d_model, d_hidden, num_heads
        self.normalization: Normalization = normalization
        self.positions, self.form = positions, form
        check_backend(backend, form)
        self._backend = backend
        self.key_net = HyperNetwork(d_model, d_hidden, num_heads, bias=bias)
        self.query_net = None if tied else HyperNetwork(d_model, d_hidden, num_heads, bias=bias)
        self.norm = nn.LayerNorm(d_model) if normalization == "layer" else None
        self.value_projection = nn.Linear(d_model, d_model) if projections else None
        self.output_projection = nn.Linear(d_model, d_model) if projections else None
        plan(self._shape(1, 1, 4), form)  # an unknown form is refused here
        if backend == "native":
            resolve_backend(backend)

    @property
    def backend(self) -> Choice:
        """Which backend evaluates the layer where its weights are, and why; `auto` may compile the kernels to know."""
        weight = self.key_net.hidden.weight
        return resolve_backend(self._backend, self.form, device_type=weight.device.type, dtype=weight.dtype)

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
        key_cu_seqlens: Tensor | Packing | None = None,
        query_cu_seqlens: Tensor | Packing | None = None,
        query_positions: Tensor | None = None,
        key_positions: Tensor | None = None,
    ) -> Tensor:
        """Mixes `query` [B, M, D] with `key` and `value` [B, N, D]; self-mixing where `key` is None or is `query`.

        Sequences of different lengths may be padded, with masks, or packed end to end, with offsets: then all three
        are [tokens, D], and nothing is spent on padding.

        Args:
            query: [B, M, D] or [query tokens, D].
            key: [B, N, D] or [key tokens, D], by default `query`.
            value: of the shape of `key`, by default `key`.
            key_keep: [B, N] bool, True = real token; others contribute nothing.
            query_keep: [B, M] bool, by default `key_keep` when self-mixing; others come out as zero.
            key_cu_seqlens: [B + 1] int32 or int64: sequence i stands at key_cu_seqlens[i] to key_cu_seqlens[i + 1].
            query_cu_seqlens: likewise, by default `key_cu_seqlens` when self-mixing.
            query_positions: [M, D] or [B, M, D] in place of the sinusoid over kept queries; packed [query tokens, D].
            key_positions: [N, D] or [B, N, D], likewise; packed [key tokens, D].

        Returns:
            Of the shape of `query`.

        Raises:
            InputError: shapes, dtypes, masks or offsets that do not fit, another key where both hypernetworks are tied.
        """
        self_mixing = key is None or key is query
        key = query if key is None else key
        value = key if value is None else value
        query_keep = key_keep if self_mixing and query_keep is None else query_keep
        query_cu_seqlens = key_cu_seqlens if self_mixing and query_cu_seqlens is None else query_cu_seqlens
        if self.tied and not self_mixing:
            raise InputError("Tied HyperMixing mixes a sequence with itself; use tied=False for another key.")
        queries, keys = check_call(
            query, key, value, self.d_model, keep=(query_keep, key_keep), cu_seqlens=(query_cu_seqlens, key_cu_seqlens)
        )
        shared = self_mixing and queries is keys and (query_positions is None or query_positions is key_positions)
        key_positions = self._codes(key, keys, key_positions)
        query_positions = key_positions if shared else self._codes(query, queries, query_positions)
        where = "packing" if isinstance(keys, Packing) else "keep"
        belonging: dict[str, Any] = {f"query_{where}": queries, f"key_{where}": keys}
        norm = self.norm
        y = hypermixing(
            query,
            key,
            self._values(value, keys),
            self.key_net.weights(),
            None if self.query_net is None else self.query_net.weights(),
            query_positions=query_positions,
            key_positions=key_positions,
            input_scale=POSITIONS[self.positions].input_scale(self.d_model),
            **belonging,
            normalization=self.normalization,
            norm=None if norm is None else OutputNorm(norm.weight, norm.bias, norm.eps),
            backend=self._backend,
            form=self.form,
        )
        if self.output_projection is None:
            return y
        return _dropped(self.output_projection(y), queries)

    def _values(self, value: Tensor, where: Tensor | Packing | None) -> Tensor:
        """What is mixed. A projection's gradient would meet what is stored at dropped positions, so that goes first."""
        return value if self.value_projection is None else self.value_projection(_dropped(value, where))

    def _codes(self, x: Tensor, where: Tensor | Packing | None, given: Tensor | None) -> Tensor | None:
        """Position codes of x, padded with a mask or packed: those given, or those of `positions`."""
        code = POSITIONS[self.positions].code
        if isinstance(where, Packing):
            if given is not None:
                if given.shape != x.shape:
                    raise InputError(f"Packed positions must have shape {tuple(x.shape)}, got {tuple(given.shape)}.")
                return given.unsqueeze(1)
            return None if code is None else code(max(where.lengths, default=0), self.d_model, x)
        if given is not None or code is None:
            return given
        return position_codes(x, where, code)

    @classmethod
    def from_idiap(
        cls, state_dict: Mapping[str, Tensor], num_heads: int | None = None, *, prefix: str = "", tied: bool = False
    ) -> "HyperMixing":
        """The official layer (idiap/hypermixing) with its weights, in the dtype of its state dict.

        Args:
            state_dict: of the layer, or of a model that holds it.
            num_heads: checked against the weights where given.
            prefix: of the layer's keys in `state_dict`, such as `encoder.layers.0.mixing.`.
            tied: both generators hold the same weights, and one is to be made of them.

        Raises:
            InputError: keys or shapes that are not the official layer's.
        """
        return cls._filled(*imported.from_idiap(state_dict, num_heads, prefix=prefix, tied=tied))

    @classmethod
    def from_speechbrain(
        cls, state_dict: Mapping[str, Tensor], num_heads: int | None = None, *, prefix: str = "", tied: bool = False
    ) -> "HyperMixing":
        """SpeechBrain's layer with its weights; arguments and errors as `from_idiap`'s."""
        return cls._filled(*imported.from_speechbrain(state_dict, num_heads, prefix=prefix, tied=tied))

    @classmethod
    def _filled(cls, options: Mapping[str, Any], state: Mapping[str, Tensor]) -> "HyperMixing":
        with torch.device("meta"):  # no random start that is thrown away
            mixing = cls(**options)
        mixing.load_state_dict(state, assign=True)
        return mixing

    def plan(self, tokens: int, *, batch: int = 1, element_bytes: int | None = None) -> Plan:
        """How self-mixing of `batch` sequences of `tokens` is evaluated where the layer's weights are.

        `element_bytes` is by default that of the weights.
        """
        element_bytes = self.key_net.hidden.weight.element_size() if element_bytes is None else element_bytes
        native = self.backend.name == "native"
        constants = constants_for("native" if native else self.key_net.hidden.weight.device.type)
        return plan(self._shape(tokens, batch, element_bytes), self.form, constants)

    def how(self, tokens: int, *, batch: int = 1, element_bytes: int | None = None) -> dict[str, Any]:
        """For a record: plan, backend and its reason."""
        plan = self.plan(tokens, batch=batch, element_bytes=element_bytes)
        return {**plan.as_dict(), "backend": self.backend.name, "because": self.backend.reason}

    def flops(self, tokens: int) -> int:
        """Operations (two per multiply-add) of the products for one self-mixed sequence, in the form the plan takes."""
        shape = self._shape(tokens, 1, 4)
        projections = 0 if self.value_projection is None else 2 * tokens * self.d_model**2
        if self.backend.name == "reference":  # generates both weights, tied or not
            return 2 * (replace(shape, tied=False).multiply_adds("direct") + projections)
        form = self.plan(tokens).form
        biases = 2 if form == "factored" and self.key_net.out.bias is not None else 0
        return 2 * (shape.multiply_adds(form) + biases * self.d_hidden * self.d_model // self.num_heads + projections)

    def extra_repr(self) -> str:
        return (
            f"d_model={self.d_model}, d_hidden={self.d_hidden}, num_heads={self.num_heads}, tied={self.tied}, "
            f"normalization={self.normalization!r}, positions={self.positions!r}, "
            f"projections={self.value_projection is not None}, backend={self._backend!r}"
        )

    def _shape(self, tokens: int, batch: int, element_bytes: int) -> Shape:
        return Shape(batch, tokens, tokens, self.d_model, self.d_hidden, self.num_heads, self.tied, element_bytes)


def _dropped(x: Tensor, where: Tensor | Packing | None) -> Tensor:
    """x with zeros where a mask drops it; packed tokens are all real."""
    return x if where is None or isinstance(where, Packing) else x.masked_fill(~where.unsqueeze(-1), 0)
