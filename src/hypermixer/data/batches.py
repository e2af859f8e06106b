"""Token ids to batches: a few bucketed lengths, a constant number of rows, an order fixed by (seed, epoch)."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

#: Steps of the ladder of lengths within one octave, above 16: 16, 24, 32, 48, 64, 96, ...
_SMALLEST = 8


def bucket_length(tokens: int, most: int | None = None) -> int:
    """The length a batch is padded to: the next of 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, ...

    Few lengths mean few shapes: oneDNN and torch.compile prepare a kernel for every new one.

    Args:
        tokens: tokens in the longest row, at least 0.
        most: the longest length that may be given; never below `tokens`.

    Returns:
        A length of at least `tokens`; padding adds less than half of it above 16 tokens.
    """
    bucket = _SMALLEST
    while bucket < tokens:
        half_step = bucket + bucket // 2
        bucket = half_step if tokens <= half_step and bucket >= 16 else 2 * bucket
    return bucket if most is None else max(tokens, min(bucket, most))


class LengthBucketedBatches:
    """A batch sampler: rows of similar length together, every batch full except the last cut, a new order each epoch.

    Within an epoch every row appears once. Rows are shuffled, laid out by bucket (the shuffle decides inside one),
    cut into batches, and the batches are shuffled. The order depends on `(seed, epoch)` alone, so a run can be taken
    up in the middle of an epoch.

    Args:
        lengths: tokens in each row.
        batch_size: rows in a batch.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self._buckets = np.array([bucket_length(int(n)) for n in self.lengths], dtype=np.int64)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, whose order the next pass takes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches(self.epoch))

    def batches(self, epoch: int) -> list[list[int]]:
        """Row numbers of every batch of `epoch`, in order."""
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.lengths))
        order = order[np.argsort(self._buckets[order], kind="stable")]
        # The short batch is cut from a random end: always from the same one, it would hold the longest rows only.
        first = len(order) % self.batch_size if random.integers(2) else 0
        cuts = sorted({0, *range(first, len(order), self.batch_size)})
        batches = [order[i:j].tolist() for i, j in zip(cuts, [*cuts[1:], len(order)], strict=True)]
        return [batches[i] for i in random.permutation(len(batches))]

    def tokens(self, steps: int) -> int:
        """Real tokens, padding apart, in the first `steps` batches of a run that began with epoch 0."""
        epochs, rest = divmod(steps, len(self))
        part = sum(int(self.lengths[batch].sum()) for batch in self.batches(epochs)[:rest]) if rest else 0
        return epochs * int(self.lengths.sum()) + part


class EncodedRows(torch.utils.data.Dataset):
    """Rows of token ids held in memory, ready to be collated.

    Args:
        input_ids: token ids of each row.
        token_type_ids: 0 for tokens of the first text, 1 for those of the second; as long as the ids.
        labels: the class of each row, or None.
    """

    def __init__(
        self,
        input_ids: Sequence[Sequence[int]],
        token_type_ids: Sequence[Sequence[int]],
        labels: Sequence[int] | None = None,
    ):
        self.input_ids = [np.asarray(row, dtype=np.int64) for row in input_ids]
        self.token_type_ids = [np.asarray(row, dtype=np.int64) for row in token_type_ids]
        self.labels = None if labels is None else list(labels)
        self.lengths = [len(row) for row in self.input_ids]

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray, int | None]:
        return self.input_ids[row], self.token_type_ids[row], None if self.labels is None else self.labels[row]


class Collate:
    """Pads rows of `EncodedRows` to the bucket of the longest one.

    Args:
        pad_id: id that fills `input_ids` beyond a row's end.
        most: the longest length to pad to (the model's limit); longer rows are kept whole.

    Returns (when called):
        `input_ids`, `attention_mask` (1 = real token) and `token_type_ids`, int64 [B, N]; `labels`, int64 [B], where
        rows have them.
    """

    def __init__(self, pad_id: int, most: int | None = None):
        self.pad_id = pad_id
        self.most = most

    def __call__(self, rows: Sequence[tuple[np.ndarray, np.ndarray, int | None]]) -> dict[str, torch.Tensor]:
        shape = (len(rows), bucket_length(max(len(ids) for ids, _, _ in rows), self.most))
        input_ids = np.full(shape, self.pad_id, dtype=np.int64)
        attention_mask = np.zeros(shape, dtype=np.int64)
        token_type_ids = np.zeros(shape, dtype=np.int64)
        for i, (ids, types, _) in enumerate(rows):
            input_ids[i, : len(ids)] = ids
            attention_mask[i, : len(ids)] = 1
            token_type_ids[i, : len(ids)] = types
        batch = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
        labels = [label for _, _, label in rows if label is not None]
        if labels:
            tensors["labels"] = torch.tensor(labels, dtype=torch.int64)
        return tensors
