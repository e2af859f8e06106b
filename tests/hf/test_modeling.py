from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hypermixer import (
    MIXERS,
    HyperMixerConfig,
    HyperMixerForMaskedLM,
    HyperMixerForSequenceClassification,
    HyperMixerModel,
    InputError,
)
from hypermixer.data.batches import bucket_length
from hypermixer.ops.compare import TOLERANCES, error_ratio

TINY: dict[str, Any] = {
    "vocab_size": 41, "hidden_size": 24, "num_hidden_layers": 2, "intermediate_size": 20, "num_labels": 3,
}  # fmt: skip


def batch() -> dict[str, Tensor]:
    torch.manual_seed(0)
    ids = torch.randint(1, 41, (4, 9))
    mask = (torch.arange(9) < torch.tensor([[9], [5], [1], [7]])).long()
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("model", [HyperMixerModel, HyperMixerForSequenceClassification, HyperMixerForMaskedLM])
def test_save_and_load(tmp_path: Path, mixer: str, model: Any) -> None:
    torch.manual_seed(0)
    first = model(HyperMixerConfig(mixer=mixer, **TINY)).eval()
    first.save_pretrained(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} >= {"config.json", "model.safetensors"}
    second = model.from_pretrained(tmp_path).eval()
    assert torch.equal(first(**batch())[0], second(**batch())[0])
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
    """One graph for each bucket of lengths up to 512, and no compilation beyond them."""
    torch._dynamo.reset()
    model = HyperMixerForSequenceClassification(HyperMixerConfig(mixer=mixer, **TINY)).eval()
    compilations: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        compilations.append(1)
        return graph.forward

    buckets = sorted({bucket_length(n) for n in range(1, 513)})
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


def test_torch_compile_trains() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = HyperMixerForSequenceClassification(HyperMixerConfig(**{**TINY, "hidden_dropout_prob": 0.0}))
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
