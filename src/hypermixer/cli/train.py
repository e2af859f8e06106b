"""`hypermixer train`: a labelled data set to a model directory."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.cli.options import (
    DATA,
    AllSets,
    Config,
    DModel,
    Epochs,
    Evaluation,
    Json,
    Label,
    Layers,
    Limit,
    MaxLength,
    Pair,
    Pretrained,
    Seed,
    Text,
    Tokenizer,
    TrainBatchSize,
    TrainDevice,
    TrainSplit,
    flag,
    mixer_names,
)
from hypermixer.cli.screen import progress, show, show_json, table
from hypermixer.cli.stopping import resume_command, stops
from hypermixer.data.parts import load_parts
from hypermixer.errors import WorkError
from hypermixer.settings import Settings, describe


def train(
    source: Annotated[str, typer.Argument(metavar="TRAIN", help=DATA)],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Model directory to write.")],
    evaluation: Evaluation = None,
    text: Text = None,
    pair: Pair = None,
    label: Label = None,
    split: TrainSplit = None,
    mixer: Annotated[
        str | None,
        typer.Option("--mixer", metavar="NAME", help=f"{describe('mixer')} Known: {', '.join(mixer_names())}."),
    ] = None,
    heads: Annotated[str | None, flag("heads", "N")] = None,
    d_model: DModel = None,
    d_hidden: Annotated[str | None, flag("d_hidden", "N")] = None,
    layers: Layers = None,
    layout: Annotated[str | None, flag("layout", "NAME")] = None,
    pretrained: Pretrained = None,
    tokenizer: Tokenizer = None,
    max_length: MaxLength = None,
    epochs: Epochs = None,
    lr: Annotated[str | None, flag("lr", "NUMBER")] = None,
    batch_size: TrainBatchSize = None,
    limit: Limit = None,
    seed: Seed = None,
    device: TrainDevice = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in DIR.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the model or interrupted run in DIR.")
    ] = False,
    as_json: Json = False,
    sets: AllSets = None,
    config: Config = None,
) -> None:
    """Train a classifier.

    Evaluates on --eval, or else on the set's validation split, or else on a tenth of the training rows.
    """
    flags = {
        "eval": evaluation, "text": text, "pair": pair, "label": label, "split": split, "mixer": mixer,
        "heads": heads, "d_model": d_model, "d_hidden": d_hidden, "layers": layers, "layout": layout,
        "pretrained": pretrained, "tokenizer": tokenizer, "max_length": max_length, "epochs": epochs, "lr": lr,
        "batch_size": batch_size, "limit": limit, "seed": seed, "device": device,
    }  # fmt: skip
    settings = Settings.build(config, flags, sets or ())
    # torch is loaded here, once the request has been read: help pages do without it.
    from hypermixer.classifier import TextClassifier
    from hypermixer.training import checkpoints
    from hypermixer.training.output import require_out

    require_out(out, resume=resume, overwrite=overwrite)
    parts = load_parts(settings.texts(source), test=False)
    classifier = TextClassifier()
    classifier.settings = settings
    try:
        with stops(), progress("Training") as report:
            classifier.fit_dataset(
                parts.train, parts.evaluation, out, resume=resume, overwrite=overwrite, progress=report
            )
    except KeyboardInterrupt:
        if not checkpoints.interrupted(out / checkpoints.FOLDER):
            raise
        raise WorkError(f"Stopped; {_kept(out)}; go on with: {resume_command()}") from None
    except OSError as error:
        raise WorkError(f"{error.strerror or error}; {_kept(out)}; go on with: {resume_command()}") from error
    _report(classifier.record, out, as_json)


def _kept(out: Path) -> str:
    from hypermixer.training import checkpoints

    last = checkpoints.last_whole(out / checkpoints.FOLDER)
    return f"{last} is kept" if last else "there is no checkpoint yet"


def _report(record: dict[str, Any], out: Path, as_json: bool) -> None:
    metrics, cost = record["metrics"], record["cost"]
    # Both parts of one source tell what the source left out.
    dropped = sum({(data["source"], data["split"]): data["dropped"] for data in record["data"].values()}.values())
    if as_json:
        train_rows = {"train_examples": cost["examples"], "dropped": dropped, "labels": len(record["labels"])}
        rest = {name: value for name, value in cost.items() if name != "examples"}
        show_json({"out": str(out), **metrics, **train_rows, **rest, "mixer": record["settings"]["mixer"]["name"]})
        return
    rows = [
        ("accuracy", metrics["accuracy"]),
        ("macro F1", metrics["macro_f1"]),
        ("loss", metrics["loss"]),
        ("evaluation texts", f"{metrics['examples']:,}"),
        ("training texts", f"{cost['examples']:,}"),
        (f"training texts cut to {record['max_length']} tokens", f"{cost['cut']:,}"),
        (f"evaluation texts cut to {record['max_length']} tokens", f"{cost['evaluation_cut']:,}"),
        ("parameters", f"{cost['parameters']:,}"),
        ("epochs", f"{cost['epochs']:.2f}".rstrip("0").rstrip(".")),
        ("seconds to train", f"{cost['train_seconds']:.1f}"),
        ("tokens per second", f"{cost['tokens_per_second']:,.0f}"),
    ]
    if dropped:
        rows.insert(5, ("left out, no gold label", f"{dropped:,}"))
    show(*table(("", str(out)), rows))
