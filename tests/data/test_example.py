from collections import Counter

import pytest

from hypermixer.data import Dataset, Example
from hypermixer.errors import InputError


def dataset(*labels: str | None) -> Dataset:
    return Dataset.of("t.csv", [Example(f"text {i}", None, label, f"t.csv:{i + 2}") for i, label in enumerate(labels)])


def test_texts_are_both_texts_of_a_pair_in_order() -> None:
    examples = [Example("a", "b", None, "x"), Example("", None, None, "x"), Example("c", "", None, "x")]
    assert list(Dataset.of("t", examples).texts()) == ["a", "b", "", "c", ""]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("a", None, "x"), ("b", None, "x")], [("b", None, "x"), ("a", None, "x")]),
        ([("a", "b", "x")], [("ab", "", "x")]),
        ([("a", None, "x")], [("a", "", "x")]),
        ([("a", None, "x")], [("a", None, None)]),
        ([("a", None, "x")], [("a", None, "y")]),
        ([("a", None, "1"), ("b", None, "2")], [("a", None, "1b"), ("", None, "2")]),
    ],
)
def test_fingerprints_differ_with_texts_labels_and_order(one: list, other: list) -> None:
    first, second = ([Example(text, pair, label, "o") for text, pair, label in rows] for rows in (one, other))
    assert Dataset.of("t", first).fingerprint != Dataset.of("t", second).fingerprint
    elsewhere = [Example(text, pair, label, "elsewhere") for text, pair, label in one]
    assert Dataset.of("t", first).fingerprint == Dataset.of("u", elsewhere).fingerprint


def test_a_limit_draws_rows_and_keeps_their_order() -> None:
    whole = dataset(*"ababababababa")
    part = whole.limited(5, seed=3)
    places = [whole.examples.index(e) for e in part.examples]
    assert len(set(places)) == 5 and places == sorted(places)
    assert places != [0, 1, 2, 3, 4]
    assert part == whole.limited(5, seed=3)
    assert part.fingerprint != whole.fingerprint
    assert part != whole.limited(5, seed=4)
    assert whole.limited(13, seed=0) is whole and whole.limited(99, seed=0) is whole


@pytest.mark.parametrize("n", [0, -3])
def test_a_limit_below_one_is_an_error(n: int) -> None:
    with pytest.raises(InputError, match=r"--limit .*" + str(n)):
        dataset("a", "b").limited(n, seed=0)


@pytest.mark.parametrize("n", [3, 4, 20])
def test_a_limit_keeps_a_row_of_every_label(n: int) -> None:
    whole = dataset(*("a" * 300 + "bc" + "a" * 300))
    for seed in range(20):
        part = whole.limited(n, seed)
        assert len(part) == n
        assert Counter(e.label for e in part.examples) == {"a": n - 2, "b": 1, "c": 1}


def test_a_limit_below_the_number_of_labels_names_those_it_would_lose() -> None:
    with pytest.raises(InputError, match=r"--limit 2 .*'[abc]'.*t\.csv.* 3 "):
        dataset(*"aabbcc").limited(2, seed=0)
    with pytest.raises(InputError, match=r"--limit 1 [^']*('[a-z]', ){5}\.\.\.: .* 20 "):
        dataset(*"abcdefghijklmnopqrst").limited(1, seed=0)


def test_a_limit_of_rows_without_labels() -> None:
    assert len(dataset(None, None, None).limited(1, seed=0)) == 1


def test_a_split_holds_out_the_same_share_of_every_label() -> None:
    whole = dataset(*("a" * 70 + "b" * 30 + "c" * 10 + "d"))
    train, held = whole.split_off(0.1, seed=1)
    assert Counter(e.label for e in held.examples) == {"a": 7, "b": 3, "c": 1}
    assert len(train) + len(held) == len(whole)
    assert not {e.origin for e in train.examples} & {e.origin for e in held.examples}
    for part in (train, held):
        places = [whole.examples.index(e) for e in part.examples]
        assert places == sorted(places)
    assert whole.split_off(0.1, seed=1)[1] == held
    assert whole.split_off(0.1, seed=2)[1] != held


