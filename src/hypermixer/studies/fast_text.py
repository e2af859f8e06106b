"""fastText (Joulin et al. 2017, arXiv 1607.01759): a linear model on the mean of learnt word and bigram vectors."""

import re
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from hypermixer.data.example import Dataset, Example
from hypermixer.errors import InputError, WorkError

#: What is tried, the best on validation taken. Width 10 and 5 epochs are the paper's for classification.
GRID = {"lr": (0.1, 0.5), "epoch": (5, 25), "wordNgrams": (1, 2)}
_WIDTH = 10
_PACKAGE = "fasttext-community"
#: More threads would race, and no run would repeat.
_THREADS = 1
#: Neither can stand at the head of a word, since a colon is always a word by itself.
_LABEL, _SECOND = "::", "2:"
_WORD = re.compile(r"\w+|[^\w\s]")


def missing() -> str | None:
    """Why fastText cannot run here, in one sentence; None where it can.

    Other builds of the module `fasttext` will not do: up to version 0.10, one thread sets only a tenth of the vectors
    and trains on whatever the rest of the memory holds.
    """
    try:
        version(_PACKAGE)
    except PackageNotFoundError:
        return f"fastText ({_PACKAGE}) is not installed: pip install 'hypermixer[fasttext]'."
    return None


def load() -> None:
    """Load fastText where it is installed."""
    if missing() is None:
        import fasttext  # noqa: F401


def fit(
    train: Dataset, validation: Dataset, wanted: tuple[np.ndarray, np.ndarray]
) -> tuple[Callable[[Dataset], np.ndarray], dict[str, Any], float]:
    """fastText on lower-case words and signs; those of a second text are told apart from those of the first.

    Learning rate, epochs and n-grams are those of `GRID` with the best accuracy on validation.

    Args, Returns: as `hypermixer.studies.tfidf.fit`.

    Raises:
        InputError: fastText is not installed.
        WorkError: it diverges for all of the grid.
    """
    reason = missing()
    if reason is not None:
        raise InputError(reason)
    commonest = int(np.bincount(wanted[0]).argmax())
    best: tuple[float, Any, dict[str, Any], float] | None = None
    with tempfile.TemporaryDirectory(prefix="hypermixer-fasttext-") as folder:
        start = time.perf_counter()
        path = Path(folder) / "train.txt"
        lines = (f"{_LABEL}{k} {_line(e)}\n" for k, e in zip(wanted[0], train.examples, strict=True))
        path.write_text("".join(lines), encoding="utf-8")
        writing = time.perf_counter() - start
        for values in product(*GRID.values()):
            options = dict(zip(GRID, values, strict=True))
            start = time.perf_counter()
            model = _trained(path, options)
            seconds = writing + time.perf_counter() - start
            if model is None:
                continue
            accuracy = float((_predicted(model, validation, commonest) == wanted[1]).mean())
            if best is None or accuracy > best[0]:
                best = accuracy, model, options, seconds
    if best is None:
        raise WorkError(f"{train.name}: fastText diverges with every learning rate of {GRID['lr']}.")
    _, model, options, seconds = best
    return lambda data: _predicted(model, data, commonest), options, seconds


def _trained(text: Path, options: dict[str, Any]) -> Any | None:
    """A fastText model; None where it diverged."""
    import fasttext

    how = {"dim": _WIDTH, "thread": _THREADS, "seed": 0, "label": _LABEL, "verbose": 0}
    try:
        return fasttext.train_supervised(str(text), **how, **options)
    except RuntimeError as error:
        if "NaN" in str(error):
            return None
        raise


def _predicted(model: Any, data: Dataset, otherwise: int) -> np.ndarray:
    """Class indices, int [n]; `otherwise` for a text of which fastText knows nothing."""
    if not data.examples:
        return np.empty(0, np.int64)
    labels, _ = model.predict([_line(example) for example in data.examples])
    return np.array([int(first[0].removeprefix(_LABEL)) if first else otherwise for first in labels])


def _line(example: Example) -> str:
    words = _WORD.findall(example.text.lower())
    words += [_SECOND + word for word in _WORD.findall((example.pair or "").lower())]
    return " ".join(words)
