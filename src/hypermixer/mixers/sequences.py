"""Which tokens of a batch belong to which sequence: one meaning of the mask, padded or packed."""

from collections.abc import Callable

import torch
from torch import Tensor

from hypermixer.errors import InputError
from hypermixer.ops.packing import Packing
from hypermixer.ops.positions import sinusoid

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
        self._order: list[tuple[Tensor, Tensor] | None] = []  # of one, once it is known

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

    def total(self, x: Tensor) -> Tensor:
        """The sum over each sequence's tokens: x, zero at dropped positions -> [B, D], float32 at least."""
        packing, wide = self.packing, torch.promote_types(x.dtype, torch.float32)
        if packing is None:
            return x.sum(1, dtype=wide)
        return x.new_zeros(len(packing), x.shape[-1], dtype=wide).index_add(0, packing.sequence_of, x.to(wide))

    def mean(self, x: Tensor) -> Tensor:
        """The mean over each sequence's tokens, zero where it has none: x, zero at dropped positions -> [B, D]."""
        total = self.total(x)
        return (total / self.lengths.clamp(min=1).unsqueeze(1).to(total.dtype)).to(x.dtype)

    def first(self, x: Tensor) -> Tensor:
        """Each sequence's first token, zero where it has none: x, zero at dropped positions -> [B, D]."""
        if self.packing is not None:
            starts = self.packing.cu_seqlens[:-1].clamp(max=max(0, len(x) - 1))
            found = x[starts] if len(x) else x.new_zeros(self.batch, x.shape[-1])
            return found.masked_fill((self.lengths == 0).unsqueeze(1), 0)
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], x.shape[-1])
        if self.keep is None:
            return x[:, 0]
        place = self.keep.to(torch.int8).argmax(1)
        return x[torch.arange(x.shape[0], device=x.device), place]

    def largest(self, x: Tensor) -> Tensor:
        """Of each number the largest over a sequence's tokens, zero where it has none: x -> [B, D]."""
        least = torch.finfo(x.dtype).min
        empty = (self.lengths == 0).unsqueeze(1)
        if self.packing is not None:
            rows = self.packing.sequence_of.unsqueeze(1).expand_as(x)
            found = x.new_full((self.batch, x.shape[-1]), least).scatter_reduce(0, rows, x, "amax")
            return found.masked_fill(empty, 0)
        if not x.shape[1]:
            return x.new_zeros(x.shape[0], x.shape[-1])
        kept = x if self.keep is None else x.masked_fill(~self.keep.unsqueeze(-1), least)
        return kept.amax(1).masked_fill(empty, 0)

    def spread(self, x: Tensor) -> Tensor:
        """What belongs to a sequence, at each of its tokens: [B, D] -> [B, 1, D], or [tokens, D] packed."""
        return x.unsqueeze(1) if self.packing is None else x[self.packing.sequence_of.to(x.device)]

    def in_runs(self, mix: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Packed: mix(x [b, n, ...]) of neighbours of equal length, one such run after the other."""
        assert self.packing is not None
        mixed, start = [], 0
        for batch, tokens in self.packing.runs():
            stop = start + batch * tokens
            if tokens:
                mixed.append(mix(x[start:stop].unflatten(0, (batch, tokens))).flatten(0, 1))
            start = stop
        return torch.cat(mixed) if mixed else mix(pad_tokens(x.unsqueeze(0), 1)).flatten(0, 1)[:0]

    def in_order(
        self, mix: Callable[[Tensor, Tensor | None], Tensor], x: Tensor, max_length: int | None = None
    ) -> Tensor:
        """mix(x [b, n, ...], keep [b, n] or None) with each sequence's tokens in front, in order, zeros behind.

        For mixers that go by a token's place. Packed, mix sees one run of equal lengths after the other, and no mask.
        Only where padding goes beyond `max_length` are lengths looked at, which torch.compile cannot do.

        Raises:
            InputError: a sequence of more than `max_length` tokens.
        """
        if self.packing is not None:
            _check_length(max(self.packing.lengths, default=0), max_length)
            return self.in_runs(lambda run: mix(run, None), x)
        tokens, x = x.shape[1], self.drop(x)
        if x.numel() == 0:  # one sequence of one token in its place, which not every operation can do without
            y = mix(pad_tokens(torch.cat([x[:, :0], x.new_zeros(1, 0, *x.shape[2:])]), 1), None)[:-1]
            return y.expand(-1, tokens, *y.shape[2:]) if tokens else y[:, :0]
        if self.keep is None:
            _check_length(tokens, max_length)
            return mix(x, None)
        order, keep = self._to_front(self.keep), self.keep
        if order is not None:
            x, keep = _taken(x, order[0]), keep.gather(1, order[0])
        if max_length is not None and tokens > max_length:
            _check_length(int(self.lengths.max()), max_length)
            y = pad_tokens(mix(x[:, :max_length], keep[:, :max_length]), tokens)
        else:
            y = mix(x, keep)
        return self.drop(y if order is None else _taken(y, order[1]))

    def by_place(self, mix: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
        """mix(x, place, length), of each token its place in its sequence and the sequence's length.

        Packed, x is [tokens, ...], all sequences end to end, and so are place and length [tokens]; padded it is [B, N,
        ...] with tokens in front, place [N] and length [B, 1].
        """
        packing = self.packing
        if packing is not None:
            return mix(x, packing.position_of, packing.lengths_tensor[packing.sequence_of])

        def padded(x: Tensor, keep: Tensor | None) -> Tensor:
            length = x.new_full((len(x), 1), x.shape[1], dtype=torch.int64) if keep is None else keep.sum(1, True)
            return mix(x, torch.arange(x.shape[1], device=x.device), length)

        return self.in_order(padded, x)

    def _to_front(self, keep: Tensor) -> tuple[Tensor, Tensor] | None:
        """Which token goes where so that kept ones stand in front, and back again; None where they do."""
        if not self._order:
            forth = None if _behind(keep) else torch.argsort((~keep).to(torch.int8), dim=1, stable=True)
            self._order.append(None if forth is None else (forth, torch.argsort(forth, dim=1)))
        return self._order[0]

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


def pad_tokens(x: Tensor, tokens: int) -> Tensor:
    """x [B, N, ...] with zeros behind, up to `tokens`."""
    return torch.cat([x, x.new_zeros(x.shape[0], tokens - x.shape[1], *x.shape[2:])], 1)


def _taken(x: Tensor, order: Tensor) -> Tensor:
    """x [B, N, ...] with its tokens in another order [B, N]."""
    return x.gather(1, order.view(*order.shape, *[1] * (x.dim() - 2)).expand_as(x))


def _check_length(tokens: int, max_length: int | None) -> None:
    if max_length is not None and tokens > max_length:
        raise InputError(f"A text has {tokens} tokens, the mixer takes {max_length} at most: cut it (truncation=True).")


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
