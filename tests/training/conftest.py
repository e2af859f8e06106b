"""A data set that a tiny model learns in seconds: the label is one word among others."""

import random

import pytest

from hypermixer.data.example import Dataset, Example
from hypermixer.settings import Settings

WORDS = {"good": ["fine", "great", "lovely"], "bad": ["poor", "awful", "grim"]}
OTHERS = ["the", "film", "story", "was", "and", "very", "quite", "rather", "there", "that", "then"]


def dataset(rows: int, seed: int) -> Dataset:
    draw = random.Random(seed)
    examples = []
    for row in range(rows):
        label = draw.choice(sorted(WORDS))
        words = [*draw.choices(OTHERS, k=draw.randrange(1, 9)), draw.choice(WORDS[label])]
        draw.shuffle(words)
        examples.append(Example(" ".join(words), None, label, f"rows[{row}]"))
    return Dataset.of("rows", examples)


@pytest.fixture
def train():
    return dataset(101, 0)


@pytest.fixture
def evaluation():
    return dataset(23, 1)


@pytest.fixture
def settings():
    sets = {"training.evaluate_every": 5, "training.patience": 99}
    return Settings().replace(d_model=32, layers=1, epochs=3, lr=1e-2, batch_size=8, device="cpu", **sets)
