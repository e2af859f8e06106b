"""TF-IDF and logistic regression: what counting words alone can do."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hypermixer.data.example import Dataset
from hypermixer.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    Features = Callable[[Dataset], csr_matrix]

#: Inverse strengths of the regularisation, of which the best on validation is taken.
STRENGTHS = (3.0, 10.0, 30.0)
_STEPS = 1000


def load() -> None:
    """Load scikit-learn, whose import takes longer than a small fit."""
    import sklearn.feature_extraction.text
    import sklearn.linear_model  # noqa: F401


def fit(
    train: Dataset, validation: Dataset, wanted: tuple[np.ndarray, np.ndarray]
) -> tuple[Callable[[Dataset], np.ndarray], dict[str, Any], float]:
    """A linear model on TF-IDF (1 + log tf) of words and pairs of neighbouring words.

    Of two texts u and v it sees either u, v, |u - v|, u * v and their cosine, or the words of both as one text. Which
    of the two, and C of the logistic regression, are those with the best accuracy on validation.

    Args:
        train, validation: texts.
        wanted: their class indices, int [n] each; -1 stands for a class that training does not have.

    Returns:
        The class indices [n] that it gives to a data set, what was chosen, and seconds of one fit with it: counting
        words and fitting the model.

    Raises:
        InputError: no training text holds a word.
    """
    from sklearn.linear_model import LogisticRegression

    best: tuple[float, Any, Features, dict[str, Any], float] | None = None
    for name, learn in _views(train):
        start = time.perf_counter()
        features = learn()
        inputs = features(train)
        counting = time.perf_counter() - start
        held_out = features(validation)
        for strength in STRENGTHS:
            start = time.perf_counter()
            model = LogisticRegression(C=strength, max_iter=_STEPS).fit(inputs, wanted[0])
            seconds = counting + time.perf_counter() - start
            accuracy = float((model.predict(held_out) == wanted[1]).mean())
            if best is None or accuracy > best[0]:
                best = accuracy, model, features, {"features": name, "C": strength}, seconds
    assert best is not None
    _, model, features, chosen, seconds = best
    return lambda data: model.predict(features(data)), chosen, seconds


def _views(train: Dataset) -> "Iterator[tuple[str, Callable[[], Features]]]":
    """Names of the ways to look at texts, and what learns each from the training texts."""
    if train.examples[0].pair is None:
        yield "words", lambda: _transform(_vectors(_singles(train), train.name), _singles)
        return
    yield "comparison", lambda: partial(_comparison, _vectors(list(train.texts()), train.name))
    yield "both as one text", lambda: _transform(_vectors(_joined(train), train.name), _joined)


def _transform(vectors: "TfidfVectorizer", texts: Callable[[Dataset], list[str]]) -> "Features":
    return lambda data: vectors.transform(texts(data))


def _singles(data: Dataset) -> list[str]:
    return [e.text for e in data.examples]


def _vectors(texts: list[str], source: str) -> "TfidfVectorizer":
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    words = vectors.build_analyzer()
    if not any(words(text) for text in texts):
        raise InputError(f"{source}: no text holds a word of two letters or more, so TF-IDF has nothing to count.")
    return vectors.fit(texts)


def _joined(data: Dataset) -> list[str]:
    return [f"{e.text} {e.pair}" for e in data.examples]


def _comparison(vectors: "TfidfVectorizer", data: Dataset) -> "csr_matrix":
    from scipy import sparse

    u = vectors.transform([e.text for e in data.examples])
    v = vectors.transform([e.pair or "" for e in data.examples])
    product = u.multiply(v)
    # Rows have unit length, so the sum is the cosine.
    return sparse.csr_matrix(sparse.hstack([u, v, abs(u - v), product, sparse.csr_matrix(product.sum(1))]))
