"""`TextClassifier`: the whole round in Python."""

import json
import random
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hypermixer import HyperMixerConfig, HyperMixerModel, TextClassifier
from hypermixer.data.tokens import train_tokenizer
from hypermixer.errors import InputError
from hypermixer.training import directory

TINY = {"layers": 1, "d_model": 16, "epochs": 10, "lr": 1e-2, "batch_size": 8, "device": "cpu"}


def corpus(rows, seed=0, classes=("bad", "good")):
    draw = random.Random(seed)
    labels = [draw.choice(classes) for _ in range(rows)]
    fill = ["a", "the", "film", "was", "very", "rather"]
    texts = [" ".join([*draw.choices(fill, k=draw.randrange(1, 7)), f"w{label}w"]) for label in labels]
    return texts, labels


@pytest.fixture(scope="module")
def classifier():
    return TextClassifier(**TINY).fit(*corpus(83))


def test_fit_predict_evaluate(classifier):
    texts, labels = corpus(29, seed=1)
    assert classifier.labels == ["bad", "good"]
    assert np.mean([a == b for a, b in zip(classifier.predict(texts), labels, strict=True)]) > 0.8
    scores = classifier.predict_proba(texts)
    assert scores.shape == (29, 2) and scores.dtype == np.float64
    assert np.allclose(scores.sum(1), 1)
    metrics = classifier.evaluate(texts, labels)
    assert metrics["examples"] == 29 and metrics["accuracy"] > 0.8
    assert {"macro_f1", "loss", "seconds"} <= metrics.keys()


def test_one_text_is_answered_as_among_many(classifier):
    texts, _ = corpus(29, seed=2)
    together = classifier.predict_proba(texts)
    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])
    assert np.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_fewer_rows_than_a_batch(seed):
    fitted = TextClassifier(**{**TINY, "batch_size": 64, "seed": seed}).fit(*corpus(23))
    assert fitted.record["cost"]["steps"] == fitted.record["cost"]["epochs"]


def test_empty_and_endless_texts_are_classified(classifier):
    with pytest.warns(UserWarning, match="1 of 4 texts"):
        scores = classifier.predict_proba(["", " ", "wgoodw " * 200_000, "\N{SNOWMAN}"])
    assert np.isfinite(scores).all()
    assert classifier.predict([]) == [] and classifier.predict_proba([]).shape == (0, 2)


def test_whole_numbers_come_back_as_such(tmp_path):
    texts, labels = corpus(61, classes=(10, 9, -1))
    fitted = TextClassifier(**TINY).fit(texts, labels)
    assert fitted.labels == [-1, 9, 10]
    assert set(fitted.predict(texts)) <= {-1, 9, 10}
    fitted.save(tmp_path / "m")
    loaded = TextClassifier.load(tmp_path / "m", device="cpu")
    assert loaded.predict(texts) == fitted.predict(texts)
    assert loaded.evaluate(texts, labels)["examples"] == 61


def test_saved_and_loaded_is_the_same(classifier, tmp_path):
    texts, _ = corpus(13, seed=3)
    classifier.save(tmp_path / "m")
    loaded = TextClassifier.load(tmp_path / "m", device="cpu")
    assert np.array_equal(loaded.predict_proba(texts), classifier.predict_proba(texts))
    assert json.loads((tmp_path / "m" / "hypermixer.json").read_text()) == loaded.record
    assert (tmp_path / "m" / "model.safetensors").stat().st_mode == (tmp_path / "m" / "config.json").stat().st_mode


