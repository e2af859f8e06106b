"""What the layers of a batch share: position codes, on the device and in the dtype of the tokens that ask."""

import pytest
import torch
from torch import Tensor

from hypermixer import InputError
from hypermixer.mixers import Sequences
from hypermixer.ops.compare import TOLERANCES, error_ratio
from hypermixer.ops.packing import Packing
from hypermixer.ops.positions import idiap_sinusoid, sinusoid

LEFT = torch.tensor([[False, True, True, True, False], [True] * 5])


@pytest.mark.parametrize("code", [sinusoid, idiap_sinusoid])
@pytest.mark.parametrize("kind", ["padded", "masked", "packed"])
def test_tokens_on_another_device_get_codes_on_theirs(kind: str, code: object) -> None:
    shape = (7, 6) if kind == "packed" else (2, 5, 6)
    x = torch.randn(shape)
    if kind == "packed":
        sequences = Sequences.packed(x, torch.tensor([0, 5, 7]))
    else:
        sequences = Sequences.padded(x, LEFT if kind == "masked" else None)
    for elsewhere in (False, True, False):
        tokens = x.to("meta") if elsewhere else x
        for codes in (sequences.codes(tokens, code), sequences.codes_of_tokens(tokens, code)):  # pyright: ignore[reportArgumentType]
            assert codes.device == tokens.device
            assert sequences.codes(tokens.bfloat16()).dtype == torch.bfloat16
        assert (tokens + codes).shape == shape


