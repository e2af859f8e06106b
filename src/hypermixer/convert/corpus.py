"""Unlabelled texts to token ids: each once, long ones in pieces, some held out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hypermixer.convert.teacher import Teacher
from hypermixer.data.example import Example
from hypermixer.data.sources import load
from hypermixer.data.tokens import encode
from hypermixer.errors import InputError

#: Fewer texts teach nothing.
LEAST_TEXTS = 100
#: Share of the texts that is held out, and the most of them.
HELD_OUT, MOST_HELD_OUT = 0.05, 1_000


@dataclass(frozen=True)
class Corpus:
    """Pieces of texts as token ids, special tokens included.

    Attributes:
        pieces: to learn from.
        held_out: to measure agreement on; no text has pieces in both.
        counts: of texts that were `read`, the `empty` and the `repeated` ones that were left out, those `split` into
            pieces, and the `pieces` in all.
        fingerprint: SHA-256 (hexadecimal) of all ids in their order.
    """

    pieces: list[NDArray[np.int32]] = field(repr=False)
    held_out: list[NDArray[np.int32]] = field(repr=False)
    counts: dict[str, int]
    fingerprint: str


def read_texts(sources: Sequence[str]) -> list[str]:
    """All texts of some sources, both texts of a pair, in their order.

    Raises:
        InputError: as `load`.
    """
    return [text for source in sources for text in load(source, need_label=False).texts()]


def make_corpus(texts: Iterable[str], teacher: Teacher, max_length: int, seed: int) -> Corpus:
    """The corpus of some texts, in an order drawn with the seed.

    Args:
        texts: in any order; those that are empty or were there before are left out.
        teacher: whose tokenizer reads them.
        max_length: tokens of a piece, special ones included.
        seed: of the order, and of what is held out.

    Raises:
        InputError: fewer than `LEAST_TEXTS` texts remain.
    """
    every = [text.strip() for text in texts]
    kept = list(dict.fromkeys(text for text in every if text))
    counts = {"read": len(every), "empty": sum(not text for text in every)}
    counts["repeated"] = len(every) - counts["empty"] - len(kept)
    if len(kept) < LEAST_TEXTS:
        raise InputError(_too_few(len(kept), len(every)))
    order = np.random.default_rng(seed).permutation(len(kept))
    examples = [Example(kept[i], None, None, f"text {i}") for i in order]
    # Texts that differ in case or accents alone may be the same to the tokenizer.
    ids = list({tuple(row): row for row in encode(teacher.tokenizer, examples, None).input_ids}.values())
    counts["repeated"] += len(examples) - len(ids)
    if len(ids) < LEAST_TEXTS:
        raise InputError(_too_few(len(ids), len(every)))
    cut = [_pieces(row, teacher, max_length) for row in ids]
    counts |= {"split": sum(len(parts) > 1 for parts in cut), "pieces": sum(map(len, cut))}
    held = min(MOST_HELD_OUT, max(1, round(HELD_OUT * len(cut))))
    held_out, pieces = ([piece for parts in some for piece in parts] for some in (cut[:held], cut[held:]))
    digest = hashlib.sha256()
    for piece in (*held_out, *pieces):
        digest.update(len(piece).to_bytes(4, "little") + piece.tobytes())
    return Corpus(pieces, held_out, counts, digest.hexdigest())


def _too_few(kept: int, read: int) -> str:
    return (
        f"--texts: {kept} different texts that are not empty, of {read} in all; at least {LEAST_TEXTS} are needed, and"
        " thousands to learn from."
    )


def _pieces(ids: Sequence[int], teacher: Teacher, max_length: int) -> list[NDArray[np.int32]]:
    """A text's ids as pieces of at most so many tokens, each between the special tokens that stood around all."""
    if len(ids) <= max_length:
        return [np.asarray(ids, np.int32)]
    special = set(teacher.tokenizer.all_special_ids)
    first, last = (ids[0] in special), (ids[-1] in special)
    inner = ids[first : len(ids) - last]
    room = max_length - first - last
    count = -(-len(inner) // room)
    ends = [len(inner) * part // count for part in range(count + 1)]  # of equal size, to within one token
    around = (list(ids[:1]) if first else [], list(ids[-1:]) if last else [])
    return [np.asarray([*around[0], *inner[start:stop], *around[1]], np.int32) for start, stop in pairwise(ends)]
