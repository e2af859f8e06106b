"""A baseline as a cell: fitted, then its accuracy on the texts chosen by and reported on."""

import time
from typing import Any

from hypermixer.data.example import Dataset
from hypermixer.data.parts import Texts, parts_of
from hypermixer.studies.baselines import BASELINES, Result
from hypermixer.studies.correctness import packed


def run(config: dict[str, Any], texts: Texts) -> dict[str, Any]:
    """Fit the baseline `config["name"]`.

    Returns:
        `metrics` and `correct` by part, `cost` (`train_seconds`: every setting that was tried), and what was `chosen`.
    """
    parts = parts_of(texts)
    result = BASELINES[config["name"]].fit(parts.train, parts.evaluation)
    named = {"evaluation": parts.evaluation, "test": parts.test}
    answers = {name: _answers(result, data) for name, data in named.items() if data is not None}
    return {
        "metrics": {name: answer[0] for name, answer in answers.items()},
        "correct": {name: answer[1] for name, answer in answers.items()},
        "cost": {"train_seconds": result.seconds, "examples": len(parts.train)},
        "chosen": result.chosen,
    }


def _answers(result: Result, data: Dataset) -> tuple[dict[str, Any], str]:
    start = time.perf_counter()
    correct = result.correct(data)
    seconds = time.perf_counter() - start
    return {"accuracy": float(correct.mean()), "examples": len(data), "seconds": seconds}, packed(correct)
