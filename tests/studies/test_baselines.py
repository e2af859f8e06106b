"""Baselines: they learn what counting words can, choose on validation, and repeat."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from hypermixer.data import Dataset, Example, load
from hypermixer.data.parts import Texts
from hypermixer.errors import InputError, WorkError
from hypermixer.studies import fast_text, tfidf
from hypermixer.studies.baseline_run import run
from hypermixer.studies.baselines import BASELINES

NO_FASTTEXT = fast_text.missing()
NAMES = ["tfidf", pytest.param("fasttext", marks=pytest.mark.skipif(NO_FASTTEXT is not None, reason=str(NO_FASTTEXT)))]
every_baseline = pytest.mark.parametrize("name", NAMES)


def dataset(*rows: tuple[str, str | None, str | None]) -> Dataset:
    return Dataset.of("t.csv", [Example(*row, f"t.csv:{i + 2}") for i, row in enumerate(rows)])


def films(count: int, seed: int) -> Dataset:
    """The label is one word among others."""
    random = np.random.default_rng(seed)
    words = {"bad": ["poor", "awful"], "good": ["fine", "great"], "odd": ["strange", "queer"]}
    rows = []
    for _ in range(count):
        label = str(random.choice(list(words)))
        text = [*random.choice(["the", "film", "was", "and"], random.integers(1, 6)), random.choice(words[label])]
        rows.append((" ".join(random.permutation(text)), None, label))
    return dataset(*rows)


@every_baseline
def test_learns_words_and_repeats(name):
    train, validation, test = films(300, 0), films(50, 1), films(70, 2)
    result = BASELINES[name].fit(train, validation)
    assert result.accuracy(test) == 1
    again = BASELINES[name].fit(train, validation)
    assert (result(test) == again(test)).all() and result.chosen == again.chosen
    assert 0 < result.train_seconds < result.search_seconds
    names = np.array(result.labels.names)[result(test)]
    assert names.tolist() == [e.label for e in test.examples]


@every_baseline
def test_one_fit_and_the_search_are_told_apart_and_imports_are_in_neither(name, monkeypatch, one_setting):
    """Four settings that take ten seconds each, the third the best; loading takes a thousand."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    baseline = BASELINES[name]

    def load() -> None:
        now[0] += 1000
        baseline.load()

    def slow(there):
        def run(*args, **kwargs):
            now[0] += 10
            return there(*args, **kwargs)

        return run

    if name == "tfidf":
        monkeypatch.setattr(tfidf, "STRENGTHS", (1e-9, 1e-8, 10.0, 1e-8))
        monkeypatch.setattr("sklearn.linear_model.LogisticRegression.fit", slow(LogisticRegression.fit))
        monkeypatch.setattr(tfidf, "_vectors", slow(tfidf._vectors))
        once, search = 20, 50
    else:
        monkeypatch.setattr(fast_text, "GRID", {"lr": (1e-9, 1e-8, 0.5, 1e-8), "epoch": (25,), "wordNgrams": (1,)})
        monkeypatch.setattr(fast_text, "_trained", slow(fast_text._trained))
        once, search = 10, 40
    result = replace(baseline, load=load).fit(films(300, 0), films(50, 1))
    assert (result.train_seconds, result.search_seconds) == (once, search)


