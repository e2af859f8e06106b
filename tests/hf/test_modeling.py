from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

from hypermixer import (
    MIXERS,
    HyperMixerConfig,
    HyperMixerForMaskedLM,
    HyperMixerForSequenceClassification,
    HyperMixerModel,
    InputError,
)
from hypermixer.data.batches import bucket_length
from hypermixer.data.tokens import load_tokenizer, train_tokenizer
from hypermixer.mixers import build_mixer
from hypermixer.ops.compare import TOLERANCES, error_ratio

TINY: dict[str, Any] = {
    "vocab_size": 41, "hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 20, "num_labels": 3,
}  # fmt: skip


def batch() -> dict[str, Tensor]:
    torch.manual_seed(0)
    ids = torch.randint(1, 41, (4, 9))
    mask = (torch.arange(9) < torch.tensor([[9], [5], [1], [7]])).long()
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def packed(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tokens of a padded batch end to end, with offsets in place of the mask."""
    keep = inputs["attention_mask"].bool()
    offsets = torch.nn.functional.pad(keep.sum(1).cumsum(0), (1, 0))
    tokens = {k: t[keep] for k, t in inputs.items() if k != "attention_mask"}
    return {**tokens, "cu_seqlens": offsets}


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize(
    "model, auto",
    [
        (HyperMixerModel, AutoModel),
        (HyperMixerForSequenceClassification, AutoModelForSequenceClassification),
        (HyperMixerForMaskedLM, AutoModelForMaskedLM),
    ],
)
def test_save_and_load(tmp_path: Path, mixer: str, model: Any, auto: Any) -> None:
    torch.manual_seed(0)
    first = model(HyperMixerConfig(mixer=mixer, **TINY)).eval()
    first.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} >= {"config.json", "model.safetensors"}
    second = auto.from_pretrained(tmp_path).eval()
    assert type(second) is model and torch.equal(first(**batch())[0], second(**batch())[0])
    assert second.config.mixer_options == first.config.mixer_options


def test_a_body_takes_a_new_head(tmp_path: Path) -> None:
    body = HyperMixerModel(HyperMixerConfig(**TINY))
    body.save_pretrained(tmp_path)
    model = HyperMixerForSequenceClassification.from_pretrained(tmp_path, num_labels=5)
    name = "blocks.0.mixer.mixing.key_net.hidden.weight"
    assert torch.equal(model.model.encoder.get_parameter(name), body.encoder.get_parameter(name))
    bound = 24**-0.5
    head = model.classifier.weight
    assert head.shape == (5, 24) and head.isfinite().all() and 0.5 * bound < head.abs().max() <= bound


def test_masked_language_modelling_shares_the_table(tmp_path: Path) -> None:
    model = HyperMixerForMaskedLM(HyperMixerConfig(**TINY))
    assert model.head.decoder.weight is model.model.encoder.embeddings.tokens.weight
    inputs = batch()
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    loss = model(**inputs, labels=labels).loss
    loss.backward()
    assert loss.isfinite()
    model.save_pretrained(tmp_path)
    again = HyperMixerForMaskedLM.from_pretrained(tmp_path)
    assert again.head.decoder.weight is again.model.encoder.embeddings.tokens.weight


@pytest.mark.parametrize("mixer", MIXERS)
def test_padding_is_invisible_in_logits(mixer: str) -> None:
    model = HyperMixerForSequenceClassification(HyperMixerConfig(mixer=mixer, **TINY)).eval().double()
    inputs = batch()
    logits = model(**inputs).logits
    for row, length in enumerate(inputs["attention_mask"].sum(1).tolist()):
        alone = model(inputs["input_ids"][row : row + 1, :length]).logits
        assert error_ratio(alone, logits[row : row + 1]) < TOLERANCES[torch.float64].exact


def equals(model: Any, pad: dict[str, Any], pack: dict[str, Any]) -> None:
    """The loss, and its gradient in every parameter, packed as padded."""
    results: list[dict[str, Tensor]] = []
    for inputs in (pad, pack):
        model.zero_grad()
        output = model(**inputs)
        output.loss.backward()
        grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        results.append({"loss": output.loss.detach(), **grads})
    assert results[0].keys() == results[1].keys()
    for name, expected in results[0].items():
        # The loss is taken in float32 whatever the dtype of the model.
        assert error_ratio(results[1][name], expected) < TOLERANCES[torch.float32].exact, name


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("mixer", MIXERS)
def test_packed_texts_have_the_logits_and_gradients_of_padded_ones(mixer: str, segments: bool) -> None:
    torch.manual_seed(0)
    model = HyperMixerForSequenceClassification(HyperMixerConfig(mixer=mixer, **TINY)).eval().double()
    pad = batch()
    if segments:
        pad["token_type_ids"] = torch.randint(0, 2, pad["input_ids"].shape)
    else:
        del pad["token_type_ids"]
    pack = packed(pad)
    for offsets in (pack["cu_seqlens"], pack["cu_seqlens"].int()):
        logits = model(**{**pack, "cu_seqlens": offsets}).logits
        assert logits.shape == (4, 3)
        assert error_ratio(logits, model(**pad).logits) < TOLERANCES[torch.float64].exact
    labels = torch.tensor([0, 1, 2, 0])
    equals(model, {**pad, "labels": labels}, {**pack, "labels": labels})


@pytest.mark.parametrize("mixer", MIXERS)
def test_packed_masked_language_modelling(mixer: str) -> None:
    torch.manual_seed(0)
    model = HyperMixerForMaskedLM(HyperMixerConfig(mixer=mixer, **TINY)).eval().double()
    pad = batch()
    keep = pad["attention_mask"].bool()
    pack = packed(pad)
    logits = model(**pack).logits
    assert logits.shape == (int(keep.sum()), 41)
    assert error_ratio(logits, model(**pad).logits[keep]) < TOLERANCES[torch.float64].exact
    labels = pad["input_ids"].masked_fill(~keep, -100)
    labels[0, ::2] = -100
    equals(model, {**pad, "labels": labels}, {**pack, "labels": labels[keep]})


@pytest.mark.parametrize("mixer", MIXERS)
def test_packed_hidden_states_stand_where_their_tokens_do(mixer: str) -> None:
    torch.manual_seed(0)
    model = HyperMixerModel(HyperMixerConfig(mixer=mixer, **TINY)).eval().double()
    ids, lengths = torch.randint(1, 41, (9,)), (2, 3, 0, 2, 2)  # lengths that have to be moved
    offsets = torch.tensor([0, 2, 5, 5, 7, 9])
    output = model(ids, cu_seqlens=offsets, output_hidden_states=True)
    assert len(output.hidden_states) == TINY["num_hidden_layers"] + 1
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    assert output.pooler_output.shape == (5, 24) and not output.pooler_output[2].any()
    for i, text in enumerate(ids.split(lengths)):
        if not len(text):
            continue
        alone = model(text[None], output_hidden_states=True)
        at = slice(int(offsets[i]), int(offsets[i + 1]))
        for state, expected in zip(output.hidden_states, alone.hidden_states, strict=True):
            assert error_ratio(state[at], expected[0]) < TOLERANCES[torch.float64].exact
        assert error_ratio(output.pooler_output[i], alone.pooler_output[0]) < TOLERANCES[torch.float64].exact


@pytest.mark.parametrize("mixer", MIXERS)
def test_packed_texts_train_with_checkpointing(mixer: str) -> None:
    config = HyperMixerConfig(mixer=mixer, **{**TINY, "hidden_dropout_prob": 0.0})
    torch.manual_seed(0)
    model = HyperMixerForSequenceClassification(config).double().train()
    inputs = {**packed(batch()), "labels": torch.tensor([0, 1, 2, 0])}
    model(**inputs).loss.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()
    model(**inputs).loss.backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and error_ratio(p.grad, expected[name]) < TOLERANCES[torch.float64].exact, name


@pytest.mark.parametrize(
    "ids, options, word",
    [
        ((2, 5), {"cu_seqlens": torch.tensor([0, 5, 10])}, r"Packed input_ids .*\(2, 5\)"),
        ((5,), {}, r"input_ids must have shape \(batch, tokens\)"),
        ((5,), {"cu_seqlens": torch.tensor([0, 5]), "attention_mask": torch.ones(5).long()}, "attention_mask"),
        ((5,), {"cu_seqlens": torch.tensor([0, 4])}, "cu_seqlens ends at 4"),
        ((5,), {"cu_seqlens": torch.tensor([0, 3, 2, 5])}, "cu_seqlens decreases"),
        ((5,), {"cu_seqlens": torch.tensor([0.0, 5.0])}, "cu_seqlens must hold"),
    ],
)
@pytest.mark.parametrize("model", [HyperMixerModel, HyperMixerForSequenceClassification, HyperMixerForMaskedLM])
def test_bad_packed_inputs_are_refused(model: Any, ids: tuple[int, ...], options: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        model(HyperMixerConfig(**TINY))(torch.ones(ids, dtype=torch.long), **options)


def test_outputs_are_the_ecosystems() -> None:
    model = HyperMixerForSequenceClassification(HyperMixerConfig(**TINY)).eval()
    inputs = batch()
    output = model(**inputs, labels=torch.tensor([0, 1, 2, 0]), output_hidden_states=True)
    assert len(output.hidden_states) == TINY["num_hidden_layers"] + 1
    as_tuple = model(**inputs, return_dict=False)
    assert isinstance(as_tuple, tuple) and torch.equal(as_tuple[0], output.logits)
    expected = torch.nn.functional.cross_entropy(output.logits, torch.tensor([0, 1, 2, 0]))
    assert torch.allclose(output.loss, expected)


def test_gradient_checkpointing_recomputes_blocks() -> None:
    model = HyperMixerForSequenceClassification(HyperMixerConfig(**TINY)).train()
    calls: list[int] = []
    for block in model.model.encoder.blocks:
        block.register_forward_pre_hook(lambda *_: calls.append(1))
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()
    model(**batch(), labels=torch.tensor([0, 1, 2, 0])).loss.backward()
    assert len(calls) == 2 * TINY["num_hidden_layers"]


def test_the_default_is_the_papers_shape() -> None:
    """Parameters of a 6-layer encoder at d=256, d'=512: 11 M tied and attention, 12 M untied."""
    counts = {}
    for name, options in (("tied", {}), ("untied", {"tied": False}), ("attention", {})):
        mixer = "attention" if name == "attention" else "hypermixing"
        with torch.device("meta"):
            model = HyperMixerModel(HyperMixerConfig(mixer=mixer, mixer_options=options))
        counts[name] = sum(p.numel() for p in model.parameters())
    assert {k: round(v / 1e6) for k, v in counts.items()} == {"tied": 11, "untied": 12, "attention": 11}


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("mixer", MIXERS)
def test_torch_compile_takes_the_whole_classifier(mixer: str, grad: bool) -> None:
    """One graph for each bucket of lengths up to 512 (a few of them tried), and no compilation beyond them."""
    torch._dynamo.reset()
    model = HyperMixerForSequenceClassification(HyperMixerConfig(mixer=mixer, **TINY)).eval()
    compilations: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        compilations.append(1)
        return graph.forward

    longest = build_mixer(mixer, {}, d_model=24).max_length or 512
    buckets = sorted({bucket_length(n, longest) for n in range(1, min(512, longest) + 1)})
    if mixer not in ("hypermixing", "attention"):
        buckets = buckets[::4]
    # torch gives up after eight shapes unless it is told how many there are.
    with torch._dynamo.config.patch(recompile_limit=len(buckets)), torch.set_grad_enabled(grad):
        compiled = torch.compile(model, fullgraph=True, dynamic=False, backend=backend)
        for length in [*buckets, *buckets]:
            ids = torch.randint(1, 41, (4, length))
            mask = torch.ones_like(ids)
            mask[1, length // 2 :] = 0
            assert error_ratio(compiled(ids, mask).logits, model(ids, mask).logits) < TOLERANCES[torch.float32].exact
    assert len(compilations) == len(buckets)


def test_torch_compile_with_changing_shapes() -> None:
    torch._dynamo.reset()
    model = HyperMixerForSequenceClassification(HyperMixerConfig(**TINY)).eval()
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for length in (8, 16, 24, 48, 96, 192, 384):
        ids = torch.randint(1, 41, (3, length))
        assert error_ratio(compiled(ids).logits, model(ids).logits) < TOLERANCES[torch.float32].exact


@pytest.mark.parametrize("mixer", MIXERS)
def test_torch_compile_trains(mixer: str) -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = HyperMixerForSequenceClassification(HyperMixerConfig(mixer, **{**TINY, "hidden_dropout_prob": 0.0}))
    inputs, labels = batch(), torch.tensor([0, 1, 2, 0])
    model(**inputs, labels=labels).loss.backward()
    expected = {k: p.grad.clone() for k, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    torch.compile(model, fullgraph=True, backend="aot_eager")(**inputs, labels=labels).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert error_ratio(parameter.grad, expected[name]) < 1e-5, name


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    model = HyperMixerModel(HyperMixerConfig(**TINY))
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        HyperMixerModel.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    "options, word",
    [
        ({"mixer": "hypermixng"}, "hypermixing"),
        ({"mixer_options": {"num_head": 2}}, "num_heads"),
        ({"mixer_options": {"num_heads": 5}}, "num_heads=5"),
        ({"layout": "prenorm"}, "pre"),
        ({"mixer_options": {"tied": "false"}}, "tied"),
        ({"mixer_options": {"num_heads": "4"}}, "num_heads"),
        ({"hidden_dropout_prob": "x"}, "hidden_dropout_prob"),
        ({"hidden_size": 16.0}, "hidden_size"),
        ({"num_hidden_layers": True}, "num_hidden_layers"),
    ],
)
def test_bad_configurations_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        HyperMixerConfig(**{**TINY, **options})


@pytest.mark.parametrize("options", [{"problem_type": "multi_label_classification"}, {"num_labels": 1}])
def test_other_problems_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        HyperMixerForSequenceClassification(HyperMixerConfig(**{**TINY, **options}))


def test_shapes_can_be_followed_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = HyperMixerForSequenceClassification(HyperMixerConfig(**TINY))
        ids = torch.zeros(2, 5, dtype=torch.long)
    assert model(ids, torch.ones_like(ids)).logits.shape == (2, 3)
    offsets = torch.tensor([0, 3, 4, 7])  # stay on the CPU
    assert model(ids.new_zeros(7), cu_seqlens=offsets).logits.shape == (3, 3)


@pytest.mark.parametrize("pooling", ["mean", "first", "max"])
@pytest.mark.parametrize("mixer", ["hypermixing", "attention", "fnet"])
def test_pooling_padded_packed_and_by_hand(mixer: str, pooling: str) -> None:
    torch.manual_seed(0)
    model = HyperMixerModel(HyperMixerConfig(mixer=mixer, pooling=pooling, **TINY)).eval().double()
    inputs = batch()
    output = model(**inputs)
    rows = [x[kept] for x, kept in zip(output.last_hidden_state, inputs["attention_mask"].bool(), strict=True)]
    by_hand = {"mean": lambda x: x.mean(0), "first": lambda x: x[0], "max": lambda x: x.amax(0)}[pooling]
    expected = torch.stack([by_hand(row) for row in rows])
    exact = TOLERANCES[torch.float64].exact
    assert error_ratio(output.pooler_output, expected) < exact
    assert error_ratio(model(**packed(inputs)).pooler_output, expected) < exact
    classifier = HyperMixerForSequenceClassification(model.config).double()
    classifier.model = model
    assert error_ratio(classifier(**inputs).logits, classifier.classifier(expected)) < exact


@pytest.mark.parametrize("options, word", [({"pooling": "men"}, "mean"), ({"position_embeddings": -1}, "position")])
def test_bad_poolings_and_positions_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        HyperMixerConfig(**{**TINY, **options})


TEXTS = ["a film", "the story was rather long and very grim", "", "a film of a story " * 400, "lovely"]


def written(folder: Path, mixer: str = "hypermixing", **options: Any) -> Path:
    tokenizer = train_tokenizer(TEXTS)
    torch.manual_seed(0)
    config = HyperMixerConfig(
        mixer=mixer, **{**TINY, "vocab_size": len(tokenizer), "initializer_range": 0.5, **options}
    )
    HyperMixerModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("options", [{}, {"pooling": "first", "position_embeddings": 7}, {"pooling": "max"}])
@pytest.mark.parametrize("mixer", ["hypermixing", "attention", "fnet"])
def test_encode_gives_each_text_what_it_has_alone(tmp_path: Path, mixer: str, options: dict[str, Any]) -> None:
    model = HyperMixerModel.from_pretrained(written(tmp_path, mixer, **options)).train()
    done: list[tuple[int, int]] = []
    together = model.encode(TEXTS, progress=lambda *counts: done.append(counts))
    assert together.shape == (5, 24) and together.dtype == np.float32 and np.isfinite(together).all()
    assert done[-1] == (5, 5) and model.training
    for some in ([[text] for text in TEXTS], [TEXTS[:2], TEXTS[2:]]):
        apart = np.concatenate([model.encode(part) for part in some])
        assert error_ratio(torch.from_numpy(apart), torch.from_numpy(together)) < 1e-5
    assert np.abs(model.encode(TEXTS, batch_size=2) - together).max() < 1e-5
    assert model.encode([]).shape == (0, 24)
    # Texts are read to their ends.
    ids = load_tokenizer(str(tmp_path))(TEXTS[3], verbose=False)["input_ids"]
    assert len(ids) > 2_000
    with torch.no_grad():
        alone = model.eval()(torch.tensor([ids])).pooler_output
    assert error_ratio(torch.from_numpy(together[3:4]), alone) < 1e-5


def test_encode_normalises_as_it_is_asked_or_configured(tmp_path: Path) -> None:
    plain = HyperMixerModel.from_pretrained(written(tmp_path / "plain"))
    scaled = HyperMixerModel.from_pretrained(written(tmp_path / "scaled", normalize_embeddings=True))
    assert scaled.config.normalize_embeddings
    vectors = plain.encode(TEXTS)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 1e-3
    for found in (scaled.encode(TEXTS), plain.encode(TEXTS, normalize=True)):
        assert np.allclose(found, vectors / lengths, atol=1e-6)
    assert np.allclose(scaled.encode(TEXTS, normalize=False), vectors, atol=1e-6)


def test_encode_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    model = HyperMixerModel.from_pretrained(written(tmp_path, "gmlp", mixer_options={"max_length": 9}))
    assert model.encode(["a film"]).shape == (1, 24)
    with pytest.raises(InputError, match=r"\[1\].* 9 at most"):
        model.encode(["a film", "the story was rather long and very grim indeed"])
    with pytest.raises(InputError, match=r"\[1\]"):
        model.encode(["a", 5])
    with pytest.raises(InputError, match="tokenizer"):
        HyperMixerModel(HyperMixerConfig(**TINY)).encode(["a"])
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(InputError, match="tokenizer"):
        HyperMixerModel.from_pretrained(tmp_path).encode(["a"])
