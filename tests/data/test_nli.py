"""The generated pairs: labels follow from meaning, word bags tell nothing, the test split recombines known words."""

from collections import Counter

import pytest

from hypermixer.data import load, nli_grammar
from hypermixer.data.example import Example
from hypermixer.data.nli import LABELS, generate, held_out
from hypermixer.data.nli_grammar import Sentence, label


def words(examples: list[Example]) -> set[str]:
    return {word for e in examples for word in f"{e.text} {e.pair}".split()}


def test_labels_follow_from_the_states_that_are_allowed() -> None:
    def says(**allowed: str) -> Sentence:
        return Sentence("", {("share", n, "slept"): frozenset(s.split()) for n, s in allowed.items()}, frozenset())

    premise = says(doctor="whole", nurse="none", pilot="part whole")
    assert label(premise, says(doctor="part whole")) == "entailment"
    assert label(premise, says(nurse="none part")) == "entailment"
    assert label(premise, says(nurse="part whole")) == "contradiction"
    assert label(premise, says(pilot="whole")) == "neutral"
    assert label(premise, says(baker="whole")) == "neutral"
    assert label(premise, says(doctor="whole", nurse="whole")) == "contradiction"
    assert label(premise, says(doctor="whole", pilot="whole")) == "neutral"


@pytest.mark.parametrize("family", nli_grammar.FAMILIES)
def test_every_family_agrees_with_a_reading_of_its_words(family) -> None:
    import random

    rng, seen = random.Random(5), Counter()
    for _ in range(400):
        premise, hypothesis = family(rng)
        seen[label(premise, hypothesis)] += 1
        assert label(premise, hypothesis) == read(premise.words, hypothesis.words), (premise, hypothesis)
    assert set(seen) == set(LABELS)


def read(premise: str, hypothesis: str) -> str:
    """A second reading of the rule, from the words alone."""
    p, h = premise.split(), hypothesis.split()
    if p[0] == "the":
        return read_roles(p, h)
    if h[0] == "the":
        return read_qualities(p, h)
    return read_shares(p, h)


def read_roles(p: list[str], h: list[str]) -> str:
    def who(sentence: list[str]) -> tuple[list[str], list[str]]:
        nouns = [word for word, before in zip(sentence[1:], sentence, strict=False) if before == "the"]
        return (nouns[1:], nouns[:1]) if "by" in sentence else (nouns[:-1], nouns[-1:])

    (agent, other), (patient,) = who(p)
    (subject,), (target,) = who(h)
    if target != patient or subject not in (agent, other):
        return "neutral"
    return "entailment" if (subject == agent) != ("not" in h) else "contradiction"


def read_shares(p: list[str], h: list[str]) -> str:
    text = " ".join(p[:-1])
    given = {clause.split()[-1]: " ".join(clause.split()[:-1]) for clause in text.split(" , ")}
    stated, asked = given[h[-2]], " ".join(h[:-2])
    opposite = {"every": "not every", "not every": "every", "some": "no", "no": "some"}
    follows = {"every": {"every", "some"}, "no": {"no", "not every"}, "some": {"some"}, "not every": {"not every"}}
    if asked in follows[stated]:
        return "entailment"
    return "contradiction" if opposite[asked] in follows[stated] else "neutral"


def read_qualities(p: list[str], h: list[str]) -> str:
    given = {clause.split()[1]: clause.split()[0] for clause in " ".join(p[:-1]).split(" , ")}
    opposite = {a: b for low, high in nli_grammar.SCALES.values() for a, b in ((low, high), (high, low))}
    stated, asked = given[h[1]], h[-1]
    if stated == asked:
        return "contradiction" if "not" in h else "entailment"
    if stated == opposite[asked]:
        return "entailment" if "not" in h else "contradiction"
    return "neutral"


def test_the_same_request_gives_the_same_pairs_and_a_longer_one_begins_with_them() -> None:
    short, long = generate(split="train", n=61, seed=3), generate(split="train", n=100, seed=3)
    assert short == generate(split="train", n=61, seed=3)
    assert long[:61] == short
    assert generate(split="train", n=61, seed=4) != short


def test_sizes() -> None:
    assert len(load("builtin:nli,n=77")) == 77
    assert len(load("builtin:nli", split="test")) == 2_000
    assert len(load("builtin:nli,n=5000", split="validation")) == 2_000


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_labels_are_balanced(split: str) -> None:
    counts = Counter(e.label for e in generate(split=split, n=301))
    assert set(counts) == set(LABELS)
    assert max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_the_test_split_recombines_words_that_training_knows(seed: int) -> None:
    train, test = generate(split="train", n=4_000, seed=seed), generate(split="test", n=500, seed=seed)
    assert words(test) <= words(train)
    assert len(words(train)) < 150
    assert not {(e.text, e.pair) for e in train} & {(e.text, e.pair) for e in test}
    kept = held_out(seed)
    orders = {combination for combination in kept if " " in combination[1]}
    for e in train:
        assert not any(in_order(e.text, verb, order) for verb, order in orders), e
    assert sum(any(in_order(e.text, verb, order) for verb, order in orders) for e in test) > 100


def in_order(text: str, verb: str, order: str) -> bool:
    present = text.split()
    nouns = [word for word in present if any(word in cast for cast in nli_grammar.CASTS)]
    if "by" in present:
        nouns = [*nouns[1:], nouns[0]]
    return nouns == order.split() and nli_grammar.ACTIONS.get(verb, verb) in present


def test_no_validation_pair_is_a_training_pair() -> None:
    train, validation = generate(split="train", n=3_001), generate(split="validation", n=801)
    assert not {(e.text, e.pair) for e in train} & {(e.text, e.pair) for e in validation}


@pytest.mark.parametrize("side", ["both", "joined", "hypothesis"])
def test_a_bag_of_words_is_near_chance(side: str) -> None:
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    train, test = generate(split="train", n=4_000), generate(split="test", n=1_500)

    def sides(examples: list[Example]) -> list[list[str]]:
        first, second = [e.text for e in examples], [e.pair or "" for e in examples]
        joined = [f"{a} {b}" for a, b in zip(first, second, strict=True)]
        return {"both": [first, second], "joined": [joined], "hypothesis": [second]}[side]

    bags = [TfidfVectorizer().fit(texts) for texts in sides(train)]

    def features(examples: list[Example]):
        return hstack([bag.transform(texts) for bag, texts in zip(bags, sides(examples), strict=True)])

    model = LogisticRegression(max_iter=500).fit(features(train), [e.label for e in train])
    assert model.score(features(test), [e.label for e in test]) <= 0.40
