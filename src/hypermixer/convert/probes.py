"""How good embeddings are: linear probes on them, and similarities of pairs against people's scores."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypermixer.data.example import Columns, Dataset

#: Texts -> vectors, [n, D].
Embed = Callable[[Dataset], NDArray[np.float32]]
#: Inverse strengths of the regularisation that are tried.
STRENGTHS = (1.0, 10.0, 100.0)


def probe(embed: Embed, train: Dataset, test: Dataset, seed: int = 0) -> float:
    """Test accuracy, in [0, 1], of logistic regression on embeddings that stay as they are.

    The regularisation is the best of `STRENGTHS` on a tenth of the training texts that the others are fitted to; then
    all of them are.
    """
    from sklearn.linear_model import LogisticRegression

    rest, held_out = train.split_off(seed=seed)
    vectors = {id(data): embed(data) for data in (rest, held_out, test)}

    def fitted(strength: float, *parts: Dataset) -> LogisticRegression:
        x = np.concatenate([vectors[id(part)] for part in parts])
        y = [example.label for part in parts for example in part.examples]
        return LogisticRegression(C=strength, max_iter=2_000).fit(x, y)

    def right(model: LogisticRegression, data: Dataset) -> float:
        return float(np.mean(model.predict(vectors[id(data)]) == [example.label for example in data.examples]))

    best = max(STRENGTHS, key=lambda strength: right(fitted(strength, rest), held_out))
    return right(fitted(best, rest, held_out), test)


def relatedness(embed: Embed, pairs: Dataset) -> float:
    """Spearman's correlation of the cosine of both texts with the score of a pair, which is its label."""
    from scipy.stats import spearmanr

    first, second = (_unit(embed(_side(pairs, side))) for side in ("text", "pair"))
    scores = [float(example.label or "nan") for example in pairs.examples]
    found: Any = spearmanr((first * second).sum(1), scores)
    return float(found.statistic)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _side(pairs: Dataset, side: str) -> Dataset:
    from hypermixer.data.sources import from_lists

    return from_lists([getattr(example, side) for example in pairs.examples])


def all_probes(embed: Embed, names: Sequence[str], pairs: Sequence[str], seed: int = 0) -> dict[str, float]:
    """By data set: test accuracy of probes, or Spearman's correlation, percent.

    Args:
        embed: texts to vectors.
        names: of data sets with labels.
        pairs: of data sets of pairs with a column `score`.
        seed: of what is held out.
    """
    from hypermixer.data.sources import load

    found = {}
    for name in names:
        found[name] = 100 * probe(embed, load(name, split="train"), load(name, split=_reported(name)), seed)
    for name in pairs:
        scored = load(name, split=_reported(name), columns=Columns(label="score"))
        found[name] = 100 * relatedness(embed, scored)
    return found


def _reported(name: str) -> str:
    """The split that results are reported on: test, or else validation."""
    from hypermixer.data.sources import splits

    return "test" if "test" in splits(name) else "validation"
