"""Batches: the ladder of lengths, the order of an epoch, padding."""

import numpy as np
import pytest
import torch

from hypermixer.data.batches import Collate, EncodedRows, LengthBucketedBatches, bucket_length

LENGTHS = [int(n) for n in np.random.default_rng(3).integers(1, 90, 203)]


def test_ladder_is_the_documented_one():
    ladder = sorted({bucket_length(n) for n in range(1, 1025)})
    assert ladder == [8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024]


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 16, 17, 25, 33, 100, 513, 9_999])
def test_bucket_holds_the_row_and_is_a_fixed_point(n):
    assert bucket_length(n) >= n
    assert bucket_length(bucket_length(n)) == bucket_length(n)


def test_cap_never_cuts_a_row():
    assert bucket_length(100, most=100) == 100
    assert bucket_length(90, most=100) == 96
    assert bucket_length(101, most=100) == 101


def test_every_row_once_and_one_short_batch():
    for epoch in range(4):
        batches = LengthBucketedBatches(LENGTHS, 16, seed=5).batches(epoch)
        assert sorted(i for batch in batches for i in batch) == list(range(203))
        assert sorted(map(len, batches)) == [11] + [16] * 12
        assert len(batches) == len(LengthBucketedBatches(LENGTHS, 16, seed=5))


def test_order_depends_on_seed_and_epoch_alone():
    sampler = LengthBucketedBatches(LENGTHS, 16, seed=5)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert first != second
    assert first != list(LengthBucketedBatches(LENGTHS, 16, seed=6))
    again = LengthBucketedBatches(LENGTHS, 16, seed=5)
    assert list(again) == first
    again.set_epoch(1)
    assert list(again) == second


def test_rows_of_a_batch_have_similar_lengths():
    sampler = LengthBucketedBatches(LENGTHS, 16, seed=5)
    buckets = [{bucket_length(LENGTHS[i]) for i in batch} for batch in sampler]
    assert sum(len(kinds) > 1 for kinds in buckets) < len(set().union(*buckets))


def test_composition_of_batches_changes_from_epoch_to_epoch():
    sampler = LengthBucketedBatches([10] * 64, 16, seed=5)
    one, two = ({frozenset(batch) for batch in sampler.batches(epoch)} for epoch in (0, 1))
    assert one.isdisjoint(two)


@pytest.mark.parametrize("steps", [0, 1, 5, 13, 14, 26, 31])
def test_tokens_counts_what_the_steps_hold(steps):
    sampler = LengthBucketedBatches(LENGTHS, 16, seed=5)
    walked = [batch for epoch in range(3) for batch in sampler.batches(epoch)][:steps]
    assert sampler.tokens(steps) == sum(LENGTHS[i] for batch in walked for i in batch)


