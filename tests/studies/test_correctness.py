"""Booleans in a cell's file."""

import numpy as np
import pytest

from hypermixer.studies.correctness import packed, unpacked


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 15, 16, 17, 872, 1001])
def test_there_and_back(n: int) -> None:
    correct = np.random.default_rng(n).random(n) < 0.5
    text = packed(correct)
    assert len(text) == 2 * -(-n // 8) and set(text) <= set("0123456789abcdef")
    again = unpacked(text, n)
    assert again.dtype == bool and again.shape == (n,) and (again == correct).all()


def test_by_hand() -> None:
    assert packed(np.array([True, False, True, False, False, False, False, False, True])) == "a080"
    assert unpacked("a080", 9).tolist() == [True, False, True, *[False] * 5, True]
