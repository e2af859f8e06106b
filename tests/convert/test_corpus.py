"""Texts to pieces: each once, every token in order, some held out."""

import numpy as np
import pytest

from hypermixer.convert.corpus import HELD_OUT, make_corpus, read_texts
from hypermixer.data.example import Columns
from hypermixer.errors import InputError
from tests.convert.teachers import WORDS, texts


def rows(pieces):
    return [tuple(piece.tolist()) for piece in pieces]


def words(*counts):
    """Texts of so many words, all different."""
    return [" ".join(WORDS[(7 * row + place) % len(WORDS)] for place in range(n)) for row, n in enumerate(counts)]


def test_empty_and_repeated_texts_are_counted_and_left_out(teacher):
    some = list(texts())[:120]
    corpus = make_corpus(["", *some, " \n", f"  {some[3]} ", *some[:7], "\t"], teacher, 20, seed=0)
    assert corpus.counts["read"] == 131 and corpus.counts["empty"] == 3 and corpus.counts["repeated"] == 8
    whole = make_corpus(some, teacher, 200, seed=0)
    assert whole.counts["pieces"] == 120 and whole.counts["split"] == 0
    expected = {tuple(ids) for ids in teacher.tokenizer(some)["input_ids"]}
    assert len(whole.pieces) + len(whole.held_out) == 120
    assert set(rows(whole.pieces)) | set(rows(whole.held_out)) == expected
    assert len(whole.held_out) == round(HELD_OUT * 120)


@pytest.mark.parametrize("length", [8, 11, 20])
def test_pieces_cover_long_texts_in_order(teacher, length):
    some = [*words(300, 41, length - 2, length - 1), *texts()[:150]]
    corpus = make_corpus(some, teacher, length, seed=3)
    tokenizer = teacher.tokenizer
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    pieces = rows(corpus.held_out) + rows(corpus.pieces)
    assert corpus.counts["pieces"] == len(pieces) and corpus.counts["split"] >= 2
    assert all(p[0] == first and p[-1] == last and 2 < len(p) <= length for p in pieces)
    assert all(first not in p[1:-1] and last not in p[1:-1] for p in pieces)
    found = [token for piece in pieces for token in piece[1:-1]]
    order = np.random.default_rng(3).permutation(len(some))
    expected = [tokenizer(some[row], add_special_tokens=False, verbose=False)["input_ids"] for row in order]
    assert found == [token for ids in expected for token in ids]


def test_parts_of_a_text_are_of_one_size(teacher):
    corpus = make_corpus([*words(300), *texts()[:150]], teacher, 20, seed=0)
    whole = make_corpus([*words(300), *texts()[:150]], teacher, 10_000, seed=0)
    longest = max(map(len, [*whole.pieces, *whole.held_out]))
    parts = -(-(longest - 2) // 18)
    sizes = [(longest - 2) * (i + 1) // parts - (longest - 2) * i // parts + 2 for i in range(parts)]
    lengths = [len(piece) for piece in [*corpus.held_out, *corpus.pieces]]
    assert max(sizes) - min(sizes) <= 1
    assert any(lengths[at : at + parts] == sizes for at in range(len(lengths)))


def test_held_out_texts_share_no_piece_with_the_rest(teacher):
    corpus = make_corpus([*words(*[60] * 40), *texts()], teacher, 20, seed=1)
    assert corpus.counts["split"] >= 40
    whole = make_corpus([*words(*[60] * 40), *texts()], teacher, 10_000, seed=1)
    inner = [token for piece in corpus.held_out for token in piece[1:-1].tolist()]
    assert inner == [token for piece in whole.held_out for token in piece[1:-1].tolist()]
    assert len(whole.held_out) == round(HELD_OUT * 340)


def test_the_seed_is_the_order(teacher):
    one, again, other = (make_corpus(texts(), teacher, 20, seed) for seed in (5, 5, 6))
    assert rows(one.pieces) == rows(again.pieces) and rows(one.held_out) == rows(again.held_out)
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert rows(one.pieces) != rows(other.pieces) and set(rows(one.held_out)) != set(rows(other.held_out))


def test_the_fingerprint_knows_where_pieces_end(teacher):
    assert make_corpus(texts(), teacher, 20, 0).fingerprint != make_corpus(texts(), teacher, 12, 0).fingerprint
    assert make_corpus(texts(), teacher, 20, 0).fingerprint != make_corpus(texts()[:-1], teacher, 20, 0).fingerprint


@pytest.mark.parametrize("some", [[], [""] * 200, ["bamu"] * 500, [*texts()[:99], "", texts()[5]]])
def test_too_few_texts_are_refused(teacher, some):
    with pytest.raises(InputError, match=rf"--texts: {len(set(some) - {''})} different .* {len(some)} in all"):
        make_corpus(some, teacher, 20, 0)
    assert len(make_corpus(texts()[:100], teacher, 20, 0).held_out) == 5


def test_a_tokenizer_that_does_not_fit_the_texts_is_named(teacher):
    numbers = [f"{number} {number * 7}" for number in range(1000, 1200)]
    with pytest.raises(InputError, match=f"{teacher.name}: its tokenizer reads 200 different texts as 1"):
        make_corpus(numbers, teacher, 20, 0)
    mixed = [f"{word} {number}" for word, number in zip(texts()[:200], numbers, strict=True)]
    with pytest.raises(InputError, match=f"{teacher.name}: its tokenizer does not know [0-9]+% of the words"):
        make_corpus(
            [f"{text} {number} {number} {number} {number}" * 9 for text, number in zip(mixed, numbers, strict=True)],
            teacher,
            20,
            0,
        )


def test_texts_of_several_sources_and_of_pairs(tmp_path):
    (tmp_path / "a.txt").write_text("bamu il\n\nda ber\n")
    (tmp_path / "b.csv").write_text("text_a,text_b\nga,gos\n,fil\n")
    assert read_texts([str(tmp_path / "a.txt"), str(tmp_path / "b.csv")]) == [
        "bamu il",
        "da ber",
        "ga",
        "gos",
        "",
        "fil",
    ]
    (tmp_path / "c.csv").write_text("review,title,verdict\nbamu il,da,good\n")
    assert read_texts([str(tmp_path / "c.csv")], Columns("review")) == ["bamu il"]
    assert read_texts([str(tmp_path / "c.csv")], Columns("review", "title")) == ["bamu il", "da"]
    assert read_texts(["builtin:products,n=9"], split="test") != read_texts(["builtin:products,n=9"], split="train")
    with pytest.raises(InputError, match=r"c\.txt"):
        read_texts([str(tmp_path / "a.txt"), str(tmp_path / "c.txt")])
