"""Options that several commands share, and the data they name."""

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.data.example import Columns, Dataset
from hypermixer.data.parts import evaluation_split
from hypermixer.data.sources import load, splits
from hypermixer.errors import InputError
from hypermixer.settings import Settings, describe, option_name

DATA = "A path (.csv .tsv .jsonl .parquet .txt, also .gz), builtin:NAME, a named set, or hf:OWNER/NAME[:CONFIG]."


def flag(name: str, metavar: str) -> Any:
    """An option that is a flag of `FLAGS`, with its own words.

    Every value arrives as text, so that a wrong one is refused in the same words as in a file or by --set.
    """
    return typer.Option(option_name(name), metavar=metavar, help=describe(name))


Text = Annotated[str | None, typer.Option("--text", metavar="COLUMN", help=describe("text"))]
Pair = Annotated[str | None, typer.Option("--pair", metavar="COLUMN", help=describe("pair"))]
Label = Annotated[str | None, typer.Option("--label", metavar="COLUMN", help=describe("label"))]
Split = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Split to read (validation, or else test, if not given).")
]
Device = Annotated[str, typer.Option("--device", metavar="DEVICE", help="Where it runs: auto, cpu, cuda or cuda:N.")]
BatchSize = Annotated[
    str | None, typer.Option("--batch-size", metavar="ROWS", help="Rows in a batch; chosen by tokens if not given.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one line of JSON.")]
Sets = Annotated[
    list[str] | None, typer.Option("--set", metavar="runtime.threads=N", help="Processor threads; no other key.")
]

#: Of commands that train.
Evaluation = Annotated[str | None, flag("eval", "DATA")]
TrainSplit = Annotated[str | None, flag("split", "NAME")]
Pretrained = Annotated[str | None, flag("pretrained", "DIR")]
DModel = Annotated[str | None, flag("d_model", "N")]
Layers = Annotated[str | None, flag("layers", "N")]
Tokenizer = Annotated[str | None, flag("tokenizer", "DIR")]
MaxLength = Annotated[str | None, flag("max_length", "TOKENS")]
Epochs = Annotated[str | None, flag("epochs", "N")]
TrainBatchSize = Annotated[str | None, flag("batch_size", "ROWS")]
Limit = Annotated[str | None, flag("limit", "N")]
Seed = Annotated[str | None, flag("seed", "N")]
TrainDevice = Annotated[str | None, flag("device", "DEVICE")]
AllSets = Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Set what has no flag.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE.toml", help="Read settings.")]


def mixer_names() -> list[str]:
    """The names in `hypermixer.mixers.MIXERS`, read from its source: importing it would load torch for a help page."""
    source = (Path(__file__).parents[1] / "mixers" / "__init__.py").read_text(encoding="utf-8")
    tables = [
        node.value
        for node in ast.parse(source).body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "MIXERS"
    ]
    return [ast.literal_eval(key) for table in tables if isinstance(table, ast.Dict) for key in table.keys if key]


def rows(batch_size: str | None) -> int | None:
    """`--batch-size` as a number.

    Raises:
        InputError: it is not a whole number of at least 1.
    """
    from hypermixer.options import checked

    return None if batch_size is None else checked(batch_size, int, {"least": 1}, "--batch-size")


def processor_threads(sets: list[str] | None) -> int | None:
    """`--set runtime.threads=N` of a command that has no use for other keys; None where it was not given.

    Raises:
        InputError: another key, or not a whole number of at least 1.
    """
    for text in sets or ():
        name = text.partition("=")[0].strip()
        if name != "runtime.threads":
            raise InputError(f"--set {name}: has no use here; known: runtime.threads.")
    return Settings.build(sets=sets or ()).runtime.threads


def cut_to(record: dict[str, Any], cut: int) -> str:
    """How many inputs were longer than a model takes, in words."""
    return f"Cut to {record['max_length']:,} tokens: {cut:,} inputs."


def load_for_model(
    spec: str, split: str | None, columns: Columns, record: dict[str, Any], *, need_label: bool
) -> Dataset:
    """Data for a trained model; columns default to those that its training named, where a source has no fixed ones."""
    if split is None:
        split = evaluation_split(spec)
    if spec.startswith("hf:") or not splits(spec):
        trained = record["settings"]["data"]
        # The label stays as it is where none is needed: a file to predict may lack that column.
        columns = Columns(
            columns.text or trained.get("text"),
            columns.pair or trained.get("pair"),
            columns.label or (trained.get("label") if need_label else None),
        )
    return load(spec, split=split, columns=columns, need_label=need_label)
