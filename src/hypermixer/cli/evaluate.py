"""`hypermixer evaluate`: how good a model is on labelled data."""

from pathlib import Path
from typing import Annotated

import typer

from hypermixer.cli.options import DATA, BatchSize, Device, Json, Label, Pair, Split, Text, load_for_model, rows
from hypermixer.cli.screen import progress, show, show_json, table
from hypermixer.data.example import Columns


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="Model directory.")],
    source: Annotated[str, typer.Argument(metavar="DATA", help=DATA)],
    split: Split = None,
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    batch_size: BatchSize = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Evaluate a classifier."""
    size = rows(batch_size)
    from hypermixer.classifier import TextClassifier

    classifier = TextClassifier.load(model, device)
    data = load_for_model(source, split, Columns(text, pair, label), classifier.record, need_label=True)
    with progress("Evaluating") as report:
        metrics = classifier.evaluate_dataset(data, batch_size=size, progress=report, classes=not as_json)
    if as_json:
        show_json(metrics)
        return
    classes = metrics.pop("per_class")
    head = ("label", "precision", "recall", "f1", "examples")
    show(*table(head, [[row[name] for name in head] for row in classes]), "")
    show(*table(list(metrics), [list(metrics.values())]))
