"""Token ids to batches: little or no padding, an order fixed by (seed, epoch)."""

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
    """A batch sampler: rows of one length together where there are enough, of similar length otherwise.

    Within an epoch every row appears once. Rows are shuffled and laid out by length; as many batches as can be filled
    with rows of one length are, and need no padding; the rows left over are laid out by length and cut into batches;
    the batches are shuffled. The order depends on `(seed, epoch)` alone, so a run can be taken up in the middle of an
    epoch.

    Args:
        lengths: tokens in each row.
        batch_size: rows in a batch; only the last batch of an epoch holds fewer.
        seed: of the order.
        batch_tokens: in place of `batch_size`, about how many tokens a batch holds, padding included.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, batch_tokens: int | None = None):
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.seed = seed
        self.epoch = 0
        self._count = len(self.batches(0))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0, whose order the next pass takes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches(self.epoch))

    def batches(self, epoch: int) -> list[list[int]]:
        """Row numbers of every batch of `epoch`, in order; as many in every epoch."""
        random = np.random.default_rng((self.seed, epoch))
        order = random.permutation(len(self.lengths))
        order = order[np.argsort(self.lengths[order], kind="stable")]
        batches, rest = [], []
        for rows in np.split(order, np.flatnonzero(np.diff(self.lengths[order])) + 1):
            size = self._rows_of(int(self.lengths[rows[0]])) if len(rows) else 1
            whole = len(rows) // size * size
            batches += [rows[i : i + size].tolist() for i in range(0, whole, size)]
            rest += rows[whole:].tolist()
        batches += self._cut(rest, random)
        return [batches[i] for i in random.permutation(len(batches))]

    def _rows_of(self, length: int) -> int:
        """Rows in a batch of this padded length."""
        return self.batch_size if self.batch_tokens is None else max(1, self.batch_tokens // max(1, length))

    def _cut(self, rows: list[int], random: np.random.Generator) -> list[list[int]]:
        """Rows of different lengths, shortest first, into batches."""
        if self.batch_tokens is None:
            # The short batch is cut from a random end: always from the same one, it would hold the longest rows only.
            first = len(rows) % self.batch_size if random.integers(2) else 0
            cuts = sorted({0, *range(first, len(rows), self.batch_size)})
            return [rows[i:j] for i, j in zip(cuts, [*cuts[1:], len(rows)], strict=True)] if rows else []
        batches: list[list[int]] = []
        for row in rows:
            room = self._rows_of(bucket_length(int(self.lengths[row])))
            if batches and len(batches[-1]) < room:
                batches[-1].append(row)
            else:
                batches.append([row])
        return batches

    def tokens(self, steps: int) -> int:
        """Real tokens, padding apart, in the first `steps` batches of a run that began with epoch 0."""
        epochs, rest = divmod(steps, len(self))
        part = sum(int(self.lengths[batch].sum()) for batch in self.batches(epochs)[:rest]) if rest else 0
        return epochs * int(self.lengths.sum()) + part


class EncodedRows(torch.utils.data.Dataset):
    """Rows of token ids held in memory, ready to be collated.

    Args:
        input_ids: token ids of each row.
        token_type_ids: 0 for tokens of the first text, 1 for those of the second; as long as the ids. None: all 0.
        labels: the class of each row, or None.
    """

    def __init__(
        self,
        input_ids: Sequence[Sequence[int] | np.ndarray],
        token_type_ids: Sequence[Sequence[int] | np.ndarray] | None = None,
        labels: Sequence[int] | None = None,
    ):
        self.input_ids = [np.asarray(row, dtype=np.int64) for row in input_ids]
        types = [np.zeros_like(row) for row in self.input_ids] if token_type_ids is None else token_type_ids
        self.token_type_ids = [np.asarray(row, dtype=np.int64) for row in types]
        self.labels = None if labels is None else list(labels)
        self.lengths = [len(row) for row in self.input_ids]

    def __len__(self) -> int:
        return len(self.input_ids)

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray, int | None]:
        return self.input_ids[row], self.token_type_ids[row], None if self.labels is None else self.labels[row]


#: Padding is worth its cost up to so many padded tokens for each run of equal length that packing would make: a run
#: costs a few calls of its own in every layer.
_PADDING_PER_RUN = 32


class Collate:
    """Makes a batch of rows of `EncodedRows`.

    Rows of one length need no padding and come without a mask. Others are padded to the bucket of the longest, or,
    where `pack` allows it and it costs less, packed end to end, shortest first.

    Args:
        pad_id: id that fills `input_ids` beyond a row's end.
        most: the longest length to pad to (the model's limit); longer rows are kept whole.
        pack: whether the model takes packed batches well.

    Returns (when called):
        `input_ids` and `token_type_ids`, int64 [B, N], and `attention_mask` (1 = real token) where there is padding;
        packed, [tokens] each and `cu_seqlens` [B + 1] in place of the mask. `labels`, int64 [B], where rows have them.
    """

    def __init__(self, pad_id: int, most: int | None = None, *, pack: bool = False):
        self.pad_id = pad_id
        self.most = most
        self.pack = pack

    def packs(self, lengths: Sequence[int]) -> bool:
        """Whether rows of these lengths are packed."""
        padding = len(lengths) * bucket_length(max(lengths), self.most) - sum(lengths)
        runs = len(set(lengths))
        return self.pack and runs > 1 and padding > _PADDING_PER_RUN * runs

    def __call__(self, rows: Sequence[tuple[np.ndarray, np.ndarray, int | None]]) -> dict[str, torch.Tensor]:
        lengths = [len(ids) for ids, _, _ in rows]
        if self.packs(lengths):
            rows = sorted(rows, key=lambda row: len(row[0]))
            arrays = {
                "input_ids": np.concatenate([ids for ids, _, _ in rows]),
                "token_type_ids": np.concatenate([types for _, types, _ in rows]),
                "cu_seqlens": np.concatenate([[0], np.cumsum(sorted(lengths))]),
            }
        else:
            arrays = self._padded(rows, lengths)
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        labels = [label for _, _, label in rows if label is not None]
        if labels:
            tensors["labels"] = torch.tensor(labels, dtype=torch.int64)
        return tensors

    def _padded(
        self, rows: Sequence[tuple[np.ndarray, np.ndarray, int | None]], lengths: list[int]
    ) -> dict[str, np.ndarray]:
        alike = min(lengths) == max(lengths) > 0
        shape = (len(rows), max(lengths) if alike else bucket_length(max(lengths), self.most))
        arrays = {
            "input_ids": np.full(shape, self.pad_id, dtype=np.int64),
            "token_type_ids": np.zeros(shape, dtype=np.int64),
        }
        for i, (ids, types, _) in enumerate(rows):
            arrays["input_ids"][i, : len(ids)] = ids
            arrays["token_type_ids"][i, : len(ids)] = types
        if not alike:
            arrays["attention_mask"] = (np.arange(shape[1]) < np.asarray(lengths)[:, None]).astype(np.int64)
        return arrays
