"""`TextClassifier`: the whole round in Python."""

import json
import random

import numpy as np
import pytest

from hypermixer import TextClassifier
from hypermixer.errors import InputError

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
