"""What a token mixer is: one interface, one meaning of the mask."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from hypermixer.errors import InputError, nearest
from hypermixer.kinds import check_kinds
from hypermixer.ops.positions import sinusoid

Positions = Literal["own", "input", "none"]


class Sequences:
    """Which tokens of a batch belong to which sequence; built once per batch, read by every layer.

    Attributes:
        keep: [B, N] bool, True = real token; None when every token is real.
        lengths: [B] int64, real tokens of each sequence.
    """

    def __init__(self, batch: int, tokens: int, device: torch.device, keep: Tensor | None = None) -> None:
        if keep is not None and (keep.dtype != torch.bool or keep.shape != (batch, tokens)):
            raise InputError(
                f"keep must be bool of shape ({batch}, {tokens}), got {keep.dtype} of shape {tuple(keep.shape)}."
            )
        self.batch, self.tokens, self.keep = batch, tokens, keep
        self.lengths = torch.full((batch,), tokens, device=device) if keep is None else keep.sum(1)
        self._codes: dict[tuple[int, torch.dtype], Tensor] = {}

    @classmethod
    def padded(cls, x: Tensor, keep: Tensor | None = None) -> "Sequences":
        """For x [B, N, ...] and its mask [B, N]."""
        return cls(x.shape[0], x.shape[1], x.device, keep)

    def drop(self, x: Tensor) -> Tensor:
        """x [B, N, ...] with zeros at dropped positions, whatever is stored there."""
        if self.keep is None:
            return x
        return x.masked_fill(~self.keep.view(self.batch, self.tokens, *[1] * (x.dim() - 2)), 0)

    def sinusoid(self, x: Tensor) -> Tensor:
        """Position codes for x [B, N, D]: [N, D], or [B, N, D] where a mask says which token is the first.

        Positions count real tokens, so that padding on either side, or between, moves none of them.
        """
        key = (x.shape[-1], x.dtype)
        if key not in self._codes:
            self._codes[key] = sequence_sinusoid(x, self.keep)
        return self._codes[key]


def sequence_sinusoid(x: Tensor, keep: Tensor | None) -> Tensor:
    """Sinusoid of x [B, N, D]: [N, D] without a mask, [B, N, D] counted over kept tokens with one."""
    table = sinusoid(x.shape[1], x.shape[-1], x)
    if keep is None:
        return table
    return table[(keep.cumsum(1) - 1).clamp(min=0)]


class TokenMixer(nn.Module, ABC):
    """Mixes information across the tokens of each sequence.

    A subclass holds a frozen dataclass `Config` of its own options, and says where its positions come from: `own`
    (inside), `input` (the encoder adds sinusoids to the embeddings) or `none`.
    """

    Config: ClassVar[type]
    positions: ClassVar[Positions]
    tags: ClassVar[frozenset[str]] = frozenset()
    source: ClassVar[str]

    def __init__(self, config: Any, *, d_model: int) -> None:
        super().__init__()
        self.config, self.d_model = config, d_model

    @abstractmethod
    def forward(self, x: Tensor, sequences: Sequences) -> Tensor:
        """x [B, N, D] -> [B, N, D], zero at dropped positions; what x holds there reaches nothing."""

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
