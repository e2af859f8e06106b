"""What a conversion writes: Hugging Face's classes and sentence-transformers read from it what it says itself."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModel

from hypermixer import HyperMixerModel
from hypermixer.convert import directory
from hypermixer.convert.run import Converted, convert
from hypermixer.convert.settings import Conversion, Request, Shape
from hypermixer.data.tokens import load_tokenizer
from tests.convert.teachers import texts, write_teacher

SOME = [*texts()[:7], " ".join(texts()[:30])]


@pytest.fixture(scope="module", params=["mean", "cls", "max"])
def written(request, tmp_path_factory) -> tuple:
    place = tmp_path_factory.mktemp("written")
    normalize = request.param != "max"
    folder = write_teacher(place / "t", pooling=request.param, normalize=normalize, max_length=14)
    options = {"steps": 4, "batch_tokens": 200, "device": "cpu", "stages": "whole"}
    asked = Request(str(folder), Shape(layers=2), Conversion(**options))
    converted = convert(asked, texts()[:120], place / "m")
    directory.write(place / "m", converted)
    return place / "m", converted


def close(one, other):
    return np.abs(np.asarray(one) - np.asarray(other)).max() < 1e-5


def test_it_loads_with_its_own_class_and_tokenizer(written):
    place, converted = written
    model = HyperMixerModel.from_pretrained(place)
    state = converted.model.state_dict()
    assert all(torch.equal(weight, state[name]) for name, weight in model.state_dict().items())
    vectors = model.encode(SOME)
    assert vectors.shape == (8, 24) and vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    assert close(lengths, 1) == converted.model.config.normalize_embeddings
    # Far longer than the teacher takes, and read to its end.
    longest = SOME[-1]
    assert len(model._tokenizer(longest)["input_ids"]) > 10 * 14
    assert not close(model.encode([longest]), model.encode([longest + " bamu"]))


def test_it_loads_with_auto_classes(written):
    place, converted = written
    model = AutoModel.from_pretrained(place).eval()
    assert type(model) is HyperMixerModel
    tokenizer = load_tokenizer(str(place))
    inputs = tokenizer(SOME, padding=True, return_tensors="pt")
    with torch.no_grad():
        pooled = model(**inputs).pooler_output
    if converted.model.config.normalize_embeddings:
        pooled = torch.nn.functional.normalize(pooled, dim=-1)
    assert close(pooled, model.encode(SOME))


def test_sentence_transformers_says_what_encode_says(written):
    library = pytest.importorskip("sentence_transformers")
    place, _ = written
    model = library.SentenceTransformer(str(place), device="cpu")
    expected = HyperMixerModel.from_pretrained(place).encode(SOME)
    assert close(model.encode(SOME), expected)
    assert close(model.encode(SOME[-1:]), expected[-1:])
    assert model.similarity(expected, expected).shape == (8, 8)


def test_another_model_takes_the_place_of_all_of_it(written, tmp_path):
    _, converted = written
    (tmp_path / "2_Normalize").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    directory.write(tmp_path, converted)
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"modules.json", "1_Pooling", "sentence_bert_config.json", "hypermixer.json", "notes.txt"}
    record = json.loads((tmp_path / "hypermixer.json").read_text())
    assert record["kind"] == "encoder" and record["agreement"]["held_out"] == converted.record["agreement"]["held_out"]
    kinds = [module["type"].rsplit(".", 1)[1] for module in json.loads((tmp_path / "modules.json").read_text())]
    assert kinds[:2] == ["Transformer", "Pooling"]
    assert ("Normalize" in kinds) == converted.model.config.normalize_embeddings


def test_a_write_that_fails_leaves_what_was_there(written, tmp_path):
    _, converted = written
    directory.write(tmp_path, converted)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(TypeError):
        directory.write(tmp_path, Converted(converted.model, converted.tokenizer, {"a": object()}))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
