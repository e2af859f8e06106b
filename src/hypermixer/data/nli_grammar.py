"""The grammar behind `builtin:nli`: words, what sentences mean, and the three families of pairs."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

# The first noun of a cast is its leading one.
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

DEGREES = {
    adjective: frozenset({state})
    for scale in SCALES.values()
    for adjective, state in zip(scale, ("low", "high"), strict=True)
}

Atom = tuple[str, ...]


@dataclass(frozen=True)
class Sentence:
    """A sentence and its meaning.

    Attributes:
        words: the words, separated by spaces.
        allows: the states that are allowed, for each atom it speaks of.
        combinations: the (verb, order of nouns) and (verb, voice) combinations it is an instance of.
    """

    words: str
    allows: dict[Atom, frozenset[str]]
    combinations: frozenset[tuple[str, str]]


def label(premise: Sentence, hypothesis: Sentence) -> str:
    """Entailment, neutral or contradiction: whether the hypothesis holds where the premise does.

    The premise allows every state of an atom that it does not speak of.
    """
    pairs = [(premise.allows.get(atom, STATES[atom[0]]), states) for atom, states in hypothesis.allows.items()]
    if all(given <= asked for given, asked in pairs):
        return "entailment"
    return "contradiction" if any(given.isdisjoint(asked) for given, asked in pairs) else "neutral"


# Simple regularities (the usual forms, the place of the leading noun) hold often, which gives gradient descent a first
# step, and fail often enough that they do not suffice. Without them training stays at chance for many epochs.
USUAL = 0.9
LEADING = 0.7

T = TypeVar("T")


def roles(rng: random.Random) -> tuple[Sentence, Sentence]:
    """Who acts on whom: `the doctor not the nurse helped the patient today` / `the patient was helped by the nurse`."""
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


def shares(rng: random.Random) -> tuple[Sentence, Sentence]:
    """How many: `every doctor , no nurse , some patient slept` / `not every patient slept`."""
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


def qualities(rng: random.Random) -> tuple[Sentence, Sentence]:
    """Which noun: `tall doctor , short nurse , rich patient arrived` / `the patient was not tall`."""
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


def _cast(rng: random.Random) -> list[str]:
    """The nouns of one premise, in an order of their own."""
    cast = rng.choice(CASTS)
    return rng.sample(cast, len(cast))


def _spoken_of(rng: random.Random, nouns: list[str]) -> str:
    """The noun of a hypothesis: mostly the leading one, where it is among `nouns`."""
    leading = [noun for noun in nouns if any(noun == cast[0] for cast in CASTS)]
    if leading and rng.random() < LEADING:
        return leading[0]
    return rng.choice([noun for noun in nouns if noun not in leading] or nouns)


def _mostly(rng: random.Random, usual: T, other: T) -> T:
    """The usual choice most of the time."""
    return usual if rng.random() < USUAL else other


FAMILIES: tuple[Callable[[random.Random], tuple[Sentence, Sentence]], ...] = (roles, shares, qualities)
