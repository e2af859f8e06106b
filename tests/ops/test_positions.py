import math

import torch

from hypermixer.ops import positions
from hypermixer.ops.positions import sinusoid


def test_it_is_the_standard_sinusoid() -> None:
    table = sinusoid(7, 6, torch.empty(0, dtype=torch.float64))
    for position in range(7):
        for pair in range(3):
            angle = position / 10_000 ** (2 * pair / 6)
            assert math.isclose(table[position, 2 * pair], math.sin(angle), abs_tol=1e-12)
            assert math.isclose(table[position, 2 * pair + 1], math.cos(angle), abs_tol=1e-12)


def test_long_positions_are_exact_in_single_precision() -> None:
    last = sinusoid(1_000_000, 4, torch.empty(0))[-1]
    assert torch.allclose(last[0].double(), torch.tensor(999_999.0, dtype=torch.float64).sin(), atol=1e-6)


def test_odd_widths_and_growing_lengths() -> None:
    like = torch.empty(0, dtype=torch.float64)
    short = sinusoid(3, 5, like).clone()
    assert short.shape == (3, 5)
    assert torch.equal(sinusoid(2_000, 5, like)[:3], short)


def test_a_table_made_in_inference_mode_takes_part_in_training() -> None:
    positions._TABLES.clear()
    with torch.inference_mode():
        sinusoid(5, 4, torch.empty(0))
    weight = torch.ones(4, requires_grad=True)
    (sinusoid(5, 4, weight) * weight).sum().backward()
    assert weight.grad is not None
