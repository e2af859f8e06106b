"""Options of `hypermixer expressivity`, named after the fields of a spec, and the spec that they make."""

import dataclasses
from typing import Annotated, Any

import typer

from hypermixer.errors import InputError
from hypermixer.expressivity.spec import KINDS, METHODS, PolyMixerSpec, parse_partition, spec_of

FIELDS = {field.name: field for field in dataclasses.fields(PolyMixerSpec)}


def _field(name: str, metavar: str) -> Any:
    """An option named after a field of the spec, with its own words; texts are checked where files' are."""
    field = FIELDS[name]
    default = "" if field.default in (None, False) else f" (default: {field.default})"
    return typer.Option("--" + name.replace("_", "-"), metavar=metavar, help=f"{field.metadata['what']}{default}")


Depth = Annotated[str | None, _field("depth", "L")]
Width = Annotated[str | None, _field("width", "D")]
Tokens = Annotated[str | None, _field("tokens", "N")]
TokenHidden = Annotated[str | None, _field("token_hidden", "T")]
ActDegree = Annotated[str | None, _field("act_degree", "K")]
HypernetDegree = Annotated[str | None, _field("hypernet_degree", "M")]
Heads = Annotated[str | None, _field("heads", "H")]
Residual = Annotated[bool, _field("residual", "")]
ChannelDegree = Annotated[str | None, _field("channel_degree", "Q")]
Permutation = Annotated[str | None, _field("permutation", "NAME")]
Tied = Annotated[bool, _field("tied", "")]
Readout = Annotated[str | None, _field("readout", "NAME")]
Positions = Annotated[str | None, _field("positions", "NAME")]
Sides = Annotated[
    str | None, typer.Option("--partition", metavar="0,2/1,3", help="Tokens of either side (default: the two halves).")
]
Templates = Annotated[
    str | None, typer.Option("--templates", metavar="M", help="Inputs of either side (default: beyond the bound).")
]
Prime = Annotated[str | None, typer.Option("--prime", metavar="P", help="Modulus (default: 2147483647).")]
Second = Annotated[bool, typer.Option("--second-prime", help="Do it again modulo another prime.")]
Seed = Annotated[
    str | None, typer.Option("--seed", metavar="N", help="Of weights, inputs and random permutations (default: 0).")
]
Method = Annotated[str, typer.Option("--method", metavar="|".join(METHODS), help="One matrix, or one for each degree.")]
Force = Annotated[bool, typer.Option("--force", help="Go on though much memory is needed.")]
Kind = Annotated[str, typer.Option("--kind", metavar="NAME", help=f"{', '.join(KINDS)}.")]


def spec_from(given: dict[str, Any]) -> PolyMixerSpec:
    """The spec that a command's arguments name."""
    fields = fields_from(given)
    return spec_of(fields.pop("kind"), **fields)


def fields_from(given: dict[str, Any]) -> dict[str, Any]:
    """Those arguments that are fields of a spec and were given."""
    fields = {name: given[name] for name in FIELDS if given.get(name) not in (None, False)}
    if "partition" in fields:
        fields["partition"] = parse_partition(fields["partition"])
    return fields


def numbers_from(given: dict[str, Any]) -> dict[str, Any]:
    """Those options that are whole numbers and were given, by the names that `separation_rank` has for them."""
    names = {"templates": "count", "prime": "prime", "seed": "seed"}
    found: dict[str, Any] = {}
    for option, name in names.items():
        text = given.get(option)
        if text is None:
            continue
        if not text.strip().isdecimal():
            raise InputError(f"--{option} must be a whole number of 0 or more, got '{text}'.")
        found[name] = int(text)
    return found
