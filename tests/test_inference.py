"""Inference: the order of the input, few shapes, and no influence of one text on another."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers.modeling_outputs import SequenceClassifierOutput

from hypermixer.data.batches import EncodedRows, bucket_length
from hypermixer.data.sources import from_lists
from hypermixer.data.tokens import train_tokenizer
from hypermixer.hf import HyperMixerConfig, HyperMixerForSequenceClassification, HyperMixerModel
from hypermixer.inference import embed, inference_batches, logits_of
from hypermixer.training.metrics import classification_metrics, per_class, probabilities


class SumOfIds(torch.nn.Module):
    """A classifier whose answer tells which row it saw."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.shapes = set()

    def forward(self, input_ids, token_type_ids, attention_mask=None):
        assert not self.training and not torch.is_grad_enabled()
        self.shapes.add(tuple(input_ids.shape))
        total = (input_ids if attention_mask is None else input_ids * attention_mask).sum(1).float()
        return SequenceClassifierOutput(logits=torch.stack([total, -total], 1) * self.weight)


LENGTHS = [5, 300, 1, 17, 40, 5, 2, 299, 64, 65, 12]


def rows():
    ids = [[7] * (n - 1) + [row] for row, n in enumerate(LENGTHS)]
    return EncodedRows(ids, [[0] * n for n in LENGTHS])


def test_answers_come_in_the_order_of_the_input():
    model = SumOfIds().train()
    done = []
    logits = logits_of(model, rows(), pad_id=9, batch_size=2, progress=lambda *counts: done.append(counts))
    assert logits.dtype == np.float32
    assert logits[:, 0].tolist() == [7 * (n - 1) + row for row, n in enumerate(LENGTHS)]
    assert done[-1] == (11, 11)
    assert model.training


@pytest.mark.parametrize("mixer", ["hypermixing", "attention"])
def test_packed_answers_are_those_of_each_text_alone(mixer: str) -> None:
    torch.manual_seed(0)
    config = HyperMixerConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, mixer=mixer, num_labels=3)
    model = HyperMixerForSequenceClassification(config).double().eval()
    lengths = [33, 17, 40, 18, 33, 17, 1, 40, 17, 1]
    ids = [np.random.default_rng(row).integers(1, 50, n).tolist() for row, n in enumerate(lengths)]
    data = EncodedRows(ids, [[0] * n for n in lengths])
    seen = []
    model.register_forward_pre_hook(lambda _, a, kwargs: seen.append("cu_seqlens" in kwargs), with_kwargs=True)
    together = logits_of(model, data, pad_id=0)
    assert any(seen), "nothing was packed"
    alone = [model(input_ids=torch.tensor([row])).logits[0].tolist() for row in ids]
    assert np.abs(together - np.asarray(alone)).max() < 1e-5


def test_batches_hold_one_bucket_and_stay_within_the_budget():
    lengths = list(range(1, 700)) * 3
    batches = inference_batches(lengths, None)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        buckets = {bucket_length(lengths[row]) for row in batch}
        assert len(buckets) == 1 and len(batch) * buckets.pop() <= 16_384


def test_metrics_by_hand():
    logits = np.array([[2.0, 0, 0], [0, 1, 0], [0, 3, 0], [5, 0, 0]], dtype=np.float32)
    labels = np.array([0, 1, 2, 1])
    metrics = classification_metrics(logits, labels)
    assert metrics["accuracy"] == 0.5
    assert np.isclose(metrics["macro_f1"], (2 / 3 + 1 / 2 + 0) / 3)
    assert np.isclose(metrics["loss"], -np.log(probabilities(logits)[np.arange(4), labels]).mean())
    assert np.isclose(metrics["loss"], torch.nn.functional.cross_entropy(torch.tensor(logits), torch.tensor(labels)))
    rows = per_class(logits, labels, ("a", "b", "c"))
    assert [row["examples"] for row in rows] == [1, 2, 1]
    assert np.isclose([row["f1"] for row in rows], [2 / 3, 1 / 2, 0]).all()


def test_probabilities_of_extreme_logits():
    rows = probabilities(np.array([[1e4, -1e4], [0, 0]], dtype=np.float32))
    assert rows.tolist() == [[1, 0], [0.5, 0.5]]


@pytest.fixture(scope="module")
def encoder():
    tokenizer = train_tokenizer(["one two three four", "two four six", "one six"])
    torch.manual_seed(0)
    config = HyperMixerConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, intermediate_size=8, initializer_range=1.0
    )
    return HyperMixerModel(config), tokenizer


def test_embed_reads_pairs_as_one_sequence_of_two_types(encoder):
    model, tokenizer = encoder
    first, second = ["one two", "six"], ["four", "two six one"]
    found = embed(model, tokenizer, from_lists(first, None, second))
    for row, (a, b) in enumerate(zip(first, second, strict=True)):
        inputs = tokenizer(a, b, return_tensors="pt")
        assert inputs["token_type_ids"].any()
        with torch.no_grad():
            expected = model.eval()(**inputs).pooler_output[0].numpy()
        assert np.allclose(found[row], expected, atol=1e-5)


def test_embed_in_bfloat16_is_near(encoder):
    model, tokenizer = encoder
    texts = ["one two three", "six", "two four six one " * 30]
    exact, near = embed(model, tokenizer, texts), embed(model, tokenizer, texts, bf16=True)
    assert near.dtype == np.float32 and 0 < np.abs(near - exact).max() < 0.05 * np.abs(exact).max()


def test_embed_of_nothing_and_of_zeros(encoder):
    model, tokenizer = encoder
    assert embed(model, tokenizer, []).shape == (0, 16)
    silent = HyperMixerModel(model.config)
    norm: Any = silent.encoder.norm
    torch.nn.init.zeros_(norm.weight)
    torch.nn.init.zeros_(norm.bias)
    found = embed(silent, tokenizer, ["one", "two"], normalize=True)
    assert found.shape == (2, 16) and not found.any()  # of no direction, and still numbers
