"""Classifiers without token mixing or pretraining that every comparison starts from."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypermixer.data.example import Dataset
from hypermixer.data.labels import Labels
from hypermixer.errors import InputError
from hypermixer.studies import fast_text, tfidf
from hypermixer.training.pairs import is_paired, require_kind

#: Of training texts, validation texts and the class indices of both: class indices of any texts, what was chosen, and
#: seconds of one fit with it.
Method = Callable[
    [Dataset, Dataset, tuple[np.ndarray, np.ndarray]], tuple[Callable[[Dataset], np.ndarray], dict[str, Any], float]
]


@dataclass(frozen=True)
class Result:
    """A fitted baseline: called with a data set, it gives class indices, int [n].

    Attributes:
        labels: names of the classes.
        predict: from a data set to class indices.
        chosen: settings that were best on validation.
        train_seconds: of one fit with these settings, from texts to a model.
        search_seconds: of everything that was tried, that fit included.
        pairs: whether it takes pairs of texts.
    """

    labels: Labels
    predict: Callable[[Dataset], np.ndarray]
    chosen: dict[str, Any]
    train_seconds: float
    search_seconds: float
    pairs: bool

    def __call__(self, data: Dataset) -> np.ndarray:
        """Class indices, int [n].

        Raises:
            InputError: pairs where it takes single texts, or the other way round.
        """
        require_kind(data, self.pairs, "the training rows are")
        return self.predict(data) if len(data) else np.empty(0, np.int64)

    def wanted(self, data: Dataset) -> np.ndarray:
        """Class indices of the examples' own labels, int [n]; -1 for a label that training never saw.

        Raises:
            InputError: an example without a label.
        """
        return _indices(self.labels, data)

    def correct(self, data: Dataset) -> np.ndarray:
        """Which examples it answers with their own label, bool [n]; a label that training never saw is never right.

        Raises:
            InputError: as a call, or an example without a label.
        """
        return self(data) == self.wanted(data)

    def accuracy(self, data: Dataset) -> float:
        """The share of `correct` among at least one example.

        Raises:
            InputError: as `correct`, or no examples.
        """
        if not len(data):
            raise InputError(f"{data.name} holds no examples to answer.")
        return float(self.correct(data).mean())


@dataclass(frozen=True)
class Baseline:
    """A classifier to compare with.

    Attributes:
        label: what tables call it.
        method: fits it.
        load: loads its libraries, which is no part of the time that it takes.
        missing: why it cannot run here, in one sentence; None where it can.
    """

    label: str
    method: Method
    load: Callable[[], None]
    missing: Callable[[], str | None] = lambda: None

    def fit(self, train: Dataset, validation: Dataset) -> Result:
        """Fit to labelled examples, with the settings that do best on validation.

        Raises:
            InputError: a label is missing, training has one class only, there are no validation examples, no text holds
                a word, pairs among single texts, or the baseline's library is not installed.
            WorkError: no setting gives a model.
        """
        labels = Labels.fit(train.examples, source=train.name)
        pairs = is_paired(train)
        require_kind(validation, pairs, "the training rows are")
        if not len(validation):
            raise InputError(f"{validation.name} holds no examples to choose settings by.")
        wanted = _indices(labels, train), _indices(labels, validation)
        self.load()
        start = time.perf_counter()
        predict, chosen, once = self.method(train, validation, wanted)
        return Result(labels, predict, chosen, once, time.perf_counter() - start, pairs)


BASELINES: dict[str, Baseline] = {
    "tfidf": Baseline("TF-IDF + logistic regression", tfidf.fit, tfidf.load),
    "fasttext": Baseline("fastText", fast_text.fit, fast_text.load, fast_text.missing),
}


def _indices(labels: Labels, data: Dataset) -> np.ndarray:
    """Class indices, int [n]; -1 for a label that training never saw."""
    index_of = {name: index for index, name in enumerate(labels.names)}
    found = []
    for example in data.examples:
        if example.label is None:
            raise InputError(f"{example.origin} has no label.")
        found.append(index_of.get(example.label, -1))
    return np.array(found, dtype=np.int64)
