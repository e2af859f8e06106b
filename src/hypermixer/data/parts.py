"""The parts of a data set that a run needs: to train on, to choose by, and to report on."""

from dataclasses import dataclass
from functools import lru_cache

from hypermixer.data.example import Columns, Dataset
from hypermixer.data.sources import DEFAULT_COLUMNS, load, splits


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Which texts a run takes; plain values, so that two runs on the same texts can be told by it.

    Attributes:
        source: what `load` reads.
        split: to train on; None: the train split.
        columns: of files and hub sets.
        evaluation: another source to choose by; None: the validation split, or else a tenth of the training rows.
        test: another source to report on; None: the test split, where there is one and `evaluation` names nothing.
        limit: train on so many rows at most.
        percent: train on this part of them, nested: a smaller part lies within a greater one.
        seed: of whatever is drawn.
    """

    source: str
    split: str | None = None
    columns: Columns = DEFAULT_COLUMNS
    evaluation: str | None = None
    test: str | None = None
    limit: int | None = None
    percent: float = 100
    seed: int = 0


@dataclass(frozen=True)
class Parts:
    """Texts to train on, to choose the best weights by, and, where there are any apart from those, to report on."""

    train: Dataset
    evaluation: Dataset
    test: Dataset | None


def load_parts(texts: Texts, *, test: bool = True) -> Parts:
    """Read the parts.

    Args:
        texts: which.
        test: whether texts to report on are wanted, where there are any.

    Raises:
        InputError: a source cannot be read, or has too few rows for what is asked.
    """
    columns, known = texts.columns, splits(texts.source)
    data = load(texts.source, split=texts.split, columns=columns)
    if texts.evaluation is not None:
        held_out = load(texts.evaluation, split=evaluation_split(texts.evaluation), columns=columns)
    elif "validation" in known and data.split != "validation":
        held_out = load(texts.source, split="validation", columns=columns)
    else:
        data, held_out = data.split_off(seed=texts.seed)
    reported = None
    if test and texts.test is not None:
        asked = splits(texts.test)
        reported = load(texts.test, split="test" if "test" in asked else evaluation_split(texts.test), columns=columns)
    elif test and texts.evaluation is None and "test" in known and "test" not in (data.split, held_out.split):
        reported = _labelled(load(texts.source, split="test", columns=columns, need_label=False))
    if texts.limit is not None:
        data = data.limited(texts.limit, texts.seed)
    return Parts(data if texts.percent == 100 else data.fraction(texts.percent, texts.seed), held_out, reported)


@lru_cache(maxsize=16)
def parts_of(texts: Texts) -> Parts:
    """As `load_parts`, read once."""
    return load_parts(texts)


def _labelled(data: Dataset) -> Dataset | None:
    """The examples that have a label; test sets of public benchmarks keep theirs to themselves."""
    examples = [example for example in data.examples if example.label is not None]
    if len(examples) == len(data):
        return data
    if not examples:
        return None
    dropped = len(data) - len(examples)
    return Dataset.of(data.name, examples, split=data.split, columns=data.columns, dropped=dropped)


def evaluation_split(spec: str) -> str | None:
    """The split that a set is evaluated on: validation, or else test, or else the first; None for a file."""
    known = splits(spec)
    return next((name for name in ("validation", "test") if name in known), known[0] if known else None)
