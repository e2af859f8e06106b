import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hypermixer.ops import positions
from hypermixer.ops.compare import TOLERANCES
from hypermixer.ops.positions import POSITIONS, idiap_sinusoid, sinusoid

DOUBLE = torch.empty(0, dtype=torch.float64)
CODES = pytest.mark.parametrize("code", [sinusoid, idiap_sinusoid])
Code = Callable[[int, int, Tensor], Tensor]


def test_it_is_the_standard_sinusoid() -> None:
    table = sinusoid(7, 6, DOUBLE)
    for position in range(7):
        for pair in range(3):
            angle = position / 10_000 ** (2 * pair / 6)
            assert math.isclose(table[position, 2 * pair], math.sin(angle), abs_tol=1e-12)
            assert math.isclose(table[position, 2 * pair + 1], math.cos(angle), abs_tol=1e-12)


@pytest.mark.parametrize("width", [1, 5, 24])
def test_the_official_code_is_the_table_rounded_to_single_precision(width: int) -> None:
    table = idiap_sinusoid(9, width, DOUBLE)
    for row in range(9):
        for column in range(width):
            wave = math.cos if column % 2 else math.sin
            exact = wave((row + 1) / 10_000 ** (2 * column / width))
            assert table[row, column].item() == torch.tensor(exact, dtype=torch.float32).item()
    assert table.dtype == torch.float64
    assert torch.equal(idiap_sinusoid(9, width, torch.empty(0, dtype=torch.bfloat16)), table.bfloat16())


@pytest.mark.parametrize(("code", "first"), [(sinusoid, 0), (idiap_sinusoid, 1)])
def test_long_positions_are_exact_in_single_precision(code: Code, first: int) -> None:
    last = code(1_000_000, 4, torch.empty(0))[-1]
    expected = torch.tensor(999_999.0 + first, dtype=torch.float64).sin()
    assert torch.allclose(last[0].double(), expected, atol=1e-6)


@CODES
def test_odd_widths_and_growing_lengths(code: Code) -> None:
    short = code(3, 5, DOUBLE).clone()
    assert short.shape == (3, 5)
    assert torch.equal(code(2_000, 5, DOUBLE)[:3], short)


def test_codes_of_one_width_are_kept_apart() -> None:
    positions._TABLES.clear()
    ours, official = sinusoid(4, 6, DOUBLE), idiap_sinusoid(4, 6, DOUBLE)
    assert not torch.allclose(ours, official, atol=1e-2)
    assert torch.equal(sinusoid(4, 6, DOUBLE), ours)


@CODES
def test_a_table_made_in_inference_mode_takes_part_in_training(code: Code) -> None:
    positions._TABLES.clear()
    with torch.inference_mode():
        code(5, 4, torch.empty(0))
    weight = torch.ones(4, requires_grad=True)
    (code(5, 4, weight) * weight).sum().backward()
    assert weight.grad is not None


@CODES
def test_a_traced_table_does_not_outlive_the_trace(code: Code) -> None:
    positions._TABLES.clear()
    traced = torch.compile(lambda x: code(x.shape[0], 6, x) + x, backend="eager", fullgraph=True)(torch.zeros(7, 6))
    assert not positions._TABLES
    assert torch.allclose(traced, code(7, 6, torch.empty(0)), atol=TOLERANCES[torch.float32].exact)


def test_the_choices_say_how_the_input_is_scaled() -> None:
    assert {name: chosen.input_scale(16) for name, chosen in POSITIONS.items()} == {
        "sinusoidal": 1.0,
        "idiap": 4.0,
        "none": 1.0,
    }
    assert [POSITIONS[name].code for name in ("sinusoidal", "idiap", "none")] == [sinusoid, idiap_sinusoid, None]
