"""Packed batches: sequences end to end, told apart by `cu_seqlens`, grouped into runs of equal length."""

from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, groupby, pairwise

import torch
from torch import Tensor

from hypermixer.errors import InputError


class Packing:
    """Which tokens of a packed array [tokens, ...] belong to which sequence.

    Args:
        lengths: tokens of each sequence, none negative.
        device: of the tokens.

    Attributes:
        lengths: tokens of each sequence.
        tokens: in all.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.lengths, self.device = tuple(lengths), device
        self.tokens = sum(self.lengths)

    @classmethod
    def of(cls, cu_seqlens: "Tensor | Packing", x: Tensor, name: str = "cu_seqlens") -> "Packing":
        """From offsets [B + 1], int32 or int64: sequence i of x [tokens, ...] is x[cu_seqlens[i] : cu_seqlens[i + 1]].

        Offsets may stand on another device than x, and often stand on the CPU; the packing is on that of x.

        Raises:
            InputError: offsets of another kind, that do not start at 0, that decrease, or that do not end where x does.
        """
        tokens = len(x)
        if isinstance(cu_seqlens, Packing):
            if cu_seqlens.tokens != tokens:
                raise InputError(f"{name} covers {cu_seqlens.tokens} tokens, but there are {tokens}.")
            return cu_seqlens if cu_seqlens.device == x.device else cls(cu_seqlens.lengths, x.device)
        if cu_seqlens.dim() != 1 or len(cu_seqlens) == 0 or cu_seqlens.dtype not in (torch.int32, torch.int64):
            raise InputError(
                f"{name} must hold int32 or int64 offsets of shape (sequences + 1,), got {cu_seqlens.dtype} of shape"
                f" {tuple(cu_seqlens.shape)}."
            )
        offsets = cu_seqlens.tolist()
        if offsets[0] != 0:
            raise InputError(f"{name} must start at 0, got {offsets[0]}.")
        lengths = [b - a for a, b in pairwise(offsets)]
        for i, length in enumerate(lengths):
            if length < 0:
                raise InputError(f"{name} decreases from {offsets[i]} to {offsets[i + 1]} at index {i + 1}.")
        if offsets[-1] != tokens:
            raise InputError(f"{name} ends at {offsets[-1]}, but there are {tokens} tokens.")
        return cls(lengths, x.device)

    def __len__(self) -> int:
        return len(self.lengths)

    @cached_property
    def cu_seqlens(self) -> Tensor:
        """Offsets [B + 1], int64."""
        with torch.inference_mode(False):  # what is kept must serve training too; likewise below
            return torch.tensor([0, *accumulate(self.lengths)], device=self.device)

    @cached_property
    def lengths_tensor(self) -> Tensor:
        """[B], int64."""
        with torch.inference_mode(False):
            return torch.tensor(self.lengths, dtype=torch.int64, device=self.device)

    @cached_property
    def sequence_of(self) -> Tensor:
        """The sequence of each token, [tokens]."""
        with torch.inference_mode(False):
            return torch.repeat_interleave(self.lengths_tensor, output_size=self.tokens)

    @cached_property
    def position_of(self) -> Tensor:
        """The position of each token in its sequence, from 0, [tokens]."""
        with torch.inference_mode(False):
            return torch.arange(self.tokens, device=self.device) - self.cu_seqlens[self.sequence_of]

    @cached_property
    def by_length(self) -> "tuple[Packing, Tensor] | None":
        """Sequences of equal length side by side: the packing, and where its tokens [tokens] stood; None if they do."""
        if len(self.runs()) == len(set(self.lengths)):
            return None
        return self.rearranged(sorted(range(len(self)), key=self.lengths.__getitem__))

    def runs(self) -> list[tuple[int, int]]:
        """(sequences, length of each) for neighbours of equal length."""
        return [(len(list(group)), length) for length, group in groupby(self.lengths)]

    def rearranged(self, sequences: Sequence[int]) -> "tuple[Packing, Tensor]":
        """The packing with its sequences in another order, and where each of its tokens [tokens] stood before."""
        starts = [0, *accumulate(self.lengths)]
        packing = Packing([self.lengths[i] for i in sequences], self.device)
        with torch.inference_mode(False):
            first = torch.tensor([starts[i] for i in sequences], dtype=torch.int64, device=self.device)
            return packing, first[packing.sequence_of] + packing.position_of
