"""Encoded texts to logits or vectors: sorted by length, padded to few shapes, answered in the order of the input."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from hypermixer.data.batches import Collate, EncodedRows, bucket_length
from hypermixer.data.example import Dataset
from hypermixer.data.sources import from_lists
from hypermixer.data.tokens import encode
from hypermixer.errors import InputError
from hypermixer.mixers import TokenMixer, longest_of

#: Called with the work done and the work in all, in the same unit.
Progress = Callable[[int, int], None]

#: Padded tokens in a batch where no batch size was asked for: enough to keep a processor busy, small enough for caches.
TOKENS_PER_BATCH = 16_384


def packs_well(model: torch.nn.Module) -> bool:
    """Whether packed batches suit a model where it stands: all its mixers have a packed form, and it is on a CPU.

    On a GPU, runs of equal length one after the other leave most of it idle.
    """
    mixers = [module for module in model.modules() if isinstance(module, TokenMixer)]
    on_cpu = next(model.parameters()).device.type == "cpu"
    return on_cpu and bool(mixers) and all(mixer.packs for mixer in mixers)


def inference_batches(lengths: list[int], batch_size: int | None, *, pack: bool = False) -> list[list[int]]:
    """Row numbers of each batch, the longest rows first (memory runs out at once or never), shortest first in each.

    Args:
        lengths: tokens in each row.
        batch_size: rows in a batch; None chooses by tokens.
        pack: rows of any lengths make a batch; one bucket of lengths a batch otherwise.
    """
    batches: list[list[int]] = []
    kind, tokens = None, 0
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        bucket = None if pack else bucket_length(lengths[row])
        cost = lengths[row] if bucket is None else bucket
        full = len(batches[-1]) == batch_size if batch_size and batches else tokens + cost > TOKENS_PER_BATCH
        if not batches or bucket != kind or full:
            batches.append([])
            kind, tokens = bucket, 0
        batches[-1].append(row)
        tokens += cost
    return [batch[::-1] for batch in batches]


def logits_of(
    model: torch.nn.Module,
    rows: EncodedRows,
    *,
    pad_id: int,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Class scores before the softmax.

    Args:
        model: a sequence classifier; it is put into evaluation mode and left in the mode it was in.
        rows: encoded texts, n of them.
        pad_id: id that fills a batch.
        batch_size: rows in a batch; None chooses by tokens.
        progress: called after each batch with rows done and rows in all.

    Returns:
        float32 [n, C], in the order of `rows`.
    """
    return _through(model, rows, lambda output: output.logits, pad_id, batch_size, progress)


def vectors_of(
    model: torch.nn.Module,
    rows: EncodedRows,
    *,
    pad_id: int,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Pooled vectors: as `logits_of`, float32 [n, D]."""
    return _through(model, rows, lambda output: output.pooler_output, pad_id, batch_size, progress)


def embed(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str] | Dataset,
    *,
    normalize: bool | None = None,
    batch_size: int | None = None,
    bf16: bool = False,
    progress: Progress | None = None,
) -> np.ndarray:
    """One vector a text, whole texts whatever their length.

    Args:
        model: a `HyperMixerModel`; it is put into evaluation mode and left in the mode it was in.
        tokenizer: of the model.
        texts: n texts, or examples, whose pairs become one sequence.
        normalize: whether vectors are scaled to length 1; None: as the model's configuration says.
        batch_size: rows in a batch; None chooses by tokens.
        bf16: matrix products in bfloat16, two or three digits, where speed counts more.
        progress: called after each batch with texts done and texts in all.

    Returns:
        float32 [n, D].

    Raises:
        InputError: a text that is no string, or one longer than the mixer takes.
    """
    examples = texts.examples if isinstance(texts, Dataset) else from_lists(texts).examples if len(texts) else []
    width = model.config.hidden_size
    if not examples:
        return np.zeros((0, width), np.float32)
    longest = longest_of(model)
    encoded = encode(tokenizer, examples, None)
    if longest is not None:
        _require_room(encoded.input_ids, examples, longest)
    rows = EncodedRows(encoded.input_ids, encoded.token_type_ids)
    device = next(model.parameters()).device.type
    with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
        vectors = vectors_of(model, rows, pad_id=model.config.pad_token_id, batch_size=batch_size, progress=progress)
    wanted = model.config.normalize_embeddings if normalize is None else normalize
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12) if wanted else vectors


def _require_room(ids: Sequence[Sequence[int]], examples: Sequence[Any], longest: int) -> None:
    for row, example in zip(ids, examples, strict=True):
        if len(row) > longest:
            raise InputError(f"{example.origin}: has {len(row)} tokens, and the mixer takes {longest} at most.")


def _through(
    model: torch.nn.Module,
    rows: EncodedRows,
    pick: Callable[[Any], Tensor],
    pad_id: int,
    batch_size: int | None,
    progress: Progress | None,
) -> np.ndarray:
    """What `pick` takes of the model's output for each row: float32 [n, ...], in the order of `rows`."""
    device = next(model.parameters()).device
    pack = packs_well(model)
    collate = Collate(pad_id, longest_of(model), pack=pack)
    chunks, order, done = [], [], 0
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for batch in inference_batches(rows.lengths, batch_size, pack=pack):
                inputs = collate([rows[row] for row in batch])
                inputs.pop("labels", None)
                outputs = model(**{name: tensor.to(device) for name, tensor in inputs.items()})
                chunks.append(pick(outputs).float().cpu().numpy())
                order += batch
                done += len(batch)
                if progress is not None:
                    progress(done, len(rows))
    finally:
        model.train(was_training)
    scores = np.concatenate(chunks)
    answer = np.empty_like(scores)
    answer[order] = scores
    return answer
