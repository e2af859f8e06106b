"""A baseline as a cell: fitted, then its accuracy on the texts chosen by and reported on."""

import time
from typing import Any

from hypermixer.data.example import Dataset
from hypermixer.data.parts import Texts, parts_of
from hypermixer.studies.baselines import BASELINES, Result
from hypermixer.studies.correctness import packed

#: Score of a class that is never right; scikit-learn takes a number, though it declares text.
_NO_F1: Any = 0


def run(config: dict[str, Any], texts: Texts) -> dict[str, Any]:
    """Fit the baseline `config["name"]`.

    Returns:
        `metrics` and `correct` by part, `cost` (`train_seconds`: one fit with the chosen settings; `search_seconds`:
        everything that was tried), and what was `chosen`.
    """
    parts = parts_of(texts)
    result = BASELINES[config["name"]].fit(parts.train, parts.evaluation)
    named = {"evaluation": parts.evaluation, "test": parts.test}
    answers = {name: _answers(result, data) for name, data in named.items() if data is not None}
    return {
        "metrics": {name: answer[0] for name, answer in answers.items()},
        "correct": {name: answer[1] for name, answer in answers.items()},
        "cost": {
            "train_seconds": result.train_seconds,
            "search_seconds": result.search_seconds,
            "examples": len(parts.train),
        },
        "chosen": result.chosen,
    }


def _answers(result: Result, data: Dataset) -> tuple[dict[str, Any], str]:
    from sklearn.metrics import f1_score

    start = time.perf_counter()
    predicted = result(data)
    seconds = time.perf_counter() - start
    wanted = result.wanted(data)
    correct = predicted == wanted
    metrics = {
        "accuracy": float(correct.mean()),
        "macro_f1": float(f1_score(wanted, predicted, average="macro", zero_division=_NO_F1)),
        "examples": len(data),
        "seconds": seconds,
    }
    return metrics, packed(correct)
