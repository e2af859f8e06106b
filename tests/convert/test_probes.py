"""What probes say of embeddings whose worth is known."""

import numpy as np
import pytest

from hypermixer.convert.probes import STRENGTHS, all_probes, probe, relatedness
from hypermixer.data.sources import from_lists

WORDS = ("low", "high", "far", "near")


def labelled(count, seed):
    """Texts of one word and a number, labelled with the word."""
    draw = np.random.default_rng(seed)
    words = [WORDS[i] for i in draw.integers(0, 4, count)]
    return from_lists(
        [f"{word} {number}" for word, number in zip(words, draw.integers(0, 99, count), strict=True)], words
    )


def by_word(data, share=1.0):
    """Vectors that tell the word of a text apart, for a share of the texts; the others are told as the first one."""
    places = [WORDS.index(example.text.split()[0]) for example in data.examples]
    told = [place if row < share * len(places) else 0 for row, place in enumerate(places)]
    return np.eye(4, dtype=np.float32)[told]


def test_what_vectors_tell_is_found_and_what_they_do_not_tell_is_not():
    train, test = labelled(203, 0), labelled(97, 1)
    assert probe(by_word, train, test) == 1.0
    constant = probe(lambda data: np.ones((len(data), 3), np.float32), train, test)
    labels, learned = ([example.label for example in data.examples] for data in (test, train))
    assert constant == labels.count(max(WORDS, key=learned.count)) / 97
    half = probe(lambda data: by_word(data, 0.5 if len(data) == 97 else 1.0), train, test)
    wrong = sum(label != WORDS[0] for label in labels[49:])
    assert half == pytest.approx(1 - wrong / 97)


def test_the_strength_is_chosen_on_texts_that_are_not_reported_on(monkeypatch):
    from sklearn.linear_model import LogisticRegression

    tried, fit = [], LogisticRegression.fit

    def seen(self, x, y):
        tried.append((self.C, len(x)))
        return fit(self, x, y)

    monkeypatch.setattr(LogisticRegression, "fit", seen)
    train = labelled(200, 0)
    probe(by_word, train, labelled(31, 1))
    assert [strength for strength, _ in tried[:-1]] == list(STRENGTHS)
    assert {size for _, size in tried[:-1]} == {180} and tried[-1][1] == 200


def test_relatedness_is_a_correlation_of_ranks():
    turns = np.linspace(0, np.pi, 12)
    vectors = {f"b{i}": (np.cos(turn), np.sin(turn)) for i, turn in enumerate(turns)} | {"a": (1.0, 0.0)}

    def embed(data):
        return 7 * np.array([vectors[example.text] for example in data.examples], np.float32)

    def pairs(scores):
        return from_lists(["a"] * 12, [str(score) for score in scores], [f"b{i}" for i in range(12)])

    assert relatedness(embed, pairs(np.exp(-np.arange(12)))) == pytest.approx(1)
    assert relatedness(embed, pairs(np.arange(12) ** 3)) == pytest.approx(-1)


def test_data_sets_by_name_in_percent():
    found = all_probes(
        lambda data: np.array([[len(e.text)] for e in data.examples], np.float32), ["builtin:nli,n=40"], []
    )
    assert list(found) == ["builtin:nli,n=40"] and 0 <= found["builtin:nli,n=40"] <= 100
