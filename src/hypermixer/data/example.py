"""One labelled text, and an ordered set of them: what every source of data becomes."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from hypermixer.errors import InputError

# The most labels that an error message lists.
_LISTED = 5


@dataclass(frozen=True, slots=True)
class Example:
    """One text, or one pair of texts, with its label.

    Attributes:
        text: the text, or the first text of a pair; may be empty.
        pair: the second text of a pair, None for single texts.
        label: the name of the class, None where the data has no label.
        origin: where it came from, for error messages and predictions: `reviews.csv:18` (the line in the file, counted
            from 1), `builtin:nli[17]`, `hf:owner/name[17]` or `rows[17]` (the row, counted from 0).
    """

    text: str
    pair: str | None
    label: str | None
    origin: str


@dataclass(frozen=True)
class Columns:
    """The columns of a table that hold the first text, the second text and the label.

    None stands for the default names: `text`, or `text_a` with `text_b`, and `label`.
    """

    text: str | None = None
    pair: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Dataset:
    """Examples in order, with the name of their source.

    Attributes:
        name: the source as the user typed it.
        split: the split that was read, None where the source has none.
        examples: the examples.
        columns: the columns that were read; all None where the source has no columns.
        fingerprint: SHA-256 (hexadecimal) of all texts, pairs and labels in their order.
        dropped: rows left out because their source marks them as having no gold label.
    """

    name: str
    split: str | None
    examples: list[Example] = field(repr=False)
    columns: Columns
    fingerprint: str
    dropped: int = 0

    @classmethod
    def of(
        cls,
        name: str,
        examples: list[Example],
        *,
        split: str | None = None,
        columns: Columns = Columns(),
        dropped: int = 0,
    ) -> "Dataset":
        """The data set of these examples, with its fingerprint computed."""
        return cls(name, split, examples, columns, fingerprint(examples), dropped)

    def __len__(self) -> int:
        return len(self.examples)

    def texts(self) -> Iterator[str]:
        """All texts in order; both texts of a pair."""
        for example in self.examples:
            yield example.text
            if example.pair is not None:
                yield example.pair

    def limited(self, n: int, seed: int) -> "Dataset":
        """At most `n` examples with at least one of every label, drawn with `seed` and kept in their order.

        Raises:
            InputError: n is below 1, or below the number of labels.
        """
        if n < 1:
            raise InputError(f"--limit must be at least 1, not {n}.")
        if n >= len(self):
            return self
        drawn = random.Random(f"limit:{seed}").sample(range(len(self)), len(self))
        first: dict[str | None, int] = {}
        for row in drawn:
            first.setdefault(self.examples[row].label, row)
        if n < len(first):
            missing = [f"'{label}'" for label in first][n:]
            listed = ", ".join(missing[:_LISTED]) + (", ..." if len(missing) > _LISTED else "")
            raise InputError(f"--limit {n} leaves no row of {listed}: {self.name} has {len(first)} labels.")
        # Where the first n hold every label, this is those n.
        rows = list(dict.fromkeys([*first.values(), *drawn]))[:n]
        return self._part(sorted(rows))

    def fraction(self, percent: float, seed: int) -> "Dataset":
        """About `percent` of the examples in their order, the same share of every label and at least one of each.

        Parts drawn with one seed are nested: a smaller one lies inside every larger one; 100 % is all of it.

        Args:
            percent: of the examples, in (0, 100].
            seed: decides which examples are drawn.

        Raises:
            InputError: percent lies outside (0, 100].
        """
        if not 0 < percent <= 100:
            raise InputError(f"A fraction must be above 0 and at most 100 percent, not {percent:g}.")
        if percent == 100:
            return self
        groups: dict[str | None, list[int]] = {}
        for row in random.Random(f"fraction:{seed}").sample(range(len(self)), len(self)):
            groups.setdefault(self.examples[row].label, []).append(row)
        # One order for all fractions: a row of every label, then each label's rows evenly spread.
        places = {row: rank and (rank + 0.5) / len(rows) for rows in groups.values() for rank, row in enumerate(rows)}
        count = max(len(groups), round(percent / 100 * len(self)))
        return self._part(sorted(sorted(places, key=places.__getitem__)[:count]))

    def split_off(self, fraction: float = 0.1, most: int = 2_000, *, seed: int) -> "tuple[Dataset, Dataset]":
        """Hold out a part of the examples, the same share of every label; both parts keep their order.

        Pairs with the same first text stay together: where each premise comes once with every label, a model that
        remembers the others' labels would be wrong about the one that is held out, and chosen for forgetting.

        Args:
            fraction: share to hold out, in (0, 1).
            most: the largest number of examples to hold out, about.
            seed: decides which examples are held out.

        Returns:
            The rest, which keeps at least one example of every label, and the held-out part, which is never empty.

        Raises:
            InputError: no label has two examples, so that nothing can be held out.
        """
        by_text: dict[str, list[int]] = {}
        for row, example in enumerate(self.examples):
            by_text.setdefault(f"{row}" if example.pair is None else f"pair {example.text}", []).append(row)
        wanted = min(most, max(1, round(fraction * len(self))))
        held_out = self._drawn(list(by_text.values()), wanted, seed)
        if not held_out:  # one text for all, say
            held_out = self._drawn([[row] for row in range(len(self))], wanted, seed)
        if not held_out:
            raise InputError(f"{self.name} has too few rows of each label to hold some out: give --eval.")
        held = set(held_out)
        return self._part([row for row in range(len(self)) if row not in held]), self._part(sorted(held))

    def _drawn(self, groups: Sequence[Sequence[int]], wanted: int, seed: int) -> list[int]:
        """About `wanted` rows in whole groups, evenly from those with the same labels, of which one group stays."""
        alike: dict[tuple[str, ...], list[Sequence[int]]] = {}
        for rows in groups:
            alike.setdefault(tuple(sorted(self.examples[row].label or "" for row in rows)), []).append(rows)
        shares = _shares([len(some) for some in alike.values()], max(1, round(wanted * len(groups) / len(self))))
        rng = random.Random(f"split:{seed}")
        drawn = (rng.sample(some, share) for some, share in zip(alike.values(), shares, strict=True))
        return [row for some in drawn for rows in some for row in rows]

    def _part(self, rows: Sequence[int]) -> "Dataset":
        examples = [self.examples[row] for row in rows]
        return replace(self, examples=examples, fingerprint=fingerprint(examples))


def fingerprint(examples: Sequence[Example]) -> str:
    """SHA-256 (hexadecimal) of all texts, pairs and labels in their order."""
    digest = hashlib.sha256()
    for example in examples:
        for value in (example.text, example.pair, example.label):
            # The length in front keeps ("ab", "c") apart from ("a", "bc"), and None apart from an empty text.
            data = b"" if value is None else value.encode()
            digest.update(b"-" if value is None else b"%d:" % len(data))
            digest.update(data)
    return digest.hexdigest()


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """`total` in proportion to `sizes` by largest remainders, each share below its size."""
    exact = [total * size / sum(sizes) for size in sizes]
    shares = [min(int(share), size - 1) for share, size in zip(exact, sizes, strict=True)]
    by_remainder = sorted(range(len(sizes)), key=lambda group: shares[group] - exact[group])
    for group in by_remainder:
        if sum(shares) < total and shares[group] < sizes[group] - 1:
            shares[group] += 1
    return shares
