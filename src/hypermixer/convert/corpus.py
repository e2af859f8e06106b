"""Unlabelled texts to token ids: each once, long ones in pieces, some held out."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hypermixer.convert.teacher import Teacher
from hypermixer.data.example import Columns, Example
from hypermixer.data.sources import DEFAULT_COLUMNS, load
from hypermixer.data.tokens import CHUNK, encode
from hypermixer.errors import InputError

#: Fewer texts teach nothing.
LEAST_TEXTS = 100
#: Share of the texts that is held out, and the most of them.
HELD_OUT, MOST_HELD_OUT = 0.05, 1_000
#: Share of the words that a tokenizer may not know.
MOST_UNKNOWN = 0.5


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


def read_texts(sources: Sequence[str], columns: Columns = DEFAULT_COLUMNS, split: str | None = None) -> list[str]:
    """All texts of some sources, both texts of a pair, in their order.

    Args:
        sources: what `load` reads.
        columns: of files and hub sets.
        split: of sources that have some; None: their first.

    Raises:
        InputError: as `load`.
    """
    loaded = (load(source, split=split, columns=columns, need_label=False) for source in sources)
    return [text for data in loaded for text in data.texts()]


def make_corpus(texts: Iterable[str], teacher: Teacher, max_length: int, seed: int) -> Corpus:
    """The corpus of some texts, in an order drawn with the seed.

    Args:
        texts: in any order; those that are empty or were there before are left out.
        teacher: whose tokenizer reads them.
        max_length: tokens of a piece, special ones included.
        seed: of the order, and of what is held out.

    Raises:
        InputError: fewer than `LEAST_TEXTS` texts remain, or the teacher's tokenizer does not know their words.
    """
    every = [text.strip() for text in texts]
    kept = list(dict.fromkeys(text for text in every if text))
    counts = {"read": len(every), "empty": sum(not text for text in every)}
    counts["repeated"] = len(every) - counts["empty"] - len(kept)
    if len(kept) < LEAST_TEXTS:
        raise InputError(_too_few(len(kept), len(every)))
    order = np.random.default_rng(seed).permutation(len(kept))
    read = _read([kept[i] for i in order], teacher)
    # Texts that differ in case or accents alone may be the same to the tokenizer.
    ids = list({row.tobytes(): row for row in read}.values())
    counts["repeated"] += len(read) - len(ids)
    if len(ids) < LEAST_TEXTS:
        raise InputError(
            f"{teacher.name}: its tokenizer reads {len(kept):,} different texts as {len(ids):,}: it does not fit the"
            " texts."
        )
    _require_known(ids, teacher)
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


def _read(texts: Sequence[str], teacher: Teacher) -> list[NDArray[np.int32]]:
    """Ids of each text, part by part: as Python's own numbers, all at once would take ten times the room."""
    read: list[NDArray[np.int32]] = []
    for start in range(0, len(texts), CHUNK):
        part = [Example(text, None, None, "") for text in texts[start : start + CHUNK]]
        read += [np.asarray(ids, np.int32) for ids in encode(teacher.tokenizer, part, None).input_ids]
    return read


def _require_known(ids: Sequence[NDArray[np.int32]], teacher: Teacher) -> None:
    """
    Raises:
        InputError: most of the texts' words are unknown to the teacher's tokenizer.
    """
    unknown = teacher.tokenizer.unk_token_id
    every = np.concatenate(ids[:10_000])
    words = every[~np.isin(every, [i for i in teacher.tokenizer.all_special_ids if i != unknown])]
    share = float((words == unknown).mean()) if unknown is not None and len(words) else 0.0
    if share > MOST_UNKNOWN:
        raise InputError(
            f"{teacher.name}: its tokenizer does not know {share:.0%} of the words of the texts: it does not fit them."
        )


def _pieces(ids: NDArray[np.int32], teacher: Teacher, max_length: int) -> list[NDArray[np.int32]]:
    """A text's ids as pieces of at most so many tokens, each between the special tokens that stood around all."""
    if len(ids) <= max_length:
        return [ids]
    special = set(teacher.tokenizer.all_special_ids)
    first, last = (int(ids[0]) in special), (int(ids[-1]) in special)
    inner = ids[first : len(ids) - last]
    room = max_length - first - last
    count = -(-len(inner) // room)
    ends = [len(inner) * part // count for part in range(count + 1)]  # of equal size, to within one token
    front, back = ids[: int(first)], ids[len(ids) - int(last) :]
    return [np.concatenate([front, inner[start:stop], back]) for start, stop in pairwise(ends)]
