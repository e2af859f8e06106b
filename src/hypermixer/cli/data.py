"""`hypermixer data`: what there is to train on, and what a source looks like."""

from collections import Counter
from typing import Annotated, Any

import typer

from hypermixer.cli.options import DATA, Json, Label, Pair, Text
from hypermixer.cli.screen import show, show_json, table
from hypermixer.data.example import Columns, Dataset
from hypermixer.data.sources import CATALOGUE, load, splits

_SHOWN = 60
_MOST_LABELS = 12


def data(
    source: Annotated[str | None, typer.Argument(metavar="[NAME]", help=DATA)] = None,
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    as_json: Json = False,
) -> None:
    """List the sources of data, or describe one: splits, sizes, labels, lengths."""
    if source is None:
        _list(as_json)
        return
    columns = Columns(text, pair, label)
    parts = [load(source, split=name, columns=columns, need_label=False) for name in splits(source) or (None,)]
    described = [_described(part) for part in parts]
    if as_json:
        show_json({"source": source, "splits": described})
        return
    head = ("split", "examples", "labels", "words: median", "most", "first text")
    show(*table(head, [[_first(each[name]) for name in _COLUMNS] for each in described]), "")
    for each in described:
        common = [f"{name} {count:,}" for name, count in list(each["labels"].items())[:_MOST_LABELS]]
        more = len(each["labels"]) - len(common)
        show(f"{each['split']}: {', '.join(common) or 'no labels'}{f' and {more} more' if more > 0 else ''}")
        if each["dropped"]:
            show(f"{each['split']}: {each['dropped']:,} rows left out, without a gold label")


_COLUMNS = ("split", "examples", "classes", "median_words", "most_words", "first")


def _list(as_json: bool) -> None:
    if as_json:
        rows = [{"name": e.name, "kind": e.kind, "about": e.about, "rule": e.rule} for e in CATALOGUE]
        show_json({"sources": rows})
        return
    show(*table(("name", "what it is"), [(entry.name, entry.about) for entry in CATALOGUE]), "")
    for entry in CATALOGUE:
        if entry.rule:
            show(f"{entry.name}: {entry.rule}")
    show("", f"DATA may also be: {DATA}")


def _described(part: Dataset) -> dict[str, Any]:
    words = sorted(len(e.text.split()) + len((e.pair or "").split()) for e in part.examples)
    labels = Counter(e.label for e in part.examples if e.label is not None)
    return {
        "split": part.split or "all",
        "examples": len(part),
        "dropped": part.dropped,
        "classes": len(labels),
        "pairs": part.examples[0].pair is not None,
        "median_words": words[len(words) // 2],
        "most_words": words[-1],
        "labels": dict(labels.most_common()),
        "fingerprint": part.fingerprint,
        "first": part.examples[0].text,
    }


def _first(cell: Any) -> Any:
    """A cell on one short line."""
    if not isinstance(cell, str):
        return cell
    line = " ".join(cell.split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 3] + "..."
