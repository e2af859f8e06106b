"""The gate meets every way of giving tokens and positions, and is red where one of them is wrong."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from hypermixer.ops.compare import TOLERANCES
from hypermixer.ops.hypermixing import Shape, constants_for, factored, inputs, plan
from hypermixer.ops.hypermixing.gate import CASES, gate
from hypermixer.ops.hypermixing.side import Part
from hypermixer.ops.packing import Packing


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda d: str(d).removeprefix("torch."))
def test_some_sequences_are_longer_than_a_chunk(dtype: torch.dtype, packed: bool) -> None:
    element_bytes = 4 if dtype == torch.float16 else dtype.itemsize  # float16 is evaluated in float32

    def cut(keys: int, width: int, hidden: int, heads: int) -> bool:
        shape = Shape(1, keys, keys, width, hidden, heads, True, element_bytes)
        return keys > plan(shape, "factored", constants_for("cpu")).chunk

    assert any(
        cut(max(case.packed or (case.keys,)), case.width, case.hidden, case.heads)
        for case in CASES
        if bool(case.packed) is packed
    )


def unmoved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed sequences are put in order, and their tokens stay where they were."""

    def rearranged(packing: Packing, sequences: Sequence[int]) -> tuple[Packing, Tensor]:
        return Packing([packing.lengths[i] for i in sequences], packing.device), torch.arange(packing.tokens)

    monkeypatch.setattr(Packing, "rearranged", rearranged)


def first_codes_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequences of a run all read the positions of its first."""
    codes = inputs._codes

    def wrong(positions: Tensor | None, rows: slice, batch: int, tokens: int) -> Tensor | None:
        made = codes(positions, rows, batch, tokens)
        return made if made is None or made.dim() == 2 else made[:1].expand_as(made)

    monkeypatch.setattr(inputs, "_codes", wrong)


def first_part_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands behind the first part of a sequence is forgotten."""
    add = factored.State.add

    def wrong(state: factored.State, part: Part, f: Tensor, x: Tensor) -> None:
        if part.tokens.start == 0:
            add(state, part, f, x)

    monkeypatch.setattr(factored.State, "add", wrong)


@pytest.mark.parametrize(
    "spoil, where",
    [(unmoved, "packed=(29, 8"), (first_codes_for_all, "own_positions=True"), (first_part_only, "2101")],
)
def test_the_gate_is_red(
    spoil: Callable[[pytest.MonkeyPatch], None], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch)
    verdict = gate("factored", "cpu", torch.float32)
    assert not verdict.passed and where in verdict.where