def test_a_row_has_macro_f1_and_both_times(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("text,label\n" + "".join(f"{e.text},{e.label}\n" for e in films(100, 0).examples))
    test = tmp_path / "test.csv"
    test.write_text("text,label\na great film,good\na fine film,good\na poor film,odd\na film that is queer,odd\n")
    row = run({"name": "tfidf"}, Texts(source=str(path), test=str(test)))
    # good: right twice of two; odd: F1 2/3; bad, which is answered once and stands nowhere: 0
    assert row["metrics"]["test"]["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert row["metrics"]["test"]["accuracy"] == 0.75 and "macro_f1" in row["metrics"]["evaluation"]
    assert 0 < row["cost"]["train_seconds"] < row["cost"]["search_seconds"]


@every_baseline
def test_pairs_of_the_built_in_inference_task(name):
    train, validation = (load("builtin:nli,n=1500", split=split) for split in ("train", "validation"))
    result = BASELINES[name].fit(train, validation)
    assert result.accuracy(validation) > 0.5  # a third by chance
    with pytest.raises(InputError, match="pairs of texts"):
        result(films(3, 0))


def test_a_label_that_depends_on_both_texts_needs_the_comparison():
    random = np.random.default_rng(0)
    words = ["red", "green", "blue", "grey", "pink", "teal"]

    def rows(count):
        pairs = [(one, one if random.random() < 0.5 else random.choice(words)) for one in random.choice(words, count)]
        return dataset(*[(u, str(v), "same" if u == v else "other") for u, v in pairs])

    result = BASELINES["tfidf"].fit(rows(300), rows(60))
    assert result.chosen["features"] == "comparison" and result.accuracy(rows(100)) == 1


@pytest.fixture
def one_setting(monkeypatch):
    monkeypatch.setattr(fast_text, "GRID", {"lr": (0.5,), "epoch": (25,), "wordNgrams": (1,)})


@every_baseline
def test_labels_that_the_other_part_lacks(name, one_setting):
    train, validation = films(200, 0), films(40, 1)
    one = dataset(("a great film", None, "good"))
    assert BASELINES[name].fit(train, one).accuracy(one) == 1
    words_of_every_class = [Example(word, None, "splendid", "t.csv:3") for word in ("great", "poor", "queer")]
    unseen = replace(one, examples=[*one.examples, *words_of_every_class])
    assert BASELINES[name].fit(train, unseen).correct(unseen).tolist() == [True, False, False, False]
    result = BASELINES[name].fit(train, validation)
    assert result(dataset()).shape == (0,)
    for wrong, words in ((dataset(), "no examples"), (dataset(("great", None, None)), r"t\.csv:2 has no label")):
        with pytest.raises(InputError, match=words):
            result.accuracy(wrong)


@every_baseline
def test_awkward_texts(name, one_setting):
    texts = [
        "",
        " ",
        "\n\n",
        "__label__1 ::0 great",
        "2:great </s>",
        "great\x00film\u2028",
        "ÄÖ 中文 " * 500,
    ]
    result = BASELINES[name].fit(films(200, 0), films(40, 1))
    answers = result(dataset(*[(text, None, None) for text in texts]))
    assert answers.shape == (len(texts),) and set(answers) <= {0, 1, 2}
    odd = dataset(*[(text, None, str(i % 2)) for i, text in enumerate(texts)])
    assert BASELINES[name].fit(odd, odd)(odd).shape == (len(texts),)


@every_baseline
def test_wrong_requests(name):
    train = films(20, 0)
    pair = dataset(("a", "b", "good"))
    for data, validation, words in (
        (train, dataset(), "no examples to choose"),
        (train, pair, "pair of texts"),
        (dataset(("a film", None, "x"), ("film", None, "x")), train, "at least two labels"),
        (dataset(("a film", None, "x"), ("film", None, None)), train, "no label"),
    ):
        with pytest.raises(InputError, match=words):
            BASELINES[name].fit(data, validation)


def test_texts_without_a_word():
    empty = dataset(("", None, "x"), ("? !", None, "y"))
    with pytest.raises(InputError, match=r"t\.csv: no text holds a word"):
        BASELINES["tfidf"].fit(empty, empty)


def test_c_is_chosen_on_validation(monkeypatch):
    # So strongly regularised, the model knows the commonest label only.
    monkeypatch.setattr(tfidf, "STRENGTHS", (1e-9, 10.0, 1e-8))
    train = replace(films(300, 0), examples=[*films(300, 0).examples, *[Example("the", None, "bad", "x")] * 200])
    assert BASELINES["tfidf"].fit(train, films(50, 1)).chosen == {"features": "words", "C": 10.0}


@pytest.mark.skipif(NO_FASTTEXT is not None, reason=str(NO_FASTTEXT))
def test_fasttext_that_diverges(monkeypatch):
    monkeypatch.setattr(fast_text, "GRID", {"lr": (1e9, 0.5), "epoch": (5,), "wordNgrams": (1,)})
    assert BASELINES["fasttext"].fit(films(300, 0), films(50, 1)).chosen["lr"] == 0.5
    monkeypatch.setattr(fast_text, "GRID", {"lr": (1e9,), "epoch": (5,), "wordNgrams": (1,)})
    with pytest.raises(WorkError, match="diverges"):
        BASELINES["fasttext"].fit(films(300, 0), films(50, 1))


def test_fasttext_where_it_is_not_installed(monkeypatch):
    monkeypatch.setattr(fast_text, "_PACKAGE", "fasttext-that-nobody-made")
    assert "hypermixer[fasttext]" in (BASELINES["fasttext"].missing() or "")
    with pytest.raises(InputError, match=r"pip install"):
        BASELINES["fasttext"].fit(films(20, 0), films(5, 1))
    assert BASELINES["tfidf"].missing() is None


def test_words_of_the_two_texts_are_told_apart():
    assert fast_text._line(Example("It's A", "a ::0", None, "x")) == "it ' s a 2:a 2:: 2:: 2:0"
