"""A training run as a cell: metrics and correctness on the texts chosen by and reported on, cost, environment.

What this module imports is what a training cell's key depends on, so it imports nothing of how cells are kept or shown.
"""

import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from hypermixer.data.batches import EncodedRows
from hypermixer.data.example import Dataset
from hypermixer.data.parts import Texts, parts_of
from hypermixer.data.tokens import encode
from hypermixer.errors import Diverged
from hypermixer.inference import Progress, logits_of
from hypermixer.settings import Settings
from hypermixer.studies.correctness import packed
from hypermixer.training.fit import Fitted, Prepared, fit, prepare
from hypermixer.training.metrics import classification_metrics


def run(config: dict[str, Any], texts: Texts, progress: Progress | None = None) -> dict[str, Any]:
    """Train with these settings on these texts.

    Returns:
        `metrics` and `correct` by part (`evaluation`, and `test` where there is one), `cost`, `environment`; or, of a
        run that diverged, `outcome`, `why`, and `chance`: the accuracy of the commonest label.
    """
    parts = parts_of(texts)
    prepared = prepare(parts.train, parts.evaluation, Settings.from_dict(config, "cell"))
    with tempfile.TemporaryDirectory(prefix="hypermixer-cell-") as folder:
        try:
            fitted = fit(prepared, Path(folder) / "run", progress=progress)
        except Diverged as error:
            return {"outcome": "diverged", "why": str(error), "chance": _chance(parts.evaluation)}
    named = {"evaluation": parts.evaluation, "test": parts.test}
    answers = {name: _answers(prepared, fitted, data) for name, data in named.items() if data is not None}
    return {
        "outcome": "done",
        "metrics": {name: answer[0] for name, answer in answers.items()},
        "correct": {name: packed(answer[1]) for name, answer in answers.items()},
        "cost": fitted.cost,
        "environment": fitted.environment,
    }


def _chance(data: Dataset) -> float:
    """Accuracy of the commonest label: what a run that diverged is counted as, where it must count."""
    return max(Counter(example.label for example in data.examples).values()) / len(data)


def _answers(prepared: Prepared, fitted: Fitted, data: Dataset) -> tuple[dict[str, Any], np.ndarray]:
    """Metrics, and which examples were answered rightly."""
    encoded = encode(prepared.tokenizer, data.examples, prepared.max_length)
    wanted = np.array([prepared.labels.index(example.label, example.origin) for example in data.examples])
    rows = EncodedRows(encoded.input_ids, encoded.token_type_ids)
    start = time.perf_counter()
    logits = logits_of(fitted.model, rows, pad_id=fitted.model.config.pad_token_id)
    seconds = time.perf_counter() - start
    metrics = classification_metrics(logits, wanted)
    return {**metrics, "examples": len(data), "cut": encoded.cut, "seconds": seconds}, logits.argmax(-1) == wanted
