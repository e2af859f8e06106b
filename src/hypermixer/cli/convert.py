"""hypermixer convert: a pretrained Transformer encoder becomes one with another token mixer."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.cli.options import DATA, Json, Pair, Text, flag, mixer_names
from hypermixer.cli.screen import progress_of_parts, show, show_json, table
from hypermixer.cli.stopping import resume_command, stops
from hypermixer.convert.settings import describe
from hypermixer.data.example import Columns
from hypermixer.encoder_config import DEFAULT_MIXER
from hypermixer.errors import WorkError
from hypermixer.settings import FLAGS, option_name


def _flag(name: str, metavar: str) -> Any:
    """An option that is a parameter of `Conversion` or `Shape`, with its own words."""
    return typer.Option("--" + name.replace("_", "-"), metavar=metavar, help=describe(name))


def convert(
    teacher: Annotated[str, typer.Argument(metavar="TEACHER", help="Directory or hub name of a BERT-like encoder.")],
    texts: Annotated[list[str], typer.Option("--texts", metavar="DATA", help=f"Unlabelled texts, repeatedly. {DATA}")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Model directory to write.")],
    text: Text = None,
    pair: Pair = None,
    split: Annotated[str | None, typer.Option("--split", metavar="NAME", help="Split to read, of data sets.")] = None,
    mixer: Annotated[
        str, typer.Option("--mixer", metavar="NAME", help=f"In place of attention: {', '.join(mixer_names())}.")
    ] = DEFAULT_MIXER,
    heads: Annotated[str | None, flag("heads", "N")] = None,
    d_hidden: Annotated[str | None, flag("d_hidden", "N")] = None,
    layers: Annotated[str | None, _flag("layers", "N")] = None,
    d_model: Annotated[str | None, _flag("d_model", "N")] = None,
    d_features: Annotated[str | None, _flag("d_features", "N")] = None,
    vocabulary: Annotated[str | None, _flag("vocabulary", "all|used")] = None,
    minutes: Annotated[str | None, _flag("minutes", "N")] = None,
    steps: Annotated[str | None, _flag("steps", "N")] = None,
    stages: Annotated[str | None, _flag("stages", "LIST")] = None,
    max_length: Annotated[str | None, _flag("max_length", "TOKENS")] = None,
    lr: Annotated[str | None, _flag("lr", "RATE")] = None,
    seed: Annotated[str | None, _flag("seed", "N")] = None,
    device: Annotated[str | None, _flag("device", "DEVICE")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted conversion in DIR.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is in DIR.")] = False,
    as_json: Json = False,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Of sections conversion and mixer: what has no flag."),
    ] = None,
) -> None:
    """Turn a pretrained Transformer into an encoder with another token mixer, by teaching it on unlabelled texts.

    Writes a model directory: `hypermixer train DATA --from DIR`, `hypermixer embed DIR DATA`, Hugging Face's Auto
    classes and sentence-transformers load it.
    """
    flags = {
        "minutes": minutes, "steps": steps, "stages": stages, "max_length": max_length, "lr": lr, "seed": seed,
        "device": device, "vocabulary": vocabulary,
    }  # fmt: skip
    sizes = {"layers": layers, "d_model": d_model, "d_features": d_features}
    options = {"num_heads": heads, "d_hidden": d_hidden}
    request = _request(teacher, mixer, sizes, options, flags, sets or [])
    from hypermixer.convert.corpus import read_texts
    from hypermixer.training.output import require_out

    require_out(out, resume=resume, overwrite=overwrite)
    read = read_texts(texts, Columns(text, pair), split)
    _report(_converted(request, read, out, resume, overwrite), out, as_json)


def _converted(request: Any, texts: list[str], out: Path, resume: bool, overwrite: bool) -> dict[str, Any]:
    """Convert and write; the record of it."""
    from hypermixer.convert.directory import write
    from hypermixer.convert.run import convert as run
    from hypermixer.training import checkpoints

    folder = out / checkpoints.FOLDER
    try:
        with stops(), progress_of_parts() as report:
            converted = run(request, texts, out, resume=resume, overwrite=overwrite, report=report)
            write(out, converted)
            checkpoints.remove(folder)
    except KeyboardInterrupt:
        if not checkpoints.interrupted(folder):
            raise
        raise WorkError(f"Stopped; what is done is kept in {folder}; go on with: {resume_command()}") from None
    except OSError as error:
        if not checkpoints.interrupted(folder):
            raise
        raise WorkError(f"{error.strerror or error}; what is done is kept; go on with: {resume_command()}") from error
    return converted.record


def _request(
    teacher: str,
    mixer: str,
    sizes: dict[str, str | None],
    options: dict[str, str | None],
    flags: dict[str, str | None],
    sets: list[str],
) -> Any:
    """The request, once every value has been read; names what was wrong as it was given."""
    from hypermixer.convert.settings import Conversion, Request, Shape
    from hypermixer.settings_builder import mixer_options, read_sets

    def named(values: dict[str, str | None]) -> dict[str, tuple[str, str]]:
        return {name: (value, "--" + name.replace("_", "-")) for name, value in values.items() if value is not None}

    by_set: dict[str, dict[str, tuple[str, str]]] = {"conversion": {}, "mixer": {}}
    for section, key, value, source in read_sets(sets, by_set):
        by_set[section][key] = (value, source)
    conversion = Conversion.read(by_set["conversion"] | named(flags))
    of_mixer = mixer_options(mixer, "--mixer", by_set["mixer"] | _of_mixer(options))
    return Request(teacher, Shape.read(mixer, of_mixer, named(sizes)), conversion)


def _of_mixer(options: dict[str, str | None]) -> dict[str, tuple[str, str]]:
    """Options of the mixer that have a flag, with its name."""
    flags = {flag.key: option_name(name) for name, flag in FLAGS.items() if flag.section == "mixer"}
    return {key: (value, flags[key]) for key, value in options.items() if value is not None}


def _report(record: dict[str, Any], out: Path, as_json: bool) -> None:
    agreement, texts, cost = record["agreement"], record["texts"], record["cost"]
    if as_json:
        show_json({"out": str(out), "agreement": agreement["held_out"], **texts, **cost})
        return
    rows = [
        ("agreement with the teacher on held-out texts", agreement["held_out"]),
        ("before training", agreement["before"]),
        ("texts", f"{texts['read']:,}"),
        ("left out, empty or repeated", f"{texts['empty'] + texts['repeated']:,}"),
        ("longer ones, learned in pieces", f"{texts['split']:,}"),
        ("pieces learned from", f"{texts['learned_from']:,}"),
        ("steps", ", ".join(f"{name} {count:,}" for name, count in record["schedule"]["steps"].items())),
        ("minutes", f"{cost['seconds']['all'] / 60:.1f}"),
        ("parameters", f"{cost['parameters']:,}"),
    ]
    show(*table(("", str(out)), rows))
