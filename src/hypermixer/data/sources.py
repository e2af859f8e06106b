"""From what the user typed to a `Dataset`: a path, `builtin:NAME`, a named set, or `hf:OWNER/NAME[:CONFIG]`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hypermixer.data import files, hub, nli, products, pydoc
from hypermixer.data.example import Columns, Dataset, Example
from hypermixer.data.rows import check_text, label_name
from hypermixer.errors import InputError, nearest

DEFAULT_COLUMNS = Columns()
ORDER = ("train", "validation", "test")


@dataclass(frozen=True)
class Builtin:
    """A generator: `generate(split=, n=, seed=)` gives its examples (n None: all, or the default number).

    `options` are further keywords that it takes, whole numbers from 1 up.
    """

    about: str
    rule: str
    generate: Callable[..., list[Example]]
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A line of the catalogue: the name to type, its kind (`builtin` or `named`), what it is, the rule of its label."""

    name: str
    kind: str
    about: str
    rule: str = ""


BUILTINS = {
    "nli": Builtin(nli.ABOUT, nli.RULE, nli.generate),
    "pydoc": Builtin(pydoc.ABOUT, pydoc.RULE, pydoc.generate),
    "products": Builtin(products.ABOUT, products.RULE, products.generate, ("pairs",)),
}

CATALOGUE: tuple[Entry, ...] = (
    *(Entry(f"builtin:{name}", "builtin", each.about, each.rule) for name, each in BUILTINS.items()),
    *(Entry(name, "named", each.about) for name, each in hub.NAMED.items()),
)


def load(
    spec: str,
    *,
    split: str | None = None,
    columns: Columns = DEFAULT_COLUMNS,
    need_label: bool = True,
) -> Dataset:
    """Read a source whole.

    Args:
        spec: a path (.csv, .tsv, .jsonl, .parquet, each also with .gz), `builtin:NAME[,n=..][,seed=..]`, a named set
            (see `CATALOGUE`) or `hf:OWNER/NAME[:CONFIG]`.
        split: `train`, `validation` or `test`, or another split of a hub set; None is the train split. Files have none.
        columns: names of the columns, for files and hub sets.
        need_label: whether every row must have a label; if not, labels are still read where there are any,
            and one of another type is an error only where `columns` names its column.

    Raises:
        InputError: an unknown name, option, split or column, or a file that cannot be read, with its line.
    """
    kind = _kind(spec)
    if kind == "file":
        if split is not None:
            raise InputError(f"--split {split}: a file has no splits, and {spec} is one.")
        examples, found = files.read(Path(spec), columns, need_label=need_label)
        return Dataset.of(spec, examples, columns=found)
    split = split or "train"
    if kind == "builtin":
        name, options = _builtin(spec)
        if columns != DEFAULT_COLUMNS:
            raise InputError(f"{spec} has no columns to choose: leave out --text, --pair and --label.")
        _check_split(spec, split, ORDER)
        return Dataset.of(spec, BUILTINS[name].generate(split=split, **options), split=split)
    if kind == "hub":
        return hub.load_hub(spec, split, columns, need_label=need_label)
    _check_split(spec, split, splits(spec))
    return hub.load_named(spec, split, columns, need_label=need_label)


def splits(spec: str) -> tuple[str, ...]:
    """The splits of a source, train first; empty for a file.

    Raises:
        InputError: an unknown name, or a hub set that cannot be reached.
    """
    kind = _kind(spec)
    if kind == "file":
        return ()
    if kind == "builtin":
        _builtin(spec)
        return ORDER
    found = hub.hub_splits(spec) if kind == "hub" else hub.named_splits(spec)
    return tuple(sorted(found, key=lambda split: (ORDER.index(split) if split in ORDER else len(ORDER), split)))


def from_lists(
    texts: Iterable[str], labels: Iterable[object] | None = None, pairs: Iterable[str] | None = None
) -> Dataset:
    """The data set of Python lists: texts, and where given labels (str, int or bool) and second texts, row by row.

    Raises:
        InputError: a text that is no string, a label that is missing or of another type (with its row, counted from
            0), lists of different lengths, or no rows.
    """
    for name, value in (("texts", texts), ("labels", labels), ("pairs", pairs)):
        if isinstance(value, str):
            raise InputError(f"{name} must be a list with one entry a row, not one string.")
    first = list(texts)
    second = _beside(first, "pairs", pairs)
    names = _beside(first, "labels", labels)
    if not first:
        raise InputError("texts is empty: give at least one row.")
    examples = []
    for row, (text, pair, label) in enumerate(zip(first, second, names, strict=True)):
        origin = f"rows[{row}]"
        checked = check_text(text, "texts", origin)
        partner = None if pairs is None else check_text(pair, "pairs", origin)
        examples.append(
            Example(checked, partner, None if labels is None else label_name(label, "labels", origin), origin)
        )
    return Dataset.of("rows", examples)


def _beside(first: list, name: str, values: Iterable[object] | None) -> list:
    others = [None] * len(first) if values is None else list(values)
    if len(others) != len(first):
        raise InputError(f"{name} has {len(others)} rows and texts has {len(first)}: they must be equally long.")
    return others


def _kind(spec: str) -> str:
    """`builtin`, `hub`, `named` or `file`.

    Raises:
        InputError: none of them.
    """
    if spec.startswith("builtin:"):
        return "builtin"
    if spec.startswith("hf:"):
        return "hub"
    if files.suffix(spec) or "/" in spec or "\\" in spec:
        return "file"
    if spec in hub.names():
        return "named"
    if Path(spec).exists():
        return "file"
    beside = [path.name for path in Path().iterdir() if files.suffix(path.name)]
    builtin = [entry.name for entry in CATALOGUE if entry.kind == "builtin"]
    if f"builtin:{spec.partition(',')[0]}" in builtin:
        raise InputError(f"'{spec}' is neither a file nor a named set: did you mean 'builtin:{spec}'?")
    hint = nearest(spec, [*hub.names(), *builtin, *beside]) or "`hypermixer data` lists the names"
    raise InputError(f"'{spec}' is neither a file nor a named set: {hint}")


def _builtin(spec: str) -> tuple[str, dict[str, int]]:
    """Name and options of `builtin:NAME,key=value,...`."""
    name, *parts = spec.removeprefix("builtin:").split(",")
    if name not in BUILTINS:
        raise InputError(f"'{spec}': there is no built-in '{name}': {nearest(name, BUILTINS)}")
    options: dict[str, int] = {}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        known = ("n", "seed", *BUILTINS[name].options)
        if key not in known:
            raise InputError(f"'{spec}': unknown option '{key}': {nearest(key, known)}")
        if not (equals and value.isascii() and value.isdigit()) or (key != "seed" and int(value) < 1):
            least = f"a whole number from {0 if key == 'seed' else 1} up"
            raise InputError(f"'{spec}': {key} must be {least}, not '{value}'.")
        if key in options:
            raise InputError(f"'{spec}': {key} is given twice.")
        options[key] = int(value)
    return name, options


def _check_split(spec: str, split: str, known: Iterable[str]) -> None:
    known = tuple(known)
    if split not in known:
        raise InputError(f"--split {split}: {spec} has no such split: {nearest(split, known)}")