def test_write_that_fails_leaves_the_old_model(classifier, tmp_path, monkeypatch):
    classifier.save(tmp_path / "m")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    broken = TextClassifier(**TINY).fit(*corpus(41, seed=9))
    monkeypatch.setattr(json, "dumps", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.save(tmp_path / "m")
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before


def test_pairs():
    draw = random.Random(4)
    first, second = ([draw.choice(["red", "blue"]) for _ in range(120)] for _ in range(2))
    labels = ["same" if a == b else "other" for a, b in zip(first, second, strict=True)]
    fitted = TextClassifier(**{**TINY, "epochs": 20}).fit(first, labels, pairs=second)
    assert fitted.evaluate(first, labels, pairs=second)["accuracy"] > 0.9


def test_pairs_and_single_texts_are_not_taken_for_each_other(classifier):
    with pytest.raises(InputError, match=r"rows\[0\]"):
        classifier.predict(["a"], pairs=["b"])
    with pytest.raises(InputError, match=r"rows\[0\]"):
        classifier.evaluate(["a"], ["good"], pairs=["b"])


def test_fit_that_fails_changes_nothing(classifier, monkeypatch):
    texts, _ = corpus(17, seed=6)
    before, settings, record = classifier.predict_proba(texts), classifier.settings, classifier.record
    with pytest.raises(InputError):
        classifier.fit(["a", "b", "c"], ["x", "x", "x"], max_length=4, lr=0.5)
    monkeypatch.setattr("hypermixer.training.fit.fit", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        classifier.fit(*corpus(41), max_length=4, lr=0.5)
    assert (classifier.settings, classifier.record) == (settings, record)
    assert np.array_equal(classifier.predict_proba(texts), before)
    assert classifier.evaluate(texts, ["good"] * 17)["cut"] == 0


def test_setting_an_option_of_the_next_fit_does_not_change_answers(tmp_path):
    fitted = TextClassifier(**TINY).fit(*corpus(41))
    text = [" ".join(["film"] * 40) + " wgoodw"]
    before = fitted.predict_proba(text)
    fitted.settings = fitted.settings.replace(max_length=4)
    assert np.array_equal(fitted.predict_proba(text), before)


def test_loaded_goes_on_with_the_settings_it_was_made_with(classifier, tmp_path):
    classifier.save(tmp_path / "m")
    loaded = TextClassifier.load(tmp_path / "m", device="cpu")
    assert loaded.settings == classifier.settings
    again = loaded.fit(*corpus(83))
    texts, _ = corpus(13, seed=3)
    assert np.array_equal(again.predict_proba(texts), classifier.predict_proba(texts))


def test_longest_length_cuts_and_is_kept(tmp_path):
    texts, labels = corpus(41)
    fitted = TextClassifier(**TINY, max_length=4).fit(texts, labels)
    assert fitted.record["cost"]["cut"] > 0
    fitted.save(tmp_path / "m")
    assert TextClassifier.load(tmp_path / "m").settings.tokens.max_length == 4


@pytest.mark.parametrize(
    ("options", "name"),
    [({"learning_rate": 1}, "learning_rate"), ({"lr": -1}, "lr"), ({"mixer": "x"}, "mixer"), ({"heads": 7}, "heads")],
)
def test_wrong_options(options, name):
    with pytest.raises(InputError, match=name):
        TextClassifier(**options)


def test_wrong_data(classifier):
    with pytest.raises(InputError, match=r"rows\[1\]"):
        TextClassifier(**TINY).fit(["a", 5, "b"], ["x", "y", "x"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match=r"rows\[1\]"):
        classifier.evaluate(["a", "b"], ["good", "gud"])
    with pytest.raises(InputError):
        TextClassifier(**TINY).fit(["a", "b", "c"], ["x", "x", "x"])
    with pytest.raises(InputError, match=r"2.*3|3.*2"):
        classifier.evaluate(["a", "b", "c"], ["good", "bad"])
    with pytest.raises(InputError, match="fit"):
        TextClassifier().predict(["a"])


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """The directory of an encoder, with its tokenizer and what convert would write beside it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pretrained") / "encoder"
    tokenizer = train_tokenizer(corpus(83)[0])
    config = HyperMixerConfig(
        "attention", {"num_heads": 2}, vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2,
        intermediate_size=12, layout="post", position_embeddings=9, pooling="first", type_vocab_size=2,
    )  # fmt: skip
    directory.write(folder, HyperMixerModel(config), tokenizer, {"kind": "encoder"})
    return folder


FROM = {"epochs": 8, "lr": 1e-2, "batch_size": 8, "device": "cpu"}


def encoder_of(classifier):
    return {name: tensor.clone() for name, tensor in classifier.model.base_model.state_dict().items()}


def model_of(classifier: TextClassifier) -> Any:
    return classifier.model


def test_a_classifier_on_a_pretrained_encoder(pretrained, tmp_path):
    texts, labels = corpus(83)
    fitted = TextClassifier(pretrained=str(pretrained), **FROM, **{"training.pretrained_lr": 1.0}).fit(texts, labels)
    assert fitted.evaluate(*corpus(29, seed=1))["accuracy"] > 0.8
    config = model_of(fitted).config
    assert (config.mixer, config.mixer_options["num_heads"], config.pooling) == ("attention", 2, "first")
    assert (config.layout, config.hidden_size, config.position_embeddings) == ("post", 16, 9)
    before = HyperMixerModel.from_pretrained(pretrained).state_dict()
    assert any(not torch.equal(tensor, before[name]) for name, tensor in encoder_of(fitted).items())
    fitted.save(tmp_path / "m")
    loaded = TextClassifier.load(tmp_path / "m", device="cpu")
    assert np.array_equal(loaded.predict_proba(texts), fitted.predict_proba(texts))
    assert loaded.settings.encoder.pretrained == str(pretrained) and loaded.settings.mixer.name == "attention"
    again = loaded.fit(texts, labels)
    assert np.array_equal(again.predict_proba(texts), fitted.predict_proba(texts))


def test_a_frozen_encoder_stays_as_it_was(pretrained):
    fitted = TextClassifier(pretrained=str(pretrained), **FROM, **{"training.pretrained_lr": 0.0}).fit(*corpus(61))
    before = HyperMixerModel.from_pretrained(pretrained).state_dict()
    found = encoder_of(fitted)
    assert found.keys() == before.keys() and all(torch.equal(found[name], before[name]) for name in found)
    other = TextClassifier(pretrained=str(pretrained), **{**FROM, "seed": 1}, **{"training.pretrained_lr": 0.0})
    assert not torch.equal(model_of(other.fit(*corpus(61))).classifier.weight, model_of(fitted).classifier.weight)


def test_early_layers_learn_less(pretrained):
    options = {"training.pretrained_lr": 1.0, "training.layer_decay": 1e-6, "training.weight_decay": 0.0}
    fitted = TextClassifier(pretrained=str(pretrained), **FROM, **options).fit(*corpus(61))
    before = HyperMixerModel.from_pretrained(pretrained).state_dict()
    moved = {name: (tensor - before[name]).abs().max().item() for name, tensor in encoder_of(fitted).items()}
    last = [change for name, change in moved.items() if ".blocks.1." in name]
    rest = [change for name, change in moved.items() if ".blocks.1." not in name]
    assert min(last) > 1e-3 > 1e-5 > max(rest)


def test_a_classifier_can_be_built_on(classifier, tmp_path):
    """Of a classifier's directory its encoder is taken, with other classes on top."""
    classifier.save(tmp_path / "m")
    fitted = TextClassifier(pretrained=str(tmp_path / "m"), **FROM).fit(*corpus(61, classes=("x", "y", "z")))
    assert fitted.labels == ["x", "y", "z"] and model_of(fitted).config.mixer == "hypermixing"


def test_dropout_is_free_beside_a_pretrained_encoder(pretrained):
    options = {"encoder.hidden_dropout_prob": 0.25, "max_length": 6}
    fitted = TextClassifier(pretrained=str(pretrained), **{**FROM, "epochs": 1}, **options).fit(*corpus(61))
    assert model_of(fitted).config.hidden_dropout_prob == 0.25
    assert {block.dropout.p for block in model_of(fitted).model.encoder.blocks} == {0.25}
    assert fitted.record["max_length"] == 6


def test_another_encoder_brings_its_own_shape(pretrained, classifier, tmp_path):
    classifier.save(tmp_path / "m")
    first = TextClassifier(pretrained=str(pretrained), **{**FROM, "epochs": 1}).fit(*corpus(61))
    second = first.fit(*corpus(61), pretrained=str(tmp_path / "m"))
    config = model_of(second).config
    assert (config.mixer, config.layout, config.num_hidden_layers) == ("hypermixing", "pre", 1)


def test_what_a_pretrained_encoder_brings_is_refused_in_either_order(pretrained):
    with pytest.raises(InputError, match="d_model"):
        TextClassifier(pretrained=str(pretrained), d_model=32)
    with pytest.raises(InputError, match="pretrained"):
        TextClassifier(d_model=32).fit(*corpus(61), pretrained=str(pretrained))
    with pytest.raises(InputError, match="pretrained"):
        TextClassifier(mixer="fnet").fit(*corpus(61), pretrained=str(pretrained))


@pytest.mark.parametrize(
    "harm", ["missing", "file", "no weights", "damaged weights", "lost weight", "bert", "tokenizer"]
)
def test_pretrained_encoders_that_cannot_be_read_are_refused(pretrained, tmp_path, harm):
    place = tmp_path / "e"
    if harm == "file":
        place.write_text("a")
    elif harm != "missing":
        shutil.copytree(pretrained, place)
    match harm:
        case "no weights":
            (place / "model.safetensors").unlink()
        case "damaged weights":
            (place / "model.safetensors").write_bytes((place / "model.safetensors").read_bytes()[:500])
        case "lost weight":
            weights = load_file(place / "model.safetensors")
            del weights["encoder.blocks.1.norms.0.weight"]
            save_file(weights, place / "model.safetensors", {"format": "pt"})
        case "bert":
            config = json.loads((place / "config.json").read_text())
            (place / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
        case "tokenizer":
            (place / "tokenizer.json").unlink()
            (place / "tokenizer_config.json").unlink()
    with pytest.raises(InputError) as caught:
        TextClassifier(pretrained=str(place), **FROM).fit(*corpus(61))
    assert str(place) in str(caught.value) and "\n" not in str(caught.value)


def test_the_directory_of_an_encoder_is_no_classifier(pretrained):
    with pytest.raises(InputError, match=r"encoder") as caught:
        TextClassifier.load(pretrained)
    assert "\n" not in str(caught.value)
