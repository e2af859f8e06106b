"""Which examples were answered rightly, as text in a cell's file: eight examples to two hexadecimal digits."""

import numpy as np


def packed(correct: np.ndarray) -> str:
    """Booleans [n] as hexadecimal digits; `unpacked` turns them back."""
    return np.packbits(correct).tobytes().hex()


def unpacked(text: str, count: int) -> np.ndarray:
    """Booleans [count] that `packed` wrote."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=count).astype(bool)
