"""`hypermixer evaluate`: how good a model is on labelled data."""

from pathlib import Path
from typing import Annotated

import typer

from hypermixer.cli.options import (
    DATA,
    BatchSize,
    Device,
    Json,
    Label,
    Pair,
    Sets,
    Split,
    Text,
    cut_to,
    load_for_model,
    processor_threads,
    rows,
)
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
    sets: Sets = None,
) -> None:
    """Evaluate a classifier."""
    size, count = rows(batch_size), processor_threads(sets)
    from hypermixer.classifier import TextClassifier
    from hypermixer.training.environment import threads

    classifier = TextClassifier.load(model, device)
    data = load_for_model(source, split, Columns(text, pair, label), classifier.record, need_label=True)
    with threads(count), progress("Evaluating") as report:
        metrics = classifier.evaluate_dataset(data, batch_size=size, progress=report, classes=not as_json)
    if as_json:
        show_json(metrics)
        return
    classes = metrics.pop("per_class")
    head = ("label", "precision", "recall", "f1", "examples")
    show(*table(head, [[row[name] for name in head] for row in classes]), "")
    cut = metrics.pop("cut")
    shown = {name: value for name, value in metrics.items() if value or name != "dropped"}
    show(*table(list(shown), [list(shown.values())]))
    if cut:
        show(cut_to(classifier.record, cut))
