"""`hypermixer predict`: one line of JSON for every text, in order."""

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from hypermixer.cli.options import (
    DATA,
    BatchSize,
    Device,
    Json,
    Pair,
    Sets,
    Split,
    Text,
    cut_to,
    load_for_model,
    processor_threads,
    rows,
)
from hypermixer.cli.screen import progress, show, show_json
from hypermixer.data.example import Columns
from hypermixer.errors import InputError
from hypermixer.whole_file import write_whole


def predict(
    model: Annotated[Path, typer.Argument(metavar="DIR", help="Model directory.")],
    source: Annotated[str, typer.Argument(metavar="DATA", help=DATA + " Labels are not needed.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.jsonl", help="File to write.")],
    split: Split = None,
    text: Text = None,
    pair: Pair = None,
    batch_size: BatchSize = None,
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.jsonl.")] = False,
    as_json: Json = False,
    sets: Sets = None,
) -> None:
    """Classify texts: label, scores and origin of each."""
    size, count = rows(batch_size), processor_threads(sets)
    require_writable(out, overwrite)
    from hypermixer.classifier import TextClassifier
    from hypermixer.training.environment import threads

    classifier = TextClassifier.load(model, device)
    data = load_for_model(source, split, Columns(text, pair), classifier.record, need_label=False)
    start = time.perf_counter()
    with threads(count), progress("Predicting") as report:
        answers = classifier.predict_dataset(data, batch_size=size, progress=report)
    names = classifier.record["labels"]
    lines = (
        {"label": names[row.argmax()], "scores": dict(zip(names, row.tolist(), strict=True)), "origin": example.origin}
        for row, example in zip(answers.probabilities, data.examples, strict=True)
    )
    write_whole(out, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    seconds = round(time.perf_counter() - start, 3)
    if as_json:
        counts = {"examples": len(data), "cut": answers.cut, "dropped": data.dropped}
        show_json({"out": str(out), **counts, "seconds": seconds})
        return
    show(f"{out}: {len(data):,} predictions in {seconds:.1f} s.")
    if answers.cut:
        show(cut_to(classifier.record, answers.cut))
    if data.dropped:
        show(f"Left out, without a gold label: {data.dropped:,} rows.")


def require_writable(out: Path, overwrite: bool) -> None:
    """Raises InputError where a file cannot be written, or stands there and is not to be replaced."""
    if out.is_dir():
        raise InputError(f"--out {out}: is a directory; name a file.")
    if out.exists() and not overwrite:
        raise InputError(f"--out {out}: already exists; --overwrite replaces it.")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no directory {out.parent}.")
    try:
        with tempfile.TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror}).") from error
