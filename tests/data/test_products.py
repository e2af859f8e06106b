"""builtin:products: the rule of the label, and what it leaves to no single word."""

import pytest

from hypermixer.data import products
from hypermixer.data.sources import load
from hypermixer.errors import InputError


def states(half: str, text: str) -> list[bool]:
    return [word.endswith("up") for word in text.split() if word.startswith(half)]


@pytest.mark.parametrize("pairs", [1, 5, 15])
def test_the_label_is_the_majority_of_the_products(pairs: int) -> None:
    examples = load(f"builtin:products,n=203,pairs={pairs}").examples
    for example in examples:
        assert len(example.text.split()) == len(set(example.text.split())) == 2 * products.SLOTS
        same = [a == b for a, b in zip(states("left", example.text), states("right", example.text), strict=True)]
        assert example.label == ("agree" if 2 * sum(same[:pairs]) > pairs else "differ")
    share = sum(example.label == "agree" for example in examples) / len(examples)
    assert 0.4 < share < 0.6


def test_no_word_says_the_label() -> None:
    examples = load("builtin:products,n=4000,pairs=3").examples
    agree = [example for example in examples if example.label == "agree"]
    for word in examples[0].text.split():
        among = sum(word in example.text.split() for example in agree) / len(agree)
        assert abs(among - 0.5) < 0.06


def test_longer_lists_begin_with_shorter_ones_and_splits_and_seeds_differ() -> None:
    ten, few = load("builtin:products,n=10").examples, load("builtin:products,n=4").examples
    assert ten[:4] == few
    others = ("builtin:products,n=4,seed=1", "train"), ("builtin:products,n=4", "test")
    assert all(load(name, split=split).examples != few for name, split in others)
    assert len(load("builtin:products,n=5000", split="validation")) == 2000
    assert load("builtin:products").examples[0].label == load("builtin:products,pairs=5").examples[0].label


@pytest.mark.parametrize("pairs", [2, 16, 17])
def test_pairs_that_could_be_undecided_or_are_too_many(pairs: int) -> None:
    with pytest.raises(InputError, match="odd number from 1 to 15"):
        load(f"builtin:products,pairs={pairs}")


def test_only_products_have_pairs() -> None:
    with pytest.raises(InputError, match="'pairs'"):
        load("builtin:nli,pairs=3")
