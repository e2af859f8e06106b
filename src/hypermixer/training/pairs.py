"""Single texts and pairs of texts: a classifier takes the one kind or the other."""

from hypermixer.data.example import Dataset
from hypermixer.errors import InputError


def is_paired(data: Dataset) -> bool:
    """Whether the examples are pairs; there is at least one.

    Raises:
        InputError: some are pairs and some are not; names the first that differs from those before it.
    """
    pairs = data.examples[0].pair is not None
    require_kind(data, pairs, "the rows before it are")
    return pairs


def require_kind(data: Dataset, pairs: bool, others: str) -> None:
    """Check that all examples are pairs, or that none is.

    Args:
        data: the examples.
        pairs: which of the two is wanted.
        others: what decides that, as in "the training rows are".

    Raises:
        InputError: an example is of the other kind; names its origin.
    """
    for example in data.examples:
        if (example.pair is not None) != pairs:
            found, wanted = ("a single text", "pairs of texts") if pairs else ("a pair of texts", "single texts")
            columns = "--text and --pair name the columns" if pairs else "--text names the one column"
            raise InputError(f"{example.origin}: is {found}, but {others} {wanted} ({columns}).")
