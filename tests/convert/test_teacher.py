"""Teachers: loaded with care, and what they say is what their own models say."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoModel

from hypermixer.convert.settings import Shape
from hypermixer.convert.student import make_student
from hypermixer.convert.teacher import load_teacher
from hypermixer.data.tokens import train_tokenizer
from hypermixer.errors import InputError
from hypermixer.ops.compare import TOLERANCES, error_ratio
from tests.convert.teachers import (
    KINDS,
    LAYERS,
    POSITIONS,
    WIDTH,
    batch,
    change_json,
    load,
    texts,
    tokenizer,
    write_json,
    write_modules,
    write_teacher,
)

EXACT = TOLERANCES[torch.float32].exact


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_directories_of_sentence_transformers_bring_pooling_and_normalisation(tmp_path, pooling, normalized):
    folder = write_teacher(tmp_path / "t", pooling=pooling, normalize=normalized, max_length=11)
    teacher = load(folder)
    assert (teacher.pooling, teacher.normalize) == ({"cls": "first"}.get(pooling, pooling), normalized)
    assert teacher.max_length == 11
    ids, keep = batch(teacher)
    x = AutoModel.from_pretrained(folder)(ids, keep.long()).last_hidden_state
    rows = [tokens[kept] for tokens, kept in zip(x, keep, strict=True)]
    pooled = {
        "mean": [row.mean(0) for row in rows],
        "cls": [row[0] for row in rows],
        "max": [row.max(0).values for row in rows],
    }[pooling]
    expected = torch.stack(pooled)
    answer = teacher(ids, keep).embeddings
    assert error_ratio(answer, normalize(expected, dim=-1) if normalized else expected) < EXACT
    student = make_student(teacher, Shape("attention"))
    assert error_ratio(student(ids, keep.long()).pooler_output, expected) < EXACT
    assert student.config.normalize_embeddings is normalized


def test_plain_directories_have_the_mean_and_every_position(tmp_path):
    teacher = load(write_teacher(tmp_path / "t", "roberta"))
    assert (teacher.pooling, teacher.normalize, teacher.max_length) == ("mean", False, POSITIONS)
    assert teacher.model.training is False and not any(p.requires_grad for p in teacher.model.parameters())


def test_a_length_beyond_the_positions_is_not_believed(tmp_path):
    assert load(write_teacher(tmp_path / "t", pooling="mean", max_length=999)).max_length == POSITIONS


def test_what_sentence_transformers_saves_is_read(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    models = pytest.importorskip("sentence_transformers.models")
    write_teacher(tmp_path / "t")
    encoder = models.Transformer(str(tmp_path / "t"), max_seq_length=13)
    pooling = models.Pooling(WIDTH, "cls")
    whole = library.SentenceTransformer(modules=[encoder, pooling, models.Normalize()], device="cpu")
    whole.save(str(tmp_path / "s"))
    teacher = load(tmp_path / "s")
    assert (teacher.pooling, teacher.normalize, teacher.max_length) == ("first", True, 13)
    some = list(texts())[:5]
    inputs = teacher.tokenizer(some, padding=True, truncation=True, max_length=13, return_tensors="pt")
    found = teacher(inputs["input_ids"], inputs["attention_mask"].bool()).embeddings
    assert error_ratio(found, torch.from_numpy(whole.encode(some))) < EXACT


@pytest.mark.parametrize("kind", KINDS)
def test_inner_states_are_the_models_own(tmp_path, kind):
    teacher = load(write_teacher(tmp_path / kind, kind))
    ids, keep = batch(teacher)
    answer = teacher(ids, keep, inner=True)
    expected = teacher.model(ids, keep.long(), output_hidden_states=True).hidden_states
    assert len(answer.hidden) == LAYERS + 1 and len(answer.mixed) == LAYERS
    assert all(map(torch.equal, answer.hidden, expected))
    for number, layer in enumerate(teacher.anatomy.layers):
        x = layer.norms[0](answer.hidden[number] + answer.mixed[number])
        inner = torch.nn.functional.gelu(layer.features[0](x))
        y = layer.norms[1](x + layer.features[1](inner))
        assert error_ratio(y[keep], expected[number + 1][keep]) < EXACT
    plain = teacher(ids, keep)
    assert plain.hidden == () and plain.mixed == () and torch.equal(plain.embeddings, answer.embeddings)


def test_padding_is_invisible(teacher):
    ids, keep = batch(teacher)
    garbage, _ = batch(teacher, garbage=True)
    assert not torch.equal(ids, garbage)
    assert error_ratio(teacher(garbage, keep).embeddings, teacher(ids, keep).embeddings) < EXACT


def refused(name, *words):
    with pytest.raises(InputError) as caught:
        load_teacher(str(name))
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith((".", ")")) and len(sentence) < 500, sentence
    said = sentence.replace(str(name), "")  # a folder's name may hold the words of a test's
    for word in words:
        assert str(word) in (sentence if isinstance(word, Path) or word == name else said), sentence


def other_model(folder, kind, **shape):
    AutoConfig.for_model(kind, **shape).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_decoders_are_refused(tmp_path):
    refused(other_model(tmp_path / "g", "gpt2", architectures=["GPT2LMHeadModel"]), "gpt2", "a decoder", "bert")
    refused(other_model(tmp_path / "m", "gpt2", architectures=["GPT2Model"]), "gpt2", "a decoder")
    refused(other_model(tmp_path / "l", "llama"), "llama", "a decoder")
    refused(other_model(tmp_path / "t", "t5"), "t5", "encoder and a decoder")
    refused(write_teacher(tmp_path / "b", is_decoder=True), tmp_path / "b", "is_decoder")
    folder = write_teacher(tmp_path / "c")
    change_json(folder / "config.json", add_cross_attention=True)
    refused(folder, folder, "add_cross_attention")


def test_other_architectures_are_refused(tmp_path):
    refused(other_model(tmp_path / "a", "albert"), "albert", "roberta")
    folder = write_teacher(tmp_path / "u")
    change_json(folder / "config.json", model_type="brt")
    refused(folder, "'brt'", "bert")
    change_json(folder / "config.json", model_type=5)
    refused(folder, folder)


def test_code_of_a_model_is_never_run(tmp_path):
    folder = write_teacher(tmp_path / "t")
    (folder / "own.py").write_text("raise SystemExit('ran')")
    change_json(folder / "config.json", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})
    refused(folder, folder, "auto_map in config.json")
    for name in ("of_tokenizer", "of_module"):
        write_teacher(tmp_path / name, pooling="mean")
    change_json(
        tmp_path / "of_tokenizer" / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Tokenizer", None]}
    )
    refused(tmp_path / "of_tokenizer", "auto_map in tokenizer_config.json")
    write_json(tmp_path / "of_module" / "modules.json", [{"idx": 0, "path": "", "type": "own_code.Transformer"}])
    refused(tmp_path / "of_module", "own_code.Transformer")


def test_what_sentence_transformers_does_to_texts_is_done_or_refused(tmp_path):
    folder = write_teacher(tmp_path / "t", pooling="mean")
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "q: "}, "default_prompt_name": None})
    assert load(folder).pooling == "mean"
    change_json(folder / "config_sentence_transformers.json", default_prompt_name="query")
    refused(folder, "'query'", "default_prompt_name")
    (folder / "config_sentence_transformers.json").unlink()
    table = json.loads((folder / "tokenizer.json").read_text())
    table["normalizer"] = None
    write_json(folder / "tokenizer.json", table)
    words = texts()[3]
    assert load(folder).tokenizer(words.upper())["input_ids"] != load(folder).tokenizer(words)["input_ids"]
    change_json(folder / "sentence_bert_config.json", do_lower_case=True)
    lower = load(folder).tokenizer
    assert lower(words.upper())["input_ids"] == lower(words)["input_ids"]


@pytest.mark.parametrize("length", ["512", 0, -1, 3.5, True])
def test_a_length_that_is_none_is_refused(tmp_path, length):
    folder = write_teacher(tmp_path / "t", pooling="mean")
    change_json(folder / "sentence_bert_config.json", max_seq_length=length)
    refused(folder, "max_seq_length", repr(length))


def test_other_parts_are_refused(tmp_path):
    refused(write_teacher(tmp_path / "r", hidden_act="relu"), tmp_path / "r", "'relu'")
    refused(write_teacher(tmp_path / "d", "distilbert", activation="relu"), tmp_path / "d", "'relu'")
    refused(write_teacher(tmp_path / "e", "electra", embedding_size=12), tmp_path / "e", "12", "24")
    folder = write_teacher(tmp_path / "p")
    change_json(folder / "config.json", position_embedding_type="relative_key")
    refused(folder, folder, "relative_key")


def test_weights_that_are_missing_pickled_or_damaged_are_refused(tmp_path):
    folder = write_teacher(tmp_path / "t")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:99])
    refused(folder, folder, "weights")
    (folder / "model.safetensors").unlink()
    refused(folder, folder, "model.safetensors")
    torch.save({}, folder / "pytorch_model.bin")
    refused(folder, folder / "pytorch_model.bin", "pickle", "safetensors")


def test_weights_of_another_shape_are_refused(tmp_path):
    folder = write_teacher(tmp_path / "t")
    change_json(folder / "config.json", hidden_size=32)
    refused(folder, folder, "other shapes")
    change_json(folder / "config.json", hidden_size=24, num_hidden_layers=LAYERS + 1)
    refused(folder, folder, "weights", f"layer.{LAYERS}")


def test_places_without_an_encoder_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", tmp_path / "empty", "config.json")
    (tmp_path / "file").write_text("a")
    refused(tmp_path / "file", tmp_path / "file", "file")
    refused(tmp_path / "nowhere", tmp_path / "nowhere")
    refused("nobody/has-this-name", "nobody/has-this-name")
    refused("bert-base-made-up", "bert-base-made-up")
    folder = write_teacher(tmp_path / "t")
    (folder / "config.json").write_text("{")
    refused(folder, "config.json")
    write_json(folder / "config.json", [1])
    refused(folder, "config.json")


def test_modules_that_cannot_be_taken_over_are_refused(tmp_path):
    folder = write_teacher(tmp_path / "t", pooling="mean")
    change_json(folder / "1_Pooling" / "config.json", pooling_mode_max_tokens=True)
    refused(folder, "1_Pooling", "pooling")
    change_json(folder / "1_Pooling" / "config.json", pooling_mode_max_tokens=False, pooling_mode_mean_tokens=False)
    refused(folder, "1_Pooling", "pooling")
    change_json(folder / "1_Pooling" / "config.json", pooling_mode_weightedmean_tokens=True)
    refused(folder, "1_Pooling", "weightedmean")
    for named in ("weightedmean", "", ["mean", "max"]):
        change_json(folder / "1_Pooling" / "config.json", pooling_mode=named)
        refused(folder, "1_Pooling", "pooling")
    change_json(folder / "1_Pooling" / "config.json", pooling_mode="mean")
    assert load(folder).pooling == "mean"
    write_modules(folder, ["Transformer", "Pooling", "Dense"])
    refused(folder, "modules.json", "'Dense'")
    (folder / "modules.json").write_text("[")
    refused(folder, "modules.json")
    for content in ({"a": 1}, ["a"]):
        write_json(folder / "modules.json", content)
        refused(folder, "modules.json")
    write_modules(folder, ["Transformer", "Pooling"])
    shutil.rmtree(folder / "1_Pooling")
    refused(folder, "1_Pooling")


def test_tokenizers_that_do_not_fit_are_refused(tmp_path):
    folder = write_teacher(tmp_path / "t")
    train_tokenizer(texts(), vocab_size=91).save_pretrained(folder)
    refused(folder, folder, "91", "90")
    table = json.loads((folder / "tokenizer.json").read_text())
    piece = max(table["model"]["vocab"], key=table["model"]["vocab"].get)
    table["model"]["vocab"][piece] = 5000  # no more entries than the model has, and one far behind them
    for other in list(table["model"]["vocab"])[60:70]:
        table["model"]["vocab"].pop(other)
    write_json(folder / "tokenizer.json", table)
    refused(folder, folder, "5000", "90")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    refused(folder, folder, "tokenizer")