def test_mean_counts_kept_tokens_only() -> None:
    keep = torch.tensor([[True, True, False], [False, False, False]])
    x = torch.tensor([[[1.0], [3.0], [0.0]], [[0.0], [0.0], [0.0]]])
    assert Sequences.padded(x, keep).mean(x).tolist() == [[2.0], [0.0]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_mean_of_packed_tokens(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    lengths = (3, 0, 700, 1)
    packing = Packing(lengths, torch.device("cpu"))
    x = (torch.randn(packing.tokens, 24) + 1).to(dtype).requires_grad_()
    pooled = Sequences.packed(x, packing).mean(x)
    expected = torch.stack([part.double().sum(0) / max(1, len(part)) for part in x.split(lengths)])
    assert pooled.dtype == dtype and error_ratio(pooled, expected) <= TOLERANCES[dtype].rounded
    pooled.sum().backward()
    assert x.grad is not None
    share = (1 / packing.lengths_tensor.clamp(min=1).double())[packing.sequence_of].unsqueeze(1).expand_as(x)
    assert error_ratio(x.grad, share) <= TOLERANCES[dtype].rounded


def test_mean_of_nothing() -> None:
    x = torch.empty(0, 24)
    assert Sequences.packed(x, Packing((), x.device)).mean(x).shape == (0, 24)
    assert Sequences.packed(x, Packing((0, 0), x.device)).mean(x).tolist() == [[0.0] * 24] * 2


NAN = float("nan")
#: In front, behind, in between with holes, nothing, everything.
HOLES = torch.tensor(
    [
        [False, False, True, True, True, True, True],
        [True, True, True, False, False, False, False],
        [False, True, False, True, True, False, True],
        [False] * 7,
        [True] * 7,
    ]
)
BEHIND = torch.tensor([[True] * 3 + [False] * 4, [False] * 7, [True] * 7])


def running(x: Tensor, keep: Tensor | None) -> Tensor:
    """Goes by the order of tokens: the sum of all up to each."""
    assert not bool(x.isnan().any()), "what dropped positions hold was handed on"
    return x.cumsum(1)


@pytest.mark.parametrize("keep", [HOLES, BEHIND], ids=["holes", "behind"])
def test_in_order_puts_tokens_in_front_and_back_where_they_were(keep: Tensor) -> None:
    torch.manual_seed(0)
    x = torch.randn(*keep.shape, 3, dtype=torch.float64)
    seen: list[tuple[Tensor, Tensor]] = []

    def mix(x: Tensor, front: Tensor | None) -> Tensor:
        assert front is not None
        seen.append((x, front))
        return running(x, front) + 100  # dropped positions would show

    sequences = Sequences.padded(x, keep)
    for _ in range(2):  # the order is kept from the first time
        y = sequences.in_order(mix, x.masked_fill(~keep.unsqueeze(-1), NAN))
        for row, tokens, kept in zip(y, x, keep, strict=True):
            assert torch.equal(row[kept], tokens[kept].cumsum(0) + 100) and not row[~kept].any()
    for given, front in seen:
        lengths = keep.sum(1, keepdim=True)
        assert torch.equal(front, torch.arange(7) < lengths) and not given[~front].any()
        for row, tokens, kept in zip(given, x, keep, strict=True):
            assert torch.equal(row[: int(kept.sum())], tokens[kept])


def test_in_order_takes_tokens_of_any_shape() -> None:
    x = torch.randn(5, 7, 3, 2, dtype=torch.float64)
    y = Sequences.padded(x, HOLES).in_order(lambda x, _: x.cumsum(1), x)
    for row, tokens, kept in zip(y, x, HOLES, strict=True):
        assert torch.equal(row[kept], tokens[kept].cumsum(0)) and not row[~kept].any()


def test_in_order_without_a_mask_mixes_all() -> None:
    x = torch.randn(2, 5, 3)
    seen: list[Tensor | None] = []
    y = Sequences.padded(x).in_order(lambda x, keep: seen.append(keep) or x.cumsum(1), x)
    assert torch.equal(y, x.cumsum(1)) and seen == [None]


def test_in_order_gives_gradients_to_kept_tokens_only() -> None:
    x = torch.randn(5, 7, 3, dtype=torch.float64, requires_grad=True)
    Sequences.padded(x, HOLES).in_order(running, x).sum().backward()
    assert x.grad is not None
    for row, kept in zip(x.grad, HOLES, strict=True):
        count = int(kept.sum())
        assert not row[~kept].any() and row[kept][:, 0].tolist() == list(range(count, 0, -1))


PACKED = (3, 3, 1, 0, 3, 4)


def test_in_order_of_packed_tokens_mixes_one_run_of_equal_lengths_after_the_other() -> None:
    x = torch.randn(sum(PACKED), 5)
    shapes: list[tuple[int, ...]] = []

    def mix(x: Tensor, keep: Tensor | None) -> Tensor:
        assert keep is None
        shapes.append(tuple(x.shape))
        return x.cumsum(1)

    y = Sequences.packed(x, Packing(PACKED, x.device)).in_order(mix, x, 4)
    assert shapes == [(2, 3, 5), (1, 1, 5), (1, 3, 5), (1, 4, 5)]
    assert torch.equal(y, torch.cat([part.cumsum(0) for part in x.split(PACKED)]))


def test_in_runs_may_change_the_shape_of_tokens() -> None:
    x = torch.randn(sum(PACKED), 2, 3)
    y = Sequences.packed(x, Packing(PACKED, x.device)).in_runs(lambda run: run.cumsum(1).flatten(2), x)
    assert torch.equal(y, torch.cat([part.cumsum(0).flatten(1) for part in x.split(PACKED)]))


@pytest.mark.parametrize("lengths", [(), (0,), (0, 0)])
def test_runs_of_nothing_have_the_shape_that_tokens_would_have(lengths: tuple[int, ...]) -> None:
    x = torch.empty(0, 2, 3, requires_grad=True)
    sequences = Sequences.packed(x, Packing(lengths, x.device))
    assert sequences.in_runs(lambda run: run.flatten(2), x).shape == (0, 6)
    y = sequences.in_order(lambda run, _: run.flatten(2), x, 4)
    assert y.shape == (0, 6)
    y.sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("shape", [(0, 7, 3), (2, 0, 3), (0, 0, 3)])
def test_a_padded_batch_of_nothing_keeps_its_shape(shape: tuple[int, ...], masked: bool) -> None:
    x = torch.empty(shape)
    sequences = Sequences.padded(x, torch.ones(shape[:2], dtype=torch.bool) if masked else None)
    assert sequences.in_order(lambda x, _: x.cumsum(1), x).shape == shape
    assert sequences.by_place(lambda x, place, length: x * (place < length).unsqueeze(-1), x).shape == shape


@pytest.mark.parametrize("front", [True, False])
def test_padding_beyond_the_longest_text_is_accepted(front: bool) -> None:
    """Seven places of which five are kept at most: five are mixed, wherever they stand."""
    torch.manual_seed(0)
    keep = HOLES[:4].flip(1) if front else HOLES[:4]
    x = torch.randn(4, 7, 3, dtype=torch.float64)
    widths: list[int] = []

    def mix(x: Tensor, keep: Tensor | None) -> Tensor:
        assert keep is not None and keep.shape == x.shape[:2]
        widths.append(x.shape[1])
        return running(x, keep)

    y = Sequences.padded(x, keep).in_order(mix, x, 5)
    for row, tokens, kept in zip(y, x, keep, strict=True):
        assert torch.equal(row[kept], tokens[kept].cumsum(0)) and not row[~kept].any()
    assert widths == [5]


@pytest.mark.parametrize("kind", ["plain", "masked", "packed"])
def test_a_sequence_that_is_too_long_is_refused(kind: str) -> None:
    x = torch.randn(9, 3) if kind == "packed" else torch.randn(5, 7, 3)
    if kind == "packed":
        sequences = Sequences.packed(x, torch.tensor([0, 2, 9]))
    else:
        sequences = Sequences.padded(x, HOLES if kind == "masked" else None)
    assert sequences.in_order(running, x, 7).shape == x.shape
    with pytest.raises(InputError, match=r"7 .*6"):
        sequences.in_order(running, x, 6)


def placed(x: Tensor, place: Tensor, length: Tensor) -> Tensor:
    """10 times the length, and the place, for each token."""
    shape = x.shape[:-1]
    return torch.stack([10 * length.expand(shape), place.expand(shape)], -1).to(x.dtype)


def test_by_place_says_of_each_token_its_place_and_the_sequences_length() -> None:
    x = torch.randn(5, 7, 2)
    y = Sequences.padded(x, HOLES).by_place(placed, x)
    for row, kept in zip(y, HOLES, strict=True):
        count = int(kept.sum())
        assert row[kept].tolist() == [[10.0 * count, n] for n in range(count)] and not row[~kept].any()
    assert Sequences.padded(x).by_place(placed, x).tolist() == [[[70.0, n] for n in range(7)]] * 5


def test_by_place_of_packed_tokens() -> None:
    x = torch.randn(sum(PACKED), 2)
    y = Sequences.packed(x, Packing(PACKED, x.device)).by_place(placed, x)
    assert y.tolist() == [[10.0 * length, n] for length in PACKED for n in range(length)]


def test_total_adds_each_sequences_tokens() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, -1.0], [0.5, 0.25], [7.0, 7.5]])
    assert Sequences.packed(x, torch.tensor([0, 2, 2, 4])).total(x).tolist() == [[4.0, 1.0], [0.0, 0.0], [7.5, 7.75]]
    assert Sequences.padded(x.view(2, 2, 2)).total(x.view(2, 2, 2)).tolist() == [[4.0, 1.0], [7.5, 7.75]]
    padded = Sequences.padded(x.view(2, 2, 2), torch.tensor([[False, True], [False, False]]))
    assert padded.total(padded.drop(x.view(2, 2, 2))).tolist() == [[3.0, -1.0], [0.0, 0.0]]
    assert Sequences.packed(x[:0], torch.tensor([0])).total(x[:0]).shape == (0, 2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_totals_of_many_tokens_lose_none(dtype: torch.dtype) -> None:
    """Ones, of which half precision could count 256, or 2,048, one by one."""
    x = torch.ones(5000, 3, dtype=dtype)
    total = Sequences.packed(x, torch.tensor([0, 4096, 5000])).total(x)
    assert total.dtype == torch.float32 and total.tolist() == [[4096.0] * 3, [904.0] * 3]
    assert Sequences.padded(x.unsqueeze(0)[:, :4096]).total(x.unsqueeze(0)[:, :4096]).tolist() == [[4096.0] * 3]


def test_spread_takes_what_belongs_to_a_sequence_to_its_tokens() -> None:
    of_sequences = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    x = torch.zeros(4, 2)
    packed = Sequences.packed(x, torch.tensor([0, 3, 3, 4])).spread(of_sequences)
    assert packed.tolist() == [[1.0, 2.0]] * 3 + [[5.0, 6.0]]
    x = torch.zeros(3, 7, 2)
    padded = Sequences.padded(x, BEHIND).spread(of_sequences)
    assert padded.shape == (3, 1, 2) and (x + padded)[:, 6].tolist() == of_sequences.tolist()


def filled(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """x [5, 7, 3] below zero, and the same with NaN at dropped positions."""
    torch.manual_seed(0)
    x = -1 - torch.rand(5, 7, 3, dtype=dtype)
    return x, x.masked_fill(~HOLES.unsqueeze(-1), NAN)


def test_first_and_largest_of_each_sequence_wherever_padding_stands() -> None:
    x, garbage = filled()
    sequences = Sequences.padded(x, HOLES)
    first, largest = sequences.first(sequences.drop(garbage)), sequences.largest(garbage)
    for row, tokens, kept in zip(range(5), x, HOLES, strict=True):
        real = tokens[kept] if kept.any() else torch.zeros(1, 3, dtype=x.dtype)
        assert torch.equal(first[row], real[0]) and torch.equal(largest[row], real.amax(0))
    whole = Sequences.padded(x)
    assert torch.equal(whole.first(x), x[:, 0]) and torch.equal(whole.largest(x), x.amax(1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_first_and_largest_of_packed_tokens_are_those_of_padded_ones(dtype: torch.dtype) -> None:
    x, garbage = filled(dtype)
    padded = Sequences.padded(x, HOLES)
    lengths = HOLES.sum(1).tolist()
    packed = Sequences.packed(x[HOLES], Packing(lengths, x.device))
    assert torch.equal(packed.first(x[HOLES]), padded.first(padded.drop(garbage)))
    assert torch.equal(packed.largest(x[HOLES]), padded.largest(garbage))
    assert packed.largest(x[HOLES]).dtype == dtype


@pytest.mark.parametrize("lengths", [(3, 0), (0, 3), (0, 2, 0, 0, 1, 0), (0,), (0, 0), ()])
def test_first_and_largest_of_empty_packed_sequences_are_zero(lengths: tuple[int, ...]) -> None:
    x = -1 - torch.rand(sum(lengths), 3)
    sequences = Sequences.packed(x, Packing(lengths, x.device))
    parts = [part if len(part) else torch.zeros(1, 3) for part in x.split(lengths)] if lengths else []
    expected = [torch.stack(rows) if rows else x[:0] for rows in ([p[0] for p in parts], [p.amax(0) for p in parts])]
    assert torch.equal(sequences.first(x), expected[0]) and torch.equal(sequences.largest(x), expected[1])


@pytest.mark.parametrize("shape", [(0, 7, 3), (2, 0, 3), (0, 0, 3)])
def test_first_and_largest_of_nothing(shape: tuple[int, ...]) -> None:
    x = torch.empty(shape)
    for keep in (None, torch.ones(shape[:2], dtype=torch.bool)):
        sequences = Sequences.padded(x, keep)
        for pooled in (sequences.first(x), sequences.largest(x)):
            assert pooled.shape == (shape[0], 3) and not pooled.any()


@pytest.mark.parametrize("kind", ["padded", "packed"])
def test_first_and_largest_have_their_gradients(kind: str) -> None:
    x, _ = filled()
    x = (x[HOLES] if kind == "packed" else x).requires_grad_()
    lengths = HOLES.sum(1).tolist()
    sequences = Sequences.packed(x, Packing(lengths, x.device)) if kind == "packed" else Sequences.padded(x, HOLES)
    for pool, each in ((lambda x: sequences.first(sequences.drop(x)), 3), (sequences.largest, 3)):
        assert torch.autograd.gradcheck(pool, x)
        (grad,) = torch.autograd.grad(pool(x).sum(), x)
        assert grad.sum().item() == pytest.approx(4 * each)  # of five sequences one is empty
