"""Tokens moved along the sequence, each group of channels by an offset of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor


def shifted(x: Tensor, place: Tensor, length: Tensor, *, offsets: Sequence[int], keep_edge: bool) -> Tensor:
    """y[n, c] = x[n + offset(c), c] within each sequence: channels fall into as many groups as there are offsets.

    Args:
        x: [..., N, D], of one sequence each or of many end to end.
        place: [N] or [..., N], of each token in its sequence, from 0.
        length: [N] or [..., N] or [..., 1], of its sequence.
        offsets: of the groups, which stand side by side and are as equal in size as D allows.
        keep_edge: beyond a sequence's ends stands the token's own x, else zero.
    """
    tokens, reach = x.shape[-2], max(map(abs, offsets))
    wide = torch.nn.functional.pad(x, (0, 0, reach, reach))
    moved = []
    for group, own, offset in zip(
        wide.tensor_split(len(offsets), -1), x.tensor_split(len(offsets), -1), offsets, strict=True
    ):
        part = group[..., reach + offset : reach + offset + tokens, :]
        if offset:
            there = place + offset
            inside = ((there >= 0) & (there < length)).unsqueeze(-1)
            part = torch.where(inside, part, own) if keep_edge else part.masked_fill(~inside, 0)
        moved.append(part)
    return torch.cat(moved, -1)
