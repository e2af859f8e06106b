"""`builtin:nli`: pairs of English-like sentences, a premise and a hypothesis, whose label follows from their meaning.

A *situation* gives every *atom* one of the states of its kind:

    role       one noun acts on another: `doctor help nurse`       states: no, yes
    share      how many of a group do something: `doctors sleep`   states: none, part, whole (groups are not empty)
    quality    where one noun is on a scale: `doctor height`       states: low, middle, high

A sentence allows some of the states of the atoms it speaks of: "all doctors" allows `whole`, "not all doctors" allows
`none` and `part`, "not tall" allows `low` and `middle`. The rule of the label: for the atom of the hypothesis,

    entailment      every state that the premise allows is allowed by the hypothesis
    contradiction   no state that the premise allows is allowed by the hypothesis
    neutral         some are and some are not (the premise that does not speak of the atom allows all)

Premises speak of three nouns; who acts, to whom the negation, the quantifier or the adjective belongs is a matter of
word order only. Every pair of word bags occurs with every label equally often: the counterpart with another label has
the same words in another order, on either side. So neither a bag of words nor the hypothesis alone tells the label.

Some (verb, noun) and (verb, voice) combinations, chosen by the seed, occur in no training or validation pair, and at
least one of them occurs in every test pair. Every word occurs in training.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from hypermixer.data.example import Example

ABOUT = "sentence pairs from a grammar: roles, quantifiers, negation, swapped arguments; the test split recombines"
RULE = (
    "entailment where the hypothesis holds in every situation that the premise allows, contradiction where it holds "
    "in none, neutral otherwise"
)
LABELS = ("entailment", "neutral", "contradiction")
SIZES = {"train": 24_000, "validation": 2_000, "test": 2_000}

CASTS = [("doctor", "nurse", "patient"), ("teacher", "parent", "pupil"), ("king", "queen", "knight")]
ACTIONS = {
    "help": "helped",
    "follow": "followed",
    "visit": "visited",
    "thank": "thanked",
    "call": "called",
    "watch": "watched",
    "praise": "praised",
    "blame": "blamed",
}
EVENTS = ["slept", "laughed", "danced", "smiled", "waited", "shouted", "arrived", "worked"]
SCALES = {"height": ("short", "tall"), "age": ("young", "old"), "money": ("poor", "rich"), "mood": ("sad", "happy")}

ADVERBS = ["today", "again", "twice", "gladly", "quietly", "slowly"]

STATES = {
    "role": frozenset({"no", "yes"}),
    "share": frozenset({"none", "part", "whole"}),
    "quality": frozenset({"low", "middle", "high"}),
}
QUANTIFIERS = {
    "every": frozenset({"whole"}),
    "no": frozenset({"none"}),
    "some": frozenset({"part", "whole"}),
    "not every": frozenset({"none", "part"}),
}

MOST = 0.9
LEAD = 0.7
T = TypeVar("T")
DEGREES = {
    adjective: frozenset({state})
    for scale in SCALES.values()
    for adjective, state in zip(scale, ("low", "high"), strict=True)
}

Atom = tuple[str, ...]


@dataclass(frozen=True)
class Sentence:
    """Words, the states they allow for each atom they speak of, and the (verb, noun) and (verb, voice) combinations."""

    words: str
    allows: dict[Atom, frozenset[str]]
    combinations: frozenset[tuple[str, str]]


def label(premise: Sentence, hypothesis: Sentence) -> str:
    """The label of a pair by the rule above."""
    holds = [
        (premise.allows.get(atom, STATES[atom[0]]) <= states, premise.allows.get(atom, STATES[atom[0]]) & states)
        for atom, states in hypothesis.allows.items()
    ]
    if all(always for always, _ in holds):
        return "entailment"
    return "contradiction" if any(not possible for _, possible in holds) else "neutral"


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
    name = "builtin:nli"
    pairs = _pairs(split, seed)
    return [
        Example(premise.words, hypothesis.words, label(premise, hypothesis), f"{name}[{row}]")
        for row, (premise, hypothesis) in zip(range(size), pairs, strict=False)
    ]


def held_out(seed: int) -> frozenset[tuple[str, str]]:
    """The (verb, noun) and (verb, voice) combinations that only the test split has; every word keeps others."""
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


def _cast(rng: random.Random) -> list[str]:
    """The nouns of one premise, in an order of their own."""
    cast = rng.choice(CASTS)
    return rng.sample(cast, len(cast))


def _spoken_of(rng: random.Random, nouns: list[str]) -> str:
    """The noun of a hypothesis: the leading one of its cast half of the time, where it can be chosen."""
    leading = [noun for noun in nouns if any(noun == cast[0] for cast in CASTS)]
    return (
        leading[0] if leading and rng.random() < LEAD else rng.choice([n for n in nouns if n not in leading] or nouns)
    )


def _mostly(rng: random.Random, usual: T, other: T) -> T:
    """The usual choice three times out of four."""
    return usual if rng.random() < MOST else other


def _for_validation(premise: Sentence, hypothesis: Sentence) -> bool:
    """A twelfth of all pairs, so that no validation pair is a training pair, whatever the sizes."""
    digest = hashlib.sha256(f"{premise.words}\n{hypothesis.words}".encode()).digest()
    return digest[0] * 12 < 256


def _roles(rng: random.Random) -> tuple[Sentence, Sentence]:
    """Who acts on whom: `the doctor not the nurse helped the pilot today` / `the pilot was helped by the nurse`."""
    agent, other, patient = nouns = _cast(rng)
    verb, adverb = rng.choice(list(ACTIONS)), rng.choice(ADVERBS)
    voice, voice_below = _mostly(rng, "active", "passive"), _mostly(rng, "active", "passive")
    past = ACTIONS[verb]
    premise = Sentence(
        f"the {agent} not the {other} {past} the {patient} {adverb}"
        if voice == "active"
        else f"the {patient} was {past} by the {agent} not the {other} {adverb}",
        {("role", agent, verb, patient): frozenset({"yes"}), ("role", other, verb, patient): frozenset({"no"})},
        frozenset({(verb, " ".join(nouns)), (verb, voice)}),
    )
    told = [(agent, patient), (other, patient)]
    turned = [(target, subject) for subject, target in told]
    # Twice the turned ones beside the others: they are the counterparts that differ in word order alone.
    pairs = [*told, *_mostly(rng, turned, [(agent, other), (other, agent)])]
    subject = _spoken_of(rng, [subject for subject, _ in pairs])
    target = rng.choice([each for first, each in pairs if first == subject])
    negated = _mostly(rng, False, True)
    if voice_below == "active":
        words = f"the {subject} did not {verb} the {target}" if negated else f"the {subject} {past} the {target}"
    else:
        words = f"the {target} was {'not ' if negated else ''}{past} by the {subject}"
    hypothesis = Sentence(
        words,
        {("role", subject, verb, target): frozenset({"no" if negated else "yes"})},
        frozenset({(verb, voice_below)}),
    )
    return premise, hypothesis


def _shares(rng: random.Random) -> tuple[Sentence, Sentence]:
    """How many: `every doctor , no nurse , some pilot slept` / `not every pilot slept`."""
    nouns = _cast(rng)
    event = rng.choice(EVENTS)
    third, below = _mostly(rng, ("some", ("every", "not every")), ("not every", ("some", "no")))
    usual = ["every", "no", third]
    quantifiers = _mostly(rng, usual, rng.sample(usual, 3))
    groups = [f"{quantifier} {noun}" for quantifier, noun in zip(quantifiers, nouns, strict=True)]
    premise = Sentence(
        f"{groups[0]} , {groups[1]} , {groups[2]} {event}",
        {("share", noun, event): QUANTIFIERS[each] for each, noun in zip(quantifiers, nouns, strict=True)},
        frozenset({(event, " ".join(nouns))}),
    )
    noun, quantifier = _spoken_of(rng, nouns), _mostly(rng, *below)
    hypothesis = Sentence(
        f"{quantifier} {noun} {event}", {("share", noun, event): QUANTIFIERS[quantifier]}, frozenset()
    )
    return premise, hypothesis


def _qualities(rng: random.Random) -> tuple[Sentence, Sentence]:
    """Which noun: `tall doctor , short nurse , rich pilot arrived` / `the pilot was not tall`."""
    nouns = _cast(rng)
    event = rng.choice(EVENTS)
    scale, other_scale = rng.sample(list(SCALES), 2)
    low, high = SCALES[scale]
    usual = [(scale, high), (scale, low), (other_scale, rng.choice(SCALES[other_scale]))]
    given = _mostly(rng, usual, rng.sample(usual, 3))
    phrases = [f"{adjective} {noun}" for (_, adjective), noun in zip(given, nouns, strict=True)]
    premise = Sentence(
        f"{phrases[0]} , {phrases[1]} , {phrases[2]} {event}",
        {("quality", noun, of): DEGREES[adjective] for (of, adjective), noun in zip(given, nouns, strict=True)},
        frozenset({(event, " ".join(nouns))}),
    )
    noun, adjective = _spoken_of(rng, nouns), _mostly(rng, high, low)
    negated = _mostly(rng, False, True)
    hypothesis = Sentence(
        f"the {noun} was {'not ' if negated else ''}{adjective}",
        {("quality", noun, scale): STATES["quality"] - DEGREES[adjective] if negated else DEGREES[adjective]},
        frozenset(),
    )
    return premise, hypothesis


FAMILIES: tuple[Callable[[random.Random], tuple[Sentence, Sentence]], ...] = (_roles, _shares, _qualities)
