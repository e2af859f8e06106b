"""The classes of a classifier: names in a fixed order, and their indices."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hypermixer.data.example import Example
from hypermixer.errors import InputError, nearest


@dataclass(frozen=True)
class Labels:
    """Names of the classes; the index of a class is its place in `names`."""

    names: tuple[str, ...]

    @classmethod
    def fit(cls, examples: Iterable[Example], *, source: str | None = None) -> "Labels":
        """The labels of training examples, in numeric order where all are whole numbers, else in alphabetical order.

        Args:
            examples: of training, each with a label.
            source: what error messages call the data; None stands for the file or set in the origin of an example.

        Raises:
            InputError: an example without a label, or only one class.
        """
        found: dict[str, str] = {}
        for example in examples:
            if example.label is None:
                raise InputError(f"{example.origin} has no label.")
            found.setdefault(example.label, example.origin)
        if not found:
            raise InputError(f"{source or 'The training data'} holds no examples to take labels from.")
        if len(found) == 1:
            name, origin = next(iter(found.items()))
            source = source or re.sub(r"(\[\d+\]|:\d+)$", "", origin)
            raise InputError(f"{source}: every row has the label '{name}', and a classifier needs at least two labels.")
        return cls(tuple(sorted(found, key=_number if all(map(_whole, found)) else str)))

    def __len__(self) -> int:
        return len(self.names)

    def index(self, label: str | None, origin: str) -> int:
        """The index of a label, in [0, len(self)).

        Raises:
            InputError: no label, or one that training never saw; the message names `origin`.
        """
        if label is None:
            raise InputError(f"{origin} has no label.")
        if label not in self.names:
            hint = nearest(label, self.names) or f"known are {len(self)} labels, '{self.names[0]}' the first"
            raise InputError(f"{origin}: training never saw the label '{label}': {hint}")
        return self.names.index(label)


def _whole(name: str) -> bool:
    digits = name.removeprefix("-")
    return digits.isascii() and digits.isdigit()


def _number(name: str) -> tuple[int, str]:
    return int(name), name
