"""hypermixer convert: a pretrained Transformer encoder becomes one with another token mixer."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.cli.options import Json, mixer_names
from hypermixer.cli.screen import convert_progress, show, show_json, table
from hypermixer.cli.stopping import stops
from hypermixer.errors import InputError, WorkError


def convert(
    teacher: Annotated[str, typer.Argument(metavar="TEACHER", help="Directory or hub name of a BERT-like encoder.")],
    texts: Annotated[
        list[str], typer.Option("--texts", metavar="DATA", help="Unlabelled texts, also .txt; may be given repeatedly.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Model directory to write.")],
    mixer: Annotated[
        str, typer.Option("--mixer", metavar="NAME", help=f"In place of attention: {', '.join(mixer_names())}.")
    ] = "hypermixing",
    heads: Annotated[str | None, typer.Option("--heads", metavar="N", help="Heads of the mixer.")] = None,
    d_hidden: Annotated[
        str | None, typer.Option("--d-hidden", metavar="N", help="Hidden width of the token-mixing MLP.")
    ] = None,
    layers: Annotated[str | None, typer.Option("--layers", metavar="N", help="Fewer than the teacher's.")] = None,
    d_model: Annotated[
        str | None, typer.Option("--d-model", metavar="N", help="Narrower than the teacher: principal directions.")
    ] = None,
    d_features: Annotated[
        str | None, typer.Option("--d-features", metavar="N", help="Fewer hidden units of the feature MLPs.")
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option("--vocabulary", metavar="all|used", help="Entries to keep: all, or those of the texts."),
    ] = None,
    minutes: Annotated[
        str | None, typer.Option("--minutes", metavar="N", help="About how long it takes (default: 10).")
    ] = None,
    steps: Annotated[
        str | None, typer.Option("--steps", metavar="N", help="Training steps in place of a time.")
    ] = None,
    stages: Annotated[
        str | None,
        typer.Option("--stages", metavar="LIST", help="Of layerwise, whole, masked (default: layerwise,whole)."),
    ] = None,
    max_length: Annotated[
        str | None, typer.Option("--max-length", metavar="TOKENS", help="Longer texts are learned in pieces.")
    ] = None,
    lr: Annotated[str | None, typer.Option("--lr", metavar="RATE", help="Peak learning rate.")] = None,
    seed: Annotated[str | None, typer.Option("--seed", metavar="N", help="Seed of everything random.")] = None,
    device: Annotated[str | None, typer.Option("--device", metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")] = None,
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
    from hypermixer.convert.corpus import read_texts
    from hypermixer.convert.directory import write
    from hypermixer.convert.run import convert as run
    from hypermixer.training import checkpoints
    from hypermixer.training.output import require_out

    require_out(out, resume=resume, overwrite=overwrite)
    read = read_texts(texts)
    folder = out / checkpoints.FOLDER
    try:
        with stops(), convert_progress() as report:
            converted = run(request, read, out, resume=resume, overwrite=overwrite, report=report)
            write(out, converted)
    except KeyboardInterrupt:
        if not checkpoints.interrupted(folder):
            raise
        raise WorkError(f"Stopped; what is done is kept in {folder}; go on with: {_resume_command()}") from None
    except OSError as error:
        if not checkpoints.interrupted(folder):
            raise
        raise WorkError(f"{error.strerror or error}; what is done is kept; go on with: {_resume_command()}") from error
    checkpoints.remove(folder)
    _report(converted.record, out, as_json)


def _request(
    teacher: str,
    mixer: str,
    sizes: dict[str, str | None],
    options: dict[str, tuple[str | None, str]],
    flags: dict[str, str | None],
    sets: list[str],
) -> Any:
    """The request, once every value has been read; names what was wrong as it was given."""
    from hypermixer.convert.settings import Conversion, Request
    from hypermixer.convert.student import Shape
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


def _resume_command() -> str:
    import shlex
    import sys

    arguments = [a for a in sys.argv[1:] if a not in ("--resume", "--overwrite")]
    return shlex.join(["hypermixer", *arguments, "--resume"])


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
