"""`hypermixer expressivity`: exact separation ranks of token mixers, and what is proved of them."""

import dataclasses
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypermixer.cli.expressivity_options import (
    FIELDS,
    ActDegree,
    ChannelDegree,
    Depth,
    Force,
    Heads,
    HypernetDegree,
    Kind,
    Method,
    Permutation,
    Positions,
    Prime,
    Readout,
    Residual,
    Second,
    Seed,
    Sides,
    Templates,
    Tied,
    TokenHidden,
    Tokens,
    Width,
    fields_from,
    numbers_from,
    spec_from,
)
from hypermixer.cli.options import Json
from hypermixer.cli.screen import progress, show, show_json, table
from hypermixer.errors import WorkError
from hypermixer.expressivity.spec import KINDS, PolyMixerSpec

if TYPE_CHECKING:
    from hypermixer.expressivity.separation import SeparationRank

expressivity = typer.Typer(
    help="How many products a token mixer's output is made of: exact separation ranks, and bounds.",
    rich_markup_mode=None,
)


@expressivity.callback(invoke_without_command=True)
def _without_command(context: typer.Context) -> None:
    sys.set_int_max_str_digits(0)  # counts are exact, however many digits they have
    if context.invoked_subcommand is None:
        show(context.get_help())


@expressivity.command()
def compute(
    kind: Kind,
    depth: Depth = None,
    width: Width = None,
    tokens: Tokens = None,
    token_hidden: TokenHidden = None,
    act_degree: ActDegree = None,
    hypernet_degree: HypernetDegree = None,
    heads: Heads = None,
    residual: Residual = False,
    channel_degree: ChannelDegree = None,
    permutation: Permutation = None,
    tied: Tied = False,
    readout: Readout = None,
    positions: Positions = None,
    partition: Sides = None,
    templates: Templates = None,
    prime: Prime = None,
    second_prime: Second = False,
    seed: Seed = None,
    method: Method = "auto",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compute the exact separation rank of a network with random weights."""
    from hypermixer.expressivity.separation import separation_rank

    spec, numbers = spec_from(locals()), numbers_from(locals())
    with progress("inputs evaluated") as watch:
        found = separation_rank(spec, method=method, second_prime=second_prime, force=force, watch=watch, **numbers)
    if as_json:
        show_json(found.as_dict())
    else:
        show(*_told(found))


@expressivity.command("bounds")
def bounds_(
    kind: Kind,
    depth: Depth = None,
    width: Width = None,
    tokens: Tokens = None,
    token_hidden: TokenHidden = None,
    act_degree: ActDegree = None,
    hypernet_degree: HypernetDegree = None,
    heads: Heads = None,
    residual: Residual = False,
    channel_degree: ChannelDegree = None,
    permutation: Permutation = None,
    tied: Tied = False,
    readout: Readout = None,
    positions: Positions = None,
    partition: Sides = None,
    as_json: Json = False,
) -> None:
    """Say what is proved of the separation rank of a network of any size, without computing it."""
    from hypermixer.expressivity.bounds import bounds, quoted

    spec = spec_from(locals())
    found = bounds(spec)
    known = {"upper": found.upper, "lower": found.lower}
    if found.expected is not None:
        known["expected"] = found.expected
    if as_json:
        said = {name: {**dataclasses.asdict(bound), "log2": bound.log2} for name, bound in known.items()}
        show_json({"spec": spec.as_dict(), **said})
        return
    head = ("bound", "log2", "value", "mark", "by", "holds")
    rows = [(n, f"{b.log2:.1f}", shortened(b.value), b.mark, b.name, b.holds) for n, b in known.items()]
    show(*table(head, rows))
    if spec.kind == "attention":
        theirs = quoted(spec.depth, spec.width, spec.heads)
        low, high = f"2^{theirs.lower:.1f}", f"2^{theirs.upper:.1f}"
        show("", f"Quoted from memory, unchecked: {low} to {high}, arXiv 2006.12467, {theirs.theorem}.")


@expressivity.command()
def sweep(
    kind: Annotated[str, typer.Option("--kind", metavar="NAMES", help=f"With commas: {', '.join(KINDS)}.")],
    over: Annotated[str, typer.Option("--over", metavar="depth|width|tokens|heads", help="The field that varies.")],
    values: Annotated[str, typer.Option("--values", metavar="LIST", help="Its values, with commas.")],
    depth: Depth = None,
    width: Width = None,
    tokens: Tokens = None,
    token_hidden: TokenHidden = None,
    act_degree: ActDegree = None,
    hypernet_degree: HypernetDegree = None,
    heads: Heads = None,
    residual: Residual = False,
    channel_degree: ChannelDegree = None,
    permutation: Permutation = None,
    tied: Tied = False,
    readout: Readout = None,
    positions: Positions = None,
    partition: Sides = None,
    templates: Templates = None,
    prime: Prime = None,
    second_prime: Second = False,
    seed: Seed = None,
    method: Method = "auto",
    force: Force = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write a .csv or .json file.")] = None,
    as_json: Json = False,
) -> None:
    """Compute the ranks of several kinds over a range of depths, widths, tokens or heads.

    A field that some of the kinds have no use for counts for the others.
    """
    from hypermixer.expressivity.separation import separation_rank
    from hypermixer.expressivity.sweeps import check_file, specs_over, write

    numbers, fields = numbers_from(locals()), fields_from(locals())
    check_file(out)
    wanted = specs_over(over, values, [part.strip() for part in fields.pop("kind").split(",")], fields)
    found = []
    for number, spec in enumerate(wanted, 1):
        with progress(f"rank {number} of {len(wanted)}, inputs evaluated") as watch:
            one = separation_rank(spec, method=method, second_prime=second_prime, force=force, watch=watch, **numbers)
            found.append(one)
    if out is not None:
        write(found, out)
    if as_json:
        show_json({"over": over, "ranks": [one.as_dict() for one in found]})
        return
    head = ("kind", over, "rank", "lower", "upper", "seconds")
    rows = [
        (r.spec.kind, getattr(r.spec, over), r.told, shortened(r.lower), shortened(r.upper), f"{r.seconds:.1f}")
        for r in found
    ]
    show(*table(head, rows), *([] if out is None else ["", f"Written: {out}."]))


@expressivity.command()
def verify(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what takes more than a few seconds.")] = False,
    prime: Prime = None,
    seed: Seed = None,
    as_json: Json = False,
) -> None:
    """Compute every known rank and bound again; the exit code is 1 where one differs."""
    from hypermixer.expressivity.known import known
    from hypermixer.expressivity.known import verify as check

    numbers = numbers_from(locals())
    total = sum(not (one.slow and quick) for one in known())
    found = []
    with progress("values checked") as watch:
        for one in check(slow=not quick, **numbers):
            found.append(one)
            if watch is not None:
                watch(len(found), total)
    different = [one for one in found if not one.same]
    if as_json:
        rows = [{"spec": o.known.spec.as_dict(), "wanted": o.wanted, "found": o.found, "same": o.same} for o in found]
        show_json({"checked": len(found), "different": len(different), "values": rows})
    else:
        rows = [(_short(one.known.spec), one.wanted, one.found) for one in (different or found)]
        show(*table(("network", "known", "found"), rows), "")
        show(f"{len(found) - len(different)} of {len(found)} values are as known.")
    if different:
        raise WorkError(f"{len(different)} of {len(found)} values differ from those that are known.")


@expressivity.command()
def figure(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="depth, width, tokens, real-sizes, blocks, spectrum, all")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where report and figures go.")],
    as_json: Json = False,
) -> None:
    """Draw ranks by depth, width or tokens, bounds at real sizes, ranks by block, or spectra beside exact ranks."""
    from hypermixer.expressivity.figures import page
    from hypermixer.report.page import write

    with progress("parts of the figures") as watch:
        made = page(name, watch)
    write(made, out)
    if as_json:
        show_json({"out": str(out), "summary": made.summary})
    else:
        show(made.summary, "", f"Written: {out / 'report.html'}.")


def _told(found: "SeparationRank") -> list[str]:
    """A rank, and what it rests on, in lines."""
    lines = [f"separation rank: {found.told}"]
    if found.saturated:
        lines.append(
            f"The rank of all {found.templates:,} templates: the true one may be larger; give more --templates."
        )
    lines.append(f"bounds: {shortened(found.lower)} to {shortened(found.upper)} ({found.bounds.upper.name})")
    grids = "one grid" if found.method == "whole" else f"{len(found.blocks)} grids, one for each degree"
    lines.append(f"templates: {found.templates:,} of either side, {grids}; modulo {found.prime}, seed {found.seed}")
    if found.second is not None:
        lines.append(f"modulo a second prime: {found.second:,}")
    if found.spec.permutation in ("tokens", "coordinates"):
        lines.append("The permutation is the one that this seed draws; another may give another rank.")
    if found.too_small:
        lines.append(f"Modulo {found.prime} it is below what is proved: this prime is too small, take a larger one.")
    elif found.rank == found.upper:
        lines.append("It attains its upper bound, so that chance has no part in it.")
    elif not found.saturated:
        lines.append(f"Chance made it too small with a probability of at most {found.doubt:.1e}.")
    return [*lines, f"{found.seconds:.1f} s"]


def shortened(value: int) -> str:
    """An integer, in digits while they are few."""
    if value < 10**15:
        return f"{value:,}"
    exponent = math.log10(value)
    return f"about {10 ** (exponent % 1):.2g}e{int(exponent)}"


def _short(spec: PolyMixerSpec) -> str:
    """A spec in a few words: its kind, and the fields that differ from the usual ones."""
    said = [f"{name} {value}" for name in ("depth", "width", "tokens") if (value := getattr(spec, name))]
    plain = PolyMixerSpec(kind=spec.kind, tokens=spec.tokens)
    for name in FIELDS:
        value = getattr(spec, name)
        if name not in ("kind", "depth", "width", "tokens") and value != getattr(plain, name):
            said.append(f"{name} {value}")
    return f"{spec.kind}: {', '.join(said)}"
