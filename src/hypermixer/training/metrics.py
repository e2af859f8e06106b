"""Numbers that say how good a classifier is."""

from typing import Any

import numpy as np

#: Score of a class that is never right; scikit-learn takes a number, though it declares text.
_NO_F1: Any = 0


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64: rows sum to 1. Shapes: [n, C] -> [n, C]."""
    exponent = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return exponent / exponent.sum(axis=-1, keepdims=True)


def classification_metrics(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy, macro-F1 and mean cross-entropy.

    Args:
        logits: [n, C], n at least 1.
        labels: class numbers, [n].

    Returns:
        `accuracy` and `macro_f1` in [0, 1], `loss` in nats. Macro-F1 is the mean over the classes that occur in
        `labels` or among the predictions.
    """
    from sklearn.metrics import f1_score

    predicted = logits.argmax(-1)
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    log_likelihood = shifted[np.arange(len(labels)), labels] - np.log(np.exp(shifted).sum(-1))
    return {
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=_NO_F1)),
        "loss": float(-log_likelihood.mean()),
    }


def per_class(logits: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """One row a class: `label`, `precision`, `recall`, `f1` in [0, 1], `examples`. Shapes as above."""
    from sklearn.metrics import precision_recall_fscore_support

    scores = precision_recall_fscore_support(
        labels, logits.argmax(-1), labels=np.arange(len(names)), zero_division=_NO_F1
    )
    precision, recall, f1, support = (np.asarray(column) for column in scores)
    return [
        {
            "label": name,
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "examples": int(support[i]),
        }
        for i, name in enumerate(names)
    ]