def test_a_split_never_takes_the_last_example_of_a_label() -> None:
    train, held = dataset(*"aabbc").split_off(0.99, seed=0)
    assert {e.label for e in train.examples} == {"a", "b", "c"}
    assert Counter(e.label for e in held.examples) == {"a": 1, "b": 1}


def test_a_split_holds_out_at_least_one_and_at_most_the_bound() -> None:
    assert len(dataset(*"aab").split_off(0.1, seed=0)[1]) == 1
    assert len(dataset(*("ab" * 50)).split_off(0.5, most=7, seed=0)[1]) == 7
    assert len(dataset(*([None] * 20)).split_off(0.1, seed=0)[1]) == 2


def test_a_split_of_too_few_rows_is_an_error() -> None:
    with pytest.raises(InputError, match=r"t\.csv.*--eval"):
        dataset("a", "b", "c").split_off(seed=0)


def test_pairs_with_the_same_first_text_stay_together() -> None:
    texts = [Example(f"premise {i // 3}", f"{i}", "enc"[i % 3], f"r{i}") for i in range(120)]
    train, held = Dataset.of("t", texts).split_off(0.1, seed=0)
    assert len(held) == 12 and not {e.text for e in train.examples} & {e.text for e in held.examples}
    assert Counter(e.label for e in held.examples) == {"e": 4, "n": 4, "c": 4}
    shuffled = Dataset.of("t", [Example(f"p{i % 7}", str(i), "ab"[i % 2], f"r{i}") for i in range(140)])
    train, held = shuffled.split_off(0.3, seed=0)
    assert held.examples and {e.label for e in train.examples} == {"a", "b"}
    assert not {e.text for e in train.examples} & {e.text for e in held.examples}


def test_single_texts_are_drawn_one_by_one() -> None:
    whole = Dataset.of("t", [Example("ab"[i % 2], None, "ab"[i % 2], f"r{i}") for i in range(40)])
    assert len(whole.split_off(0.1, seed=0)[1]) == 4


def test_one_first_text_for_all_is_split_by_rows() -> None:
    whole = Dataset.of("t", [Example("the same", str(i), "ab"[i % 2], f"r{i}") for i in range(40)])
    assert len(whole.split_off(0.1, seed=0)[1]) == 4


FRACTIONS = (0.1, 1, 3.3, 5, 10, 25, 50, 99, 100)


@pytest.mark.parametrize("labels", ["a" * 301 + "b" * 99 + "c" * 7, "ab" * 50, "a" * 13, "abcdefg"])
def test_fractions_are_nested_stratified_and_in_order(labels: str) -> None:
    whole = dataset(*labels)
    sizes, smaller = Counter(labels), set()
    for percent in FRACTIONS:
        part = whole.fraction(percent, seed=2)
        places = [whole.examples.index(example) for example in part.examples]
        assert places == sorted(set(places)) and smaller <= set(places)
        assert len(places) == max(len(sizes), round(percent / 100 * len(whole)))
        counts = Counter(example.label for example in part.examples)
        for label, size in sizes.items():
            assert counts[label] >= 1 and abs(counts[label] - percent / 100 * size) <= 2, (percent, label)
        smaller = set(places)
    assert whole.fraction(100, seed=2) is whole


def test_a_fraction_is_drawn_by_its_seed() -> None:
    whole = dataset(*"ab" * 100)
    assert whole.fraction(10, 0) == whole.fraction(10, 0) != whole.fraction(10, 1)
    assert whole.fraction(10, 0).examples != whole.examples[:20]
    assert len(dataset().fraction(10, 0)) == 0


@pytest.mark.parametrize("percent", [0, -5, 100.1, float("nan")])
def test_a_fraction_outside_the_range_is_an_error(percent: float) -> None:
    with pytest.raises(InputError, match=f"{percent:g}"):
        dataset("a", "b").fraction(percent, seed=0)
