import re
from collections import Counter

from hypermixer.data import load, pydoc


def test_every_group_has_prose_in_every_split() -> None:
    for split, least in (("train", 30), ("validation", 1), ("test", 1)):
        counts = Counter(e.label for e in load("builtin:pydoc", split=split).examples)
        assert set(counts) == set(pydoc.GROUPS)
        assert min(counts.values()) >= least


def test_splits_are_disjoint_and_make_up_the_whole() -> None:
    parts = [[e.text for e in pydoc.generate(split=s, seed=5)] for s in ("train", "validation", "test")]
    texts = [text for part in parts for text in part]
    assert len(set(texts)) == len(texts) == len(pydoc.paragraphs()) > 800
    assert 0.75 < len(parts[0]) / len(texts) < 0.85


def test_paragraphs_are_prose() -> None:
    for text, _ in pydoc.paragraphs():
        assert len(re.findall(r"[A-Za-z]{2,}", text)) >= pydoc.LEAST_WORDS
        assert not re.search(r"\n|>>>|::=|={3}|\*{2}|`", text)


def test_the_seed_decides_and_n_limits() -> None:
    assert pydoc.generate(split="train", n=31, seed=2) == pydoc.generate(split="train", seed=2)[:31]
    assert pydoc.generate(split="test", seed=2) != pydoc.generate(split="test", seed=3)
    assert len(load("builtin:pydoc,n=31,seed=2")) == 31


def test_every_topic_has_one_group() -> None:
    names = [name for group in pydoc.GROUPS.values() for name in group]
    assert len(set(names)) == len(names)
