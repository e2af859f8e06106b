"""`hypermixer mixers`: which token mixers there are, or one of them with its options."""

import inspect
from dataclasses import fields
from typing import Annotated, Any, get_type_hints

import typer

from hypermixer.cli.options import Json
from hypermixer.cli.screen import show, show_json, table
from hypermixer.encoder_config import EncoderConfig
from hypermixer.errors import InputError, nearest
from hypermixer.kinds import in_words

_LETTERS = "N tokens, D width, K d_hidden, H num_heads, S segments"


def mixers(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="A mixer; without it, all are listed.")] = None,
    as_json: Json = False,
) -> None:
    """List the token mixers, or describe one: equation, options, cost, parameters at the paper's size, source."""
    from hypermixer.mixers import MIXERS

    if name is not None and name not in MIXERS:
        raise InputError(f"Unknown mixer '{name}': {nearest(name, MIXERS)}")
    rows = [_described(each) for each in (MIXERS if name is None else [name])]
    if as_json:
        show_json(rows[0] if name else {"mixers": rows})
    elif name is None:
        head = ("name", "multiply-adds for N tokens", "parameters", "tags")
        cells = [(r["name"], r["cost"], f"{r['parameters']:,}", " ".join(r["tags"])) for r in rows]
        show(*table(head, cells), "", *(f"{r['name']}: {r['source']}" for r in rows), "")
        show(f"{_LETTERS}. Parameters of a whole encoder at the paper's size.")
        show("hypermixer mixers NAME shows the options, which --set mixer.OPTION=VALUE sets.")
    else:
        _one(rows[0])


_POSITIONS = {
    "own": "the mixer's own",
    "input": "the encoder adds sinusoids to the embeddings",
    "none": "none, the order of tokens reaches nothing",
}


def _one(row: dict[str, Any]) -> None:
    show(row["about"].split("\n\nRaises:")[0], "")
    if row["options"]:
        options = [(o["name"], "none" if o["default"] is None else str(o["default"])) for o in row["options"]]
        show(row["about_options"], "", *table(("--set mixer.OPTION", "default"), options), "")
    show(
        f"multiply-adds: {row['cost']} ({_LETTERS})",
        f"parameters: {row['parameters']:,}, of a whole encoder at the paper's size",
        f"longest text: {'any' if row['max_length'] is None else str(row['max_length']) + ' tokens by default'}",
        f"positions: {_POSITIONS[row['positions']]}",
        f"tags: {', '.join(row['tags']) or 'none'}",
        f"source: {row['source']}",
    )


def _described(name: str) -> dict[str, Any]:
    from hypermixer.hf.size import paper_parameters
    from hypermixer.mixers import MIXERS, longest_sequence

    mixer = MIXERS[name]
    hints = get_type_hints(mixer.Config)
    return {
        "name": name,
        "cost": mixer.cost,
        "parameters": paper_parameters(name),
        "max_length": longest_sequence(name, {}, d_model=EncoderConfig.hidden_size),
        "positions": mixer.positions,
        "tags": sorted(mixer.tags),
        "source": mixer.source,
        "about": inspect.getdoc(mixer),
        "about_options": inspect.getdoc(mixer.Config),
        "options": [
            {"name": f.name, "default": f.default, "kind": in_words(hints[f.name])} for f in fields(mixer.Config)
        ],
    }
