"""`builtin:nli`: pairs of English-like sentences, a premise and a hypothesis, whose label follows from their meaning.

A sentence says something about *atoms*, each of which is in one of the states of its kind:

    role       whether one noun acts on another: `doctor help nurse`       no, yes
    share      how many of a group do something: `doctor slept`            none, part, whole (no group is empty)
    quality    where a noun is on a scale: `doctor height`                 low, middle, high

and allows some of their states: "every doctor" allows whole, "not every doctor" allows none and part, "not tall" allows
low and middle. The rule of the label, over the atom of the hypothesis:

    entailment      every state that the premise allows is allowed by the hypothesis
    contradiction   no state that the premise allows is allowed by the hypothesis
    neutral         some are and some are not; a premise allows all states of an atom that it does not speak of

Every premise speaks of three nouns. To which of them the negation, the quantifier or the adjective belongs, and who
acts on whom, is a matter of word order: the same words in another order make a pair with another label, and the three
labels share their words. So a bag of words is near chance, and so is the hypothesis alone.

Some (verb, order of nouns) and (verb, voice) combinations, chosen by the seed, occur in no training or validation pair;
every test pair has at least one of them. Every word occurs in training.
"""

import hashlib
import random
from collections.abc import Iterator

from hypermixer.data.example import Example
from hypermixer.data.nli_grammar import ACTIONS, CASTS, EVENTS, FAMILIES, Sentence, label

ABOUT = "sentence pairs from a grammar: roles, quantifiers, negation, swapped arguments; the test split recombines"
RULE = (
    "entailment where the hypothesis holds in every situation that the premise allows, contradiction where it holds "
    "in none, neutral otherwise"
)
LABELS = ("entailment", "neutral", "contradiction")
SIZES = {"train": 24_000, "validation": 2_000, "test": 2_000}


def generate(*, split: str, n: int | None = None, seed: int = 0) -> list[Example]:
    """The pairs of a split: a longer list begins with the shorter one.

    Args:
        split: `train`, `validation` or `test`.
        n: how many; None is 24,000 for train and 2,000 for the others. Validation never has more than 2,000.
        seed: decides the pairs and the combinations that are kept for the test split.
    """
    size = SIZES[split] if n is None else n
    if split == "validation":
        size = min(size, SIZES[split])
    pairs = _pairs(split, seed)
    return [
        Example(premise.words, hypothesis.words, label(premise, hypothesis), f"builtin:nli[{row}]")
        for row, (premise, hypothesis) in zip(range(size), pairs, strict=False)
    ]


def held_out(seed: int) -> frozenset[tuple[str, str]]:
    """The (verb, order of nouns) and (verb, voice) combinations that only the test split has."""
    rng = random.Random(f"nli:held-out:{seed}")
    orders = {(verb, " ".join(rng.sample(cast, len(cast)))) for verb in [*ACTIONS, *EVENTS] for cast in CASTS}
    # Never the active voice: "did not help" is the only place of the word "help".
    voices = {(verb, "passive") for verb in rng.sample(sorted(ACTIONS), 2)}
    return frozenset(orders | voices)


def _pairs(split: str, seed: int) -> Iterator[tuple[Sentence, Sentence]]:
    rng = random.Random(f"nli:{split}:{seed}")
    kept_for_test = held_out(seed)
    while True:
        # The family before the label: else one that is neutral more often would give itself away by its words.
        family = rng.choice(FAMILIES)
        for wanted in rng.sample(LABELS, len(LABELS)):
            while True:
                premise, hypothesis = family(rng)
                unseen = bool((premise.combinations | hypothesis.combinations) & kept_for_test)
                if label(premise, hypothesis) != wanted or unseen != (split == "test"):
                    continue
                if split == "test" or (split == "validation") == _for_validation(premise, hypothesis):
                    yield premise, hypothesis
                    break


def _for_validation(premise: Sentence, hypothesis: Sentence) -> bool:
    """A twelfth of all pairs, so that no validation pair is a training pair, whatever the sizes."""
    digest = hashlib.sha256(f"{premise.words}\n{hypothesis.words}".encode()).digest()
    return digest[0] * 12 < 256
