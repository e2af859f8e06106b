"""What a token mixer is: one interface, one meaning of the mask."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from hypermixer.errors import InputError, nearest
from hypermixer.kinds import check_kinds
from hypermixer.ops.packing import Packing
from hypermixer.ops.positions import sinusoid

Positions = Literal["own", "input", "none"]
#: Makes position codes: (length, width, like) -> [length, width].
Code = Callable[[int, int, Tensor], Tensor]


class Sequences:
    """Which tokens of a batch belong to which sequence; built once per batch, read by every layer.

    Padded, x is [B, N, D] and `keep` says which tokens are real; packed, x is [tokens, D] and `packing` says where each
    sequence stands. Make one with `padded` or `packed`.

    Attributes:
        batch: sequences.
        keep: [B, N] bool, True = real token; None when every token is real, or packed.
        packing: lengths and offsets of packed sequences; None when padded.
        lengths: [B] int64, real tokens of each sequence.
    """

    def __init__(self, batch: int, lengths: Tensor, keep: Tensor | None, packing: Packing | None) -> None:
        self.batch, self.lengths, self.keep, self.packing = batch, lengths, keep, packing
        self._codes: dict[tuple[Code, int, torch.dtype, torch.device], Tensor] = {}

    @classmethod
    def padded(cls, x: Tensor, keep: Tensor | None = None) -> "Sequences":
        """For x [B, N, ...] and its mask [B, N].

        Raises:
            InputError: a mask of another shape or kind.
        """
        batch, tokens = x.shape[:2]
        if keep is None:
            return cls(batch, torch.full((batch,), tokens, device=x.device), None, None)
        if keep.dtype != torch.bool or keep.shape != (batch, tokens):
            raise InputError(
                f"keep must be bool of shape ({batch}, {tokens}), got {keep.dtype} of shape {tuple(keep.shape)}."
            )
        return cls(batch, keep.sum(1), keep, None)

    @classmethod
    def packed(cls, x: Tensor, cu_seqlens: Tensor | Packing) -> "Sequences":
        """For x [tokens, ...] and its offsets [B + 1].

        Raises:
            InputError: offsets that do not start at 0, decrease, or do not end at the number of tokens.
        """
        packing = Packing.of(cu_seqlens, x)
        return cls(len(packing), packing.lengths_tensor, None, packing)

    def drop(self, x: Tensor) -> Tensor:
        """x with zeros at dropped positions, whatever is stored there."""
        if self.keep is None:
            return x
        return x.masked_fill(~self.keep.view(*self.keep.shape, *[1] * (x.dim() - 2)), 0)

    def codes(self, x: Tensor, code: Code = sinusoid) -> Tensor:
        """Position codes for x: [N, D] or, where a mask says which token is the first, [B, N, D]; packed [longest, D].

        Positions count real tokens, so that padding on either side, or between, moves none of them.
        """
        key = (code, x.shape[-1], x.dtype, x.device)
        if key not in self._codes:
            if self.packing is None:
                self._codes[key] = position_codes(x, self.keep, code)
            else:
                self._codes[key] = code(max(self.packing.lengths, default=0), x.shape[-1], x)
        return self._codes[key]

    def codes_of_tokens(self, x: Tensor, code: Code = sinusoid) -> Tensor:
        """Position codes that can be added to x, packed or padded."""
        codes = self.codes(x, code)
        return codes if self.packing is None else codes[self.packing.position_of.to(x.device)]

    def through_padding(self, mix: Callable[[Tensor, "Sequences"], Tensor], x: Tensor) -> Tensor:
        """mix(x, sequences) for a mixer that knows padded batches only: packed tokens are padded before, and packed
        again after."""
        packing = self.packing
        if packing is None:
            return mix(x, self)
        rows, columns = packing.sequence_of, packing.position_of
        shape = (self.batch, max(packing.lengths, default=0))
        padded = x.new_zeros(*shape, x.shape[-1]).index_put((rows, columns), x)
        keep = torch.arange(shape[1], device=x.device) < self.lengths.unsqueeze(1)
        return mix(padded, Sequences(self.batch, self.lengths, keep, None))[rows, columns]


def position_codes(x: Tensor, keep: Tensor | None, code: Code = sinusoid) -> Tensor:
    """Codes of x [B, N, D]: [N, D] where positions are places, [B, N, D] where a mask has kept tokens counted."""
    table = code(x.shape[1], x.shape[-1], x)
    if keep is None or _behind(keep):
        return table
    return table[(keep.cumsum(1) - 1).clamp(min=0).to(x.device)]


def _behind(keep: Tensor) -> bool:
    """Whether all padding is known to stand behind; on a GPU, and while compiling, looking would cost too much."""
    if keep.device.type != "cpu" or torch.compiler.is_compiling() or type(keep) is not Tensor:
        return False
    return not bool((keep[:, 1:] & ~keep[:, :-1]).any())


class TokenMixer(nn.Module, ABC):
    """Mixes information across the tokens of each sequence.

    A subclass holds a frozen dataclass `Config` of its own options, and says where its positions come from: `own`
    (inside), `input` (the encoder adds sinusoids to the embeddings) or `none`.
    """

    Config: ClassVar[type]
    positions: ClassVar[Positions]
    tags: ClassVar[frozenset[str]] = frozenset()
    #: Whether packed batches are mixed as they are, and not `through_padding`.
    packs: ClassVar[bool] = False
    source: ClassVar[str]

    def __init__(self, config: Any, *, d_model: int) -> None:
        super().__init__()
        self.config, self.d_model = config, d_model

    @abstractmethod
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        """x [B, N, D], or [tokens, D] packed -> the same shape, zero at dropped positions.

        What x holds at dropped positions reaches nothing. A mixer that has no packed form of its own calls
        `sequences.through_padding`.
        """

    @abstractmethod
    def flops(self, tokens: int) -> int:
        """Floating-point operations (two per multiply-add) of the matrix products for one sequence of `tokens`."""

    @abstractmethod
    def state_size(self, tokens: int) -> int:
        """Numbers that carry information between tokens for one sequence: what a stream has to hold."""


def strict_options(config: type, options: Mapping[str, Any], owner: str) -> Any:
    """`config(**options)`, refusing unknown names and values of the wrong kind.

    Raises:
        InputError: an option that `config` does not have, or of another kind than its field.
    """
    known = [f.name for f in fields(config)]
    for name in options:
        if name not in known:
            raise InputError(f"Mixer '{owner}' has no option '{name}': {nearest(name, known)}")
    made = config(**options)
    try:
        check_kinds(made)
    except InputError as error:
        raise InputError(f"Mixer '{owner}': {error}") from None
    return made


def check_heads(num_heads: int, **widths: int) -> None:
    """Raises InputError where `num_heads` is not positive or does not divide one of the named widths."""
    if num_heads < 1:
        raise InputError(f"num_heads must be at least 1, got {num_heads}.")
    for name, width in widths.items():
        if width < 1:
            raise InputError(f"{name} must be at least 1, got {width}.")
        if width % num_heads:
            raise InputError(f"num_heads={num_heads} does not divide {name}={width}.")
