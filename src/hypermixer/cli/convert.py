"""hypermixer convert: a pretrained Transformer encoder becomes one with another token mixer."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.cli.options import DATA, Json, flag, mixer_names
from hypermixer.cli.screen import progress_of_parts, show, show_json, table
from hypermixer.cli.stopping import resume_command, stops
from hypermixer.convert.settings import describe
from hypermixer.encoder_config import DEFAULT_MIXER
from hypermixer.errors import InputError, WorkError


def _flag(name: str, metavar: str) -> Any:
    """An option that is a parameter of `Conversion`, with its own words."""
    return typer.Option("--" + name.replace("_", "-"), metavar=metavar, help=describe(name))


def convert(
    teacher: Annotated[str, typer.Argument(metavar="TEACHER", help="Directory or hub name of a BERT-like encoder.")],
    texts: Annotated[list[str], typer.Option("--texts", metavar="DATA", help=f"Unlabelled texts, repeatedly. {DATA}")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Model directory to write.")],
    mixer: Annotated[
        str, typer.Option("--mixer", metavar="NAME", help=f"In place of attention: {', '.join(mixer_names())}.")
    ] = DEFAULT_MIXER,
    heads: Annotated[str | None, flag("heads", "N")] = None,
    d_hidden: Annotated[str | None, flag("d_hidden", "N")] = None,
    layers: Annotated[str | None, typer.Option("--layers", metavar="N", help="Fewer than the teacher's.")] = None,
    d_model: Annotated[
        str | None, typer.Option("--d-model", metavar="N", help="Narrower than the teacher: principal directions.")
    ] = None,
    d_features: Annotated[
        str | None, typer.Option("--d-features", metavar="N", help="Fewer hidden units of the feature MLPs.")
    ] = None,
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
    options = {"num_heads": (heads, "--heads"), "d_hidden": (d_hidden, "--d-hidden")}
    request = _request(teacher, mixer, sizes, options, flags, sets or [])
    _report(_converted(request, texts, out, resume, overwrite), out, as_json)


def _converted(request: Any, texts: list[str], out: Path, resume: bool, overwrite: bool) -> dict[str, Any]:
    """Convert and write; the record of it."""
    from hypermixer.convert.corpus import read_texts
    from hypermixer.convert.directory import write
    from hypermixer.convert.run import convert as run
    from hypermixer.training import checkpoints
    from hypermixer.training.output import require_out

    require_out(out, resume=resume, overwrite=overwrite)
    read = read_texts(texts)
    folder = out / checkpoints.FOLDER
    try:
        with stops(), progress_of_parts() as report:
            converted = run(request, read, out, resume=resume, overwrite=overwrite, report=report)
            write(out, converted)
    except KeyboardInterrupt:
        if not checkpoints.interrupted(folder):
            raise
        raise WorkError(f"Stopped; what is done is kept in {folder}; go on with: {resume_command()}") from None
    except OSError as error:
        if not checkpoints.interrupted(folder):
            raise
        raise WorkError(f"{error.strerror or error}; what is done is kept; go on with: {resume_command()}") from error
    checkpoints.remove(folder)
    return converted.record


def _request(
    teacher: str,
    mixer: str,
    sizes: dict[str, str | None],
    options: dict[str, tuple[str | None, str]],
    flags: dict[str, str | None],
    sets: list[str],
) -> Any:
    """The request, once every value has been read; names what was wrong as it was given."""
    from hypermixer.convert.settings import Conversion, Request, Shape
    from hypermixer.options import checked
    from hypermixer.settings_builder import mixer_options

    given = {name: (value, "--" + name.replace("_", "-")) for name, value in flags.items() if value is not None}
    of_mixer = {name: given for name, given in options.items() if given[0] is not None}
    by_set: dict[str, dict[str, tuple[str, str]]] = {"conversion": {}, "mixer": {}}
    for text in sets:
        name, equals, value = text.partition("=")
        section, _, key = name.strip().partition(".")
        if not equals or section not in by_set or not key:
            raise InputError(f"--set {text}: must have the form conversion.KEY=VALUE or mixer.KEY=VALUE.")
        by_set[section][key] = (value.strip(), f"--set {name.strip()}")
    conversion = Conversion.read(by_set["conversion"] | given)
    numbers = {
        name: checked(value, int, {"least": 1}, "--" + name.replace("_", "-"))
        for name, value in sizes.items()
        if value is not None
    }
    return Request(
        teacher, Shape(mixer, mixer_options(mixer, "--mixer", by_set["mixer"] | of_mixer), **numbers), conversion
    )


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
