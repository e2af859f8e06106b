import pytest
import torch

from hypermixer.errors import InputError
from hypermixer.ops.packing import Packing

CPU = torch.device("cpu")


def test_tokens_know_their_sequence_and_place() -> None:
    packing = Packing([2, 0, 3], CPU)
    assert len(packing) == 3 and packing.tokens == 5
    assert packing.cu_seqlens.tolist() == [0, 2, 2, 5] and packing.lengths_tensor.tolist() == [2, 0, 3]
    assert packing.sequence_of.tolist() == [0, 0, 2, 2, 2]
    assert packing.position_of.tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("lengths", [(2, 0, 3), (0,), (7,), ()])
def test_offsets_there_and_back(lengths: tuple[int, ...], dtype: torch.dtype) -> None:
    packing = Packing(lengths, CPU)
    x = torch.empty(sum(lengths), 3)
    again = Packing.of(packing.cu_seqlens.to(dtype), x)
    assert again.lengths == lengths
    assert Packing.of(again, x) is again
    for tensor in (again.cu_seqlens, again.lengths_tensor, again.sequence_of, again.position_of):
        assert tensor.dtype == torch.int64


@pytest.mark.parametrize(
    "lengths, runs",
    [
        ((3, 3, 1, 3), [(2, 3), (1, 1), (1, 3)]),
        ((0, 0), [(2, 0)]),
        ((), []),
    ],
)
def test_runs_are_neighbours_of_equal_length(lengths: tuple[int, ...], runs: list[tuple[int, int]]) -> None:
    assert Packing(lengths, CPU).runs() == runs


@pytest.mark.parametrize("lengths", [(), (4,), (3, 3, 1, 1, 2), (0, 0, 5)])
def test_what_stands_by_length_is_left_alone(lengths: tuple[int, ...]) -> None:
    assert Packing(lengths, CPU).by_length is None


@pytest.mark.parametrize("lengths", [(3, 1, 3), (0, 2, 0, 1, 2), (5, 4, 5, 4, 4)])
def test_equal_lengths_are_brought_together(lengths: tuple[int, ...]) -> None:
    packing = Packing(lengths, CPU)
    moved = packing.by_length
    assert moved is not None
    sorted_packing, tokens = moved
    sequences = torch.tensor(sorted(range(len(lengths)), key=lengths.__getitem__))
    assert sorted_packing.by_length is None and sorted_packing.tokens == packing.tokens
    assert sorted_packing.lengths == tuple(lengths[i] for i in sequences.tolist())
    assert sorted(tokens.tolist()) == list(range(packing.tokens))
    assert torch.equal(packing.sequence_of[tokens], sequences[sorted_packing.sequence_of])
    assert torch.equal(packing.position_of[tokens], sorted_packing.position_of)


def test_any_order_can_be_asked_for() -> None:
    packing, rows = Packing([2, 0, 3], CPU).rearranged([2, 1, 0])
    assert packing.lengths == (3, 0, 2) and rows.tolist() == [2, 3, 4, 0, 1]
    empty, none = Packing([], CPU).rearranged([])
    assert len(empty) == 0 and none.tolist() == []


@pytest.mark.parametrize(
    "offsets, tokens, word",
    [
        (torch.tensor([1, 3]), 3, "start at 0"),
        (torch.tensor([0, 3, 2]), 2, "from 3 to 2"),
        (torch.tensor([0, 3]), 4, "4 tokens"),
        (torch.tensor([0.0, 3.0]), 3, "float32"),
        (torch.tensor([[0, 3]]), 3, r"\(1, 2\)"),
        (torch.tensor([], dtype=torch.int64), 0, r"\(0,\)"),
        (torch.tensor(0), 0, r"\(\)"),
        (Packing([3], CPU), 4, "covers 3"),
    ],
)
def test_bad_offsets_are_refused_by_name(offsets: torch.Tensor | Packing, tokens: int, word: str) -> None:
    with pytest.raises(InputError, match=f"key_offsets.*{word}"):
        Packing.of(offsets, torch.empty(tokens, 3), "key_offsets")


def test_what_was_first_asked_for_in_inference_serves_training() -> None:
    packing = Packing([2, 3], torch.device("cpu"))
    with torch.inference_mode():
        made = (packing.cu_seqlens, packing.lengths_tensor, packing.sequence_of, packing.position_of)
    assert not any(tensor.is_inference() for tensor in made)


@pytest.mark.parametrize("offsets", [torch.tensor([0, 3, 4, 4, 7]), Packing([3, 1, 0, 3], CPU)])
def test_indices_are_made_where_the_tokens_are(offsets: torch.Tensor | Packing) -> None:
    packing = Packing.of(offsets, torch.empty(7, 2, device="meta"))
    assert packing.lengths == (3, 1, 0, 3)
    moved = packing.by_length
    assert moved is not None
    sorted_packing, rows = moved
    for made in (packing, sorted_packing):
        for tensor in (made.cu_seqlens, made.lengths_tensor, made.sequence_of, made.position_of, rows):
            assert tensor.device.type == "meta"
