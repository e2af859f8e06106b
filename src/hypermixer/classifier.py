"""`TextClassifier`: fit, predict, evaluate, save and load; the command line is a thin layer over it."""

import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hypermixer.data.batches import EncodedRows
from hypermixer.data.example import Dataset
from hypermixer.data.labels import Labels
from hypermixer.data.sources import from_lists
from hypermixer.data.tokens import encode
from hypermixer.errors import InputError
from hypermixer.inference import Progress, logits_of
from hypermixer.settings import DataSettings, Settings
from hypermixer.training import checkpoints, directory
from hypermixer.training.metrics import classification_metrics, per_class, probabilities
from hypermixer.training.output import require_out
from hypermixer.training.pairs import is_paired, require_kind
from hypermixer.training.precision import choose_device

if TYPE_CHECKING:
    from hypermixer.training.fit import Fitted, Prepared


@dataclass(frozen=True)
class Predictions:
    """Answers to a data set.

    Attributes:
        probabilities: of the classes, float64 [n, C], rows in the order of the examples.
        cut: how many examples were longer than the model's greatest length and lost tokens.
    """

    probabilities: np.ndarray
    cut: int


class TextClassifier:
    """A classifier of texts, or of pairs of texts.

    Args:
        options: as the flags of `hypermixer train`, with underscores (`mixer="attention"`, `layers=2`, `lr=1e-3`,
            `seed=1`, `device="cpu"`, ...); a parameter without a flag goes by its section
            (`**{"training.patience": 5}`).

    Attributes:
        settings: of the next fit; those of the last one that succeeded, or of the model that was loaded.
        record: what `hypermixer.json` holds: data, metrics, cost, settings, versions; empty before the first fit.

    Raises:
        InputError: an unknown option, or a value out of range.

    Example:
        >>> classifier = TextClassifier(layers=2, epochs=3).fit(texts, labels)
        >>> classifier.predict(["A text that nobody has seen."])
    """

    def __init__(self, **options: Any):
        self.settings = Settings().replace(**options)
        self.record: dict[str, Any] = {}
        self._model: PreTrainedModel | None = None
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._labels: Labels | None = None

    @property
    def labels(self) -> list[str] | list[int]:
        """The classes, in the order of the columns of `predict_proba`; whole numbers where `fit` was given such."""
        return [self._outward(name) for name in self._fitted_labels().names]  # pyright: ignore[reportReturnType]

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[str] | Sequence[int],
        pairs: Sequence[str] | None = None,
        **options: Any,
    ) -> "TextClassifier":
        """Train on labelled texts; a tenth of them (2,000 at most, drawn evenly from the labels) is held out to choose
        the best weights.

        Args:
            texts: n texts.
            labels: n labels.
            pairs: n second texts, for a classifier of pairs.
            options: as in the constructor; they stay set when the fit has succeeded.

        Returns:
            This classifier.

        Raises:
            InputError: a wrong option, a text that is no text, a missing label, one class only.
            WorkError: the loss is no longer a number, or memory ran out.
        """
        # A Trainer takes seconds to import, which prediction is to be spared.
        from hypermixer.training.fit import fit, prepare

        settings = self.settings.replace(**options)
        train, held_out = from_lists(texts, labels, pairs).split_off(seed=settings.runtime.seed)
        whole_numbers = all(isinstance(label, int | np.integer) and not isinstance(label, bool) for label in labels)
        prepared = prepare(train, held_out, settings)
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit(prepared, Path(folder) / checkpoints.FOLDER)
        self._adopt(prepared, fitted, "int" if whole_numbers else "str")
        return self

    def fit_dataset(
        self,
        train: Dataset,
        evaluation: Dataset,
        out: Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
    ) -> "TextClassifier":
        """Train on a data set and write the model directory `out`; checkpoints stand in it until the end.

        A model that stood in `out` stays until the new one is finished.

        Args:
            train, evaluation: labelled examples.
            out: the model directory.
            resume: take up the interrupted run in `out`.
            overwrite: replace a model or an interrupted run in `out`.
            progress: called with steps done and steps in all.

        Raises:
            InputError: `out` holds a model or an interrupted run and neither is asked for, or cannot be written; and
                what `fit` raises.
            WorkError: as `fit`.
        """
        from hypermixer.training.fit import fit, prepare

        folder = require_out(out, resume=resume, overwrite=overwrite)
        prepared = prepare(train, evaluation, self.settings)
        self._adopt(prepared, fit(prepared, folder, resume=resume, progress=progress), "str")
        self.save(out)
        checkpoints.remove(folder)
        return self

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[str] | list[int]:
        """The most probable class of each text, in order; whole numbers where `fit` was given such."""
        names = self._fitted_labels().names
        chosen = self._answers(texts, pairs).argmax(-1)
        return [self._outward(names[i]) for i in chosen]  # pyright: ignore[reportReturnType] - all of one type

    def predict_proba(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities of the classes, float64 [n, C], rows in the order of `texts`, columns in that of `labels`.

        Warns where texts were cut to the model's longest length.
        """
        return self._answers(texts, pairs)

    def _answers(self, texts: Sequence[str], pairs: Sequence[str] | None) -> np.ndarray:
        """Probabilities; to be called by what the user called, at which warnings point."""
        if not len(texts):
            return np.zeros((0, len(self.labels)))
        predictions = self.predict_dataset(from_lists(texts, None, pairs))
        if predictions.cut:
            warnings.warn(
                f"{predictions.cut:,} of {len(texts):,} texts are longer than {self.record['max_length']} tokens and"
                " were cut.",
                stacklevel=3,
            )
        return predictions.probabilities

    def evaluate(
        self, texts: Sequence[str], labels: Sequence[str] | Sequence[int], pairs: Sequence[str] | None = None
    ) -> dict[str, float]:
        """`accuracy` and `macro_f1` in [0, 1], `loss` in nats, `examples`, how many of them were `cut` to the greatest
        length, `dropped` rows that their source marks as having no gold label, and the `seconds` it took.

        Raises:
            InputError: a label that training never saw (with its row), rows that do not fit together, pairs for a
                classifier of single texts, or the reverse.
        """
        return self.evaluate_dataset(from_lists(texts, labels, pairs))

    def predict_dataset(
        self, data: Dataset, *, batch_size: int | None = None, progress: Progress | None = None
    ) -> Predictions:
        """Probabilities of the examples; labels are not looked at.

        Raises:
            InputError: an example is a pair where training had single texts, or the reverse; names its origin.
        """
        logits, cut = self._logits(data, batch_size, progress)
        return Predictions(probabilities(logits), cut)

    def evaluate_dataset(
        self, data: Dataset, *, batch_size: int | None = None, progress: Progress | None = None, classes: bool = False
    ) -> dict[str, Any]:
        """As `evaluate`; with `classes` also `per_class`: precision, recall, f1 and examples of each class."""
        start = time.perf_counter()
        labels = self._fitted_labels()
        wanted = np.array([labels.index(example.label, example.origin) for example in data.examples])
        logits, cut = self._logits(data, batch_size, progress)
        metrics = classification_metrics(logits, wanted)
        counts = {"examples": len(data), "cut": cut, "dropped": data.dropped}
        seconds = {"seconds": round(time.perf_counter() - start, 3)}
        return metrics | counts | seconds | ({"per_class": per_class(logits, wanted, labels.names)} if classes else {})

    @property
    def model(self) -> "PreTrainedModel | None":
        """The Hugging Face model; None before `fit`."""
        return self._model

    def save(self, path: str | Path) -> None:
        """Write a model directory (config.json, model.safetensors, tokenizer, hypermixer.json), whole or not at all."""
        self._fitted_labels()
        assert self._model is not None and self._tokenizer is not None
        directory.write(Path(path), self._model, self._tokenizer, self.record)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "TextClassifier":
        """A classifier from a model directory; a further fit takes the settings of the one that made it.

        Raises:
            InputError: the directory is missing, damaged or of another kind, its weights are a pickle, or the device
                is not there.
        """
        model, tokenizer, record = directory.read(Path(path), choose_device(device))
        settings = Settings.from_dict(record["settings"], f"{Path(path) / directory.RECORD}: settings")
        classifier = cls()
        # Columns and splits belong to the data of that fit.
        classifier.settings = replace(settings, data=DataSettings()).replace(device=device)
        classifier.record = record
        classifier._model, classifier._tokenizer, classifier._labels = model, tokenizer, Labels(tuple(record["labels"]))
        return classifier

    def _adopt(self, prepared: "Prepared", fitted: "Fitted", label_type: str) -> None:
        """Become what was fitted; before this, a fit that fails has changed nothing."""
        settings = prepared.settings
        self.settings = settings
        self._model, self._tokenizer, self._labels = fitted.model, fitted.tokenizer, fitted.labels
        self.record = {
            "labels": list(fitted.labels.names),
            "label_type": label_type,
            "max_length": prepared.max_length,
            "pairs": is_paired(prepared.train),
            "data": {"train": _described(prepared.train), "evaluation": _described(prepared.evaluation)},
            "metrics": fitted.metrics,
            "cost": fitted.cost,
            "settings": settings.as_dict(),
            "environment": fitted.environment,
        }

    def _logits(self, data: Dataset, batch_size: int | None, progress: Progress | None) -> tuple[np.ndarray, int]:
        """Logits, float32 [n, C], and how many examples were cut."""
        self._fitted_labels()
        assert self._model is not None and self._tokenizer is not None
        require_kind(data, self.record["pairs"], "the model was trained on")
        encoded = encode(self._tokenizer, data.examples, self.record["max_length"])
        rows = EncodedRows(encoded.input_ids, encoded.token_type_ids)
        pad_id = self._model.config.pad_token_id
        logits = logits_of(self._model, rows, pad_id=pad_id, batch_size=batch_size, progress=progress)
        return logits, encoded.cut

    def _fitted_labels(self) -> Labels:
        if self._labels is None:
            raise InputError("This classifier has not been fitted: call fit, or TextClassifier.load.")
        return self._labels

    def _outward(self, name: str) -> str | int:
        return int(name) if self.record.get("label_type") == "int" else name


def _described(data: Dataset) -> dict[str, Any]:
    columns = {"text": data.columns.text, "pair": data.columns.pair, "label": data.columns.label}
    return {
        "source": data.name,
        "split": data.split,
        "examples": len(data),
        "dropped": data.dropped,
        "fingerprint": data.fingerprint,
        "columns": columns,
    }