@pytest.mark.parametrize("rows", [1, 3, 15, 16, 17, 31, 32, 33])
def test_no_batch_is_empty_and_at_most_one_is_short(rows):
    for seed in range(20):
        sampler = LengthBucketedBatches(LENGTHS[:rows], 16, seed)
        for epoch in range(5):
            batches = sampler.batches(epoch)
            assert sorted(i for batch in batches for i in batch) == list(range(rows))
            assert sorted(map(len, batches)) == [rows % 16] * (rows % 16 > 0) + [16] * (rows // 16)
            assert len(batches) == len(sampler)


@pytest.mark.parametrize("rows", [3, 19])
def test_every_epoch_of_few_rows_can_be_collated(rows):
    data = EncodedRows([[7] * n for n in LENGTHS[:rows]], [[0] * n for n in LENGTHS[:rows]], labels=[0] * rows)
    sampler = LengthBucketedBatches(data.lengths, 16, seed=2)
    loader = torch.utils.data.DataLoader(data, batch_sampler=sampler, collate_fn=Collate(pad_id=0))
    for epoch in range(12):
        sampler.set_epoch(epoch)
        real = [batch.get("attention_mask", torch.ones_like(batch["input_ids"])) for batch in loader]
        assert sum(int(mask.sum()) for mask in real) == sum(LENGTHS[:rows])


def test_the_short_batch_does_not_always_hold_the_longest_rows():
    lengths = [*range(1, 21), *range(61, 81)]
    sampler = LengthBucketedBatches(lengths, 16, seed=5)
    shortest = {lengths[min(sampler.batches(epoch), key=len)[0]] < 20 for epoch in range(20)}
    assert shortest == {False, True}


def test_rows_of_one_length_fill_batches_of_their_own():
    lengths = [7] * 40 + [9] * 33 + [12] * 5
    for epoch in range(3):
        kinds = [{lengths[row] for row in batch} for batch in LengthBucketedBatches(lengths, 16, 1).batches(epoch)]
        assert sum(kind == {7} for kind in kinds) == 2 and sum(kind == {9} for kind in kinds) >= 2
        assert len(kinds) == -(-len(lengths) // 16)


@pytest.mark.parametrize("tokens", [64, 300, 1000])
def test_batches_by_tokens(tokens):
    sampler = LengthBucketedBatches(LENGTHS, 16, seed=5, batch_tokens=tokens)
    for epoch in range(3):
        batches = sampler.batches(epoch)
        assert sorted(row for batch in batches for row in batch) == list(range(203)) and len(batches) == len(sampler)
        for batch in batches:
            longest = max(LENGTHS[row] for row in batch)
            alike = len({LENGTHS[row] for row in batch}) == 1
            assert len(batch) == 1 or len(batch) * (longest if alike else bucket_length(longest)) <= tokens
    assert len(sampler) < 2 * sum(LENGTHS) / tokens + 14


def test_collate_of_one_length_has_neither_padding_nor_mask():
    rows = EncodedRows([[5, 6, 7], [8, 9, 1]], [[0, 0, 1], [0] * 3], labels=[2, 0])
    batch = Collate(pad_id=9, pack=True)([rows[0], rows[1]])
    assert set(batch) == {"input_ids", "token_type_ids", "labels"} and batch["input_ids"].shape == (2, 3)


def test_collate_packs_where_padding_costs_more():
    lengths = [3, 60, 5, 3]
    rows = EncodedRows([[n] * n for n in lengths], [[1] * n for n in lengths], labels=[0, 1, 2, 3])
    batch = Collate(pad_id=9, pack=True)([rows[i] for i in range(4)])
    assert batch["cu_seqlens"].tolist() == [0, 3, 6, 11, 71] and "attention_mask" not in batch
    assert batch["input_ids"].tolist() == [3] * 6 + [5] * 5 + [60] * 60 and batch["labels"].tolist() == [0, 3, 2, 1]
    assert "cu_seqlens" not in Collate(pad_id=9)([rows[i] for i in range(4)])
    near = EncodedRows([[1] * n for n in (15, 16)], [[0] * n for n in (15, 16)])
    assert "attention_mask" in Collate(pad_id=9, pack=True)([near[0], near[1]])


def test_collate_pads_to_the_bucket():
    rows = EncodedRows([[5, 6, 7], list(range(1, 12))], [[0, 0, 1], [0] * 11], labels=[2, 0])
    batch = Collate(pad_id=9)([rows[0], rows[1]])
    assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
        "input_ids": ((2, 16), torch.int64),
        "attention_mask": ((2, 16), torch.int64),
        "token_type_ids": ((2, 16), torch.int64),
        "labels": ((2,), torch.int64),
    }
    assert batch["input_ids"][0].tolist() == [5, 6, 7] + [9] * 13
    assert batch["attention_mask"].sum(1).tolist() == [3, 11]
    assert batch["token_type_ids"][0, :4].tolist() == [0, 0, 1, 0]
    assert batch["labels"].tolist() == [2, 0]


def test_collate_without_labels_and_with_an_empty_row():
    rows = EncodedRows([[], [4]], [[], [0]])
    batch = Collate(pad_id=0)([rows[0], rows[1]])
    assert "labels" not in batch
    assert batch["attention_mask"].sum(1).tolist() == [0, 1]
