import math
import weakref
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


def kept_bytes() -> int:
    return sum(table.nbytes for table in positions._TABLES.values())


@pytest.fixture
def small_cap(monkeypatch: pytest.MonkeyPatch) -> int:
    """Room for 700 rows of width 6 in float32; nothing is kept at first."""
    monkeypatch.setattr(positions, "MOST_KEPT_BYTES", 700 * 6 * 4)
    monkeypatch.setattr(positions, "_TABLES", {})
    monkeypatch.setattr(positions, "_READ_BY_GRAPHS", {})
    return 700 * 6 * 4


SINGLE = torch.empty(0)


@CODES
def test_a_long_text_leaves_no_table_behind(code: Code, small_cap: int) -> None:
    kept = code(600, 6, SINGLE)
    long = code(701, 6, SINGLE)
    assert long.shape == (701, 6) and torch.equal(long[:600], kept) and kept_bytes() <= small_cap
    assert long.untyped_storage().nbytes() == 701 * 6 * 4
    assert code(600, 6, SINGLE).data_ptr() == kept.data_ptr(), "the table that fitted is gone"


@CODES
def test_the_longest_table_that_fits_replaces_shorter_ones(code: Code, small_cap: int) -> None:
    short = code(3, 6, SINGLE)
    assert len(positions._TABLES) == 1
    fits = code(700, 6, SINGLE)  # the next power of two would not
    assert len(positions._TABLES) == 1 and kept_bytes() == small_cap
    for length in (3, 600, 700):
        assert code(length, 6, SINGLE).data_ptr() == fits.data_ptr()
    assert torch.equal(fits[:3], short)


def test_all_tables_together_stay_below_the_cap(small_cap: int) -> None:
    for width in (1, 2, 3, 5, 6, 4):
        for like in (SINGLE, DOUBLE, SINGLE.bfloat16()):
            assert sinusoid(9, width, like).shape == (9, width)
            assert 0 < kept_bytes() <= small_cap
    assert sinusoid(9, 4, SINGLE.bfloat16()).data_ptr() == sinusoid(9, 4, SINGLE.bfloat16()).data_ptr()


@CODES
def test_what_is_made_for_a_cuda_graph_is_not_kept(code: Code, small_cap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "_capturing", lambda device: True)
    captured = code(5, 6, SINGLE)
    assert not positions._TABLES and torch.equal(captured, code(5, 6, SINGLE))


def test_a_table_that_a_cuda_graph_reads_outlives_the_cap(small_cap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for code in (sinusoid, idiap_sinusoid):
        code(5, 1, SINGLE)
    read, unread = (weakref.ref(table) for table in positions._TABLES.values())
    with monkeypatch.context() as patch:
        patch.setattr(positions, "_capturing", lambda device: True)
        sinusoid(4, 1, SINGLE)
    sinusoid(700, 6, SINGLE)
    assert len(positions._TABLES) == 1
    assert read() is not None and unread() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_cuda_graph_is_captured_and_replayed(small_cap: int) -> None:
    x = torch.zeros(5, 6, device="cuda")
    expected = sinusoid(5, 6, SINGLE)
    for _ in range(2):  # with no table at first, then with one
        graph = torch.cuda.CUDAGraph()
        before = len(positions._TABLES)
        with torch.cuda.graph(graph):
            y = sinusoid(5, 6, x) + x
        assert len(positions._TABLES) == before
        graph.replay()
        assert torch.allclose(y.cpu(), expected, atol=TOLERANCES[torch.float32].exact)
        sinusoid(5, 6, x)


def test_the_choices_say_how_the_input_is_scaled() -> None:
    assert {name: chosen.input_scale(16) for name, chosen in POSITIONS.items()} == {
        "sinusoidal": 1.0,
        "idiap": 4.0,
        "none": 1.0,
    }
    assert [POSITIONS[name].code for name in ("sinusoidal", "idiap", "none")] == [sinusoid, idiap_sinusoid, None]
