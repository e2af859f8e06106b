"""The tokens of one run, as keys, values or queries, a part at a time and heads first.

A run is a number of sequences of one length; a part is some of its sequences, or some tokens of one.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from hypermixer.ops.scratch import Scratch


class Part(NamedTuple):
    """Which sequences of a run, and which of their tokens."""

    sequences: slice
    tokens: slice


def parts(batch: int, tokens: int, chunk: int, *, whole: bool = False) -> Iterator[Part]:
    """Cuts a run [B, N] into equal parts of at most `chunk` tokens; with `whole`, sequences are never cut."""
    if batch == 0 or tokens == 0:
        return
    if tokens > chunk and not whole:
        for b in range(batch):
            for tokens_cut in equal_slices(tokens, chunk):
                yield Part(slice(b, b + 1), tokens_cut)
        return
    for sequences in equal_slices(batch, max(1, chunk // tokens)):
        yield Part(sequences, slice(0, tokens))


def equal_slices(total: int, most: int) -> list[slice]:
    """0 to `total` in as few slices as hold at most `most` each, of equal size to within one."""
    count = -(-total // most)
    cuts = [total * i // count for i in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(cuts)]


class Side:
    """Tokens of a run as one input of the operator.

    Args:
        name: tells its working memory from that of the other sides.
        x: [B, N, D].
        heads: H.
        keep: [B, N] bool or None; dropped tokens read as zero.
        positions: [>= N, D] for every sequence alike or [B, N, D]: what a hypernetwork is told of positions, or None.
        scale: of the tokens in a hypernetwork's input.
        divisor: [B] or None: tokens are read divided by it.
    """

    def __init__(
        self,
        name: str,
        x: Tensor,
        heads: int,
        keep: Tensor | None = None,
        positions: Tensor | None = None,
        scale: float = 1.0,
        divisor: Tensor | None = None,
    ) -> None:
        self.name, self.x, self.heads = name, x, heads
        self.keep, self.positions, self.scale, self.divisor = keep, positions, scale, divisor

    def tokens(self, part: Part, scratch: Scratch) -> Tensor:
        """[H, b, n, D/H], zero where dropped; a view of x where nothing has to be done."""
        x = self.x[part]
        if self.keep is None and self.divisor is None and self.heads == 1:
            return x.unsqueeze(0)
        tokens = scratch(self.name, self.heads, *x.shape[:2], x.shape[2] // self.heads)
        tokens.copy_(head_view(x, self.heads))
        if self.keep is not None:  # a fill rather than a product with the mask: NaN times zero is NaN
            tokens.masked_fill_(self._dropped(part), 0)
        if self.divisor is not None:
            tokens.div_(self.divisor[part.sequences].view(1, -1, 1, 1))
        return tokens

    def network_input(self, part: Part, tokens: Tensor, scratch: Scratch) -> Tensor:
        """tokens [H, b, n, D/H] times scale, plus positions."""
        if self.positions is None:
            return tokens if self.scale == 1.0 else tokens * self.scale
        codes = self.positions[part] if self.positions.dim() == 3 else self.positions[part.tokens].unsqueeze(0)
        out = scratch(self.name + " and positions", *tokens.shape)
        return torch.add(head_view(codes, self.heads), tokens, alpha=self.scale, out=out)

    def input_gradient(self, d_tokens: Tensor, part: Part) -> Tensor:
        """From the gradient of `tokens`, overwritten, to that of x; dropped tokens are left to `write_gradient`."""
        if self.divisor is None:
            return d_tokens
        return d_tokens.div_(self.divisor[part.sequences].view(1, -1, 1, 1))

    def write_gradient(self, total: Tensor, part: Part, gradient: Tensor) -> None:
        """Writes a gradient [H, b, n, D/H], which it overwrites, into that of x [B, N, D]; zero where dropped."""
        if self.keep is not None:
            gradient.masked_fill_(self._dropped(part), 0)
        write_heads(total, part, gradient)

    def _dropped(self, part: Part) -> Tensor:
        assert self.keep is not None
        return ~self.keep[part].unsqueeze(0).unsqueeze(-1)


def head_view(x: Tensor, heads: int) -> Tensor:
    """[B, N, D] -> [H, B, N, D/H], a view."""
    return x.unflatten(-1, (heads, x.shape[-1] // heads)).permute(2, 0, 1, 3)


def split_heads(x: Tensor, heads: int, scratch: Scratch) -> Tensor:
    """[B, N, D] -> [H, B, N, D/H], contiguous; no copy for one head."""
    if heads == 1:
        return x.unsqueeze(0)
    view = head_view(x, heads)
    return scratch("split", *view.shape).copy_(view)


def write_heads(out: Tensor, part: Part, y: Tensor) -> None:
    """y [H, b, n, D/H] into a part of out [B, N, D]."""
    head_view(out[part], len(y)).copy_(y)
