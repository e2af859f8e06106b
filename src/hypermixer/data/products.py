"""`builtin:products`: the label is the sign of a sum of products that have one factor in either half of the text.

Each half names sixteen slots in the same order, each up or down: a word for every half, slot and state, so that a text
is a bag of thirty-two words out of sixty-four. The first `pairs` slots count:

    agree      where most of them have the same state in both halves
    differ     where most of them have not

One slot alone says nothing of the label, nor does one half: it is the sign of a sum of as many products as there are
pairs. `pairs` is the dial of its difficulty; the other slots are there in every text, and mean nothing.
"""

import random

from hypermixer.data.example import Example
from hypermixer.errors import InputError

SLOTS = 16
#: Pairs of slots that count where it is not said.
PAIRS = 5
ABOUT = "two halves of sixteen slots that are up or down; pairs=K of them count, an odd number, the harder the more"
RULE = "agree where most of the first K slots have the same state in both halves, else differ"
LABELS = ("agree", "differ")
SIZES = {"train": 20_000, "validation": 2_000, "test": 2_000}
_STATES = {1: "up", -1: "down"}


def generate(*, split: str, n: int | None = None, seed: int = 0, pairs: int = PAIRS) -> list[Example]:
    """The texts of a split: a longer list begins with the shorter one.

    Args:
        split: `train`, `validation` or `test`.
        n: how many; None is 20,000 for train and 2,000 for the others. Validation never has more than 2,000.
        seed: decides the texts.
        pairs: slots that count, odd, up to 15.

    Raises:
        InputError: an even number of pairs, which could be undecided, or more than there are slots.
    """
    if not 1 <= pairs <= SLOTS or pairs % 2 == 0:
        raise InputError(f"builtin:products: pairs must be an odd number from 1 to {SLOTS - 1}, got {pairs}.")
    size = SIZES[split] if n is None else n
    if split == "validation":
        size = min(size, SIZES[split])
    rng = random.Random(f"products:{split}:{seed}")
    return [_example(rng, pairs, row) for row in range(size)]


def _example(rng: random.Random, pairs: int, row: int) -> Example:
    first, second = ([rng.choice((1, -1)) for _ in range(SLOTS)] for _ in range(2))
    products = sum(a * b for a, b in zip(first[:pairs], second[:pairs], strict=True))
    text = " ".join([*_words("left", first), *_words("right", second)])
    return Example(text, None, LABELS[products < 0], f"builtin:products[{row}]")


def _words(half: str, states: list[int]) -> list[str]:
    return [f"{half}{chr(ord('a') + slot)}{_STATES[state]}" for slot, state in enumerate(states)]
