"""From files, hub names and built-in generators to examples, labels and token ids."""

from hypermixer.data.example import Columns, Dataset, Example
from hypermixer.data.labels import Labels
from hypermixer.data.sources import from_lists, load, splits
from hypermixer.data.tokens import Encoded, encode, load_tokenizer, train_tokenizer

__all__ = [
    "Columns",
    "Dataset",
    "Encoded",
    "Example",
    "Labels",
    "encode",
    "from_lists",
    "load",
    "load_tokenizer",
    "splits",
    "train_tokenizer",
]
