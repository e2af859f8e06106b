"""hypermixer embed: a vector for every text, in order."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from hypermixer.cli.options import DATA, BatchSize, Device, Json, Pair, Sets, Split, Text, processor_threads, rows
from hypermixer.cli.screen import progress, show, show_json
from hypermixer.data.example import Columns
from hypermixer.errors import InputError
from hypermixer.whole_file import whole_file

FORMATS = (".npy", ".parquet")


def embed(
    model: Annotated[str, typer.Argument(metavar="DIR", help="Directory or hub name of an encoder, see convert.")],
    source: Annotated[str, typer.Argument(metavar="DATA", help=DATA + " Labels are not needed.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.npy|.parquet", help="File to write.")],
    split: Split = None,
    text: Text = None,
    pair: Pair = None,
    batch_size: BatchSize = None,
    precision: Annotated[
        str, typer.Option("--precision", metavar="fp32|bf16", help="Number format of the matrix products.")
    ] = "fp32",
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
    as_json: Json = False,
    sets: Sets = None,
) -> None:
    """Embed texts: rows of a NumPy array, or of a Parquet file with the origin of each text."""
    from hypermixer.cli.predict import require_writable

    size, count = rows(batch_size), processor_threads(sets)
    if out.suffix not in FORMATS:
        raise InputError(f"--out {out}: name a file that ends in {' or '.join(FORMATS)}.")
    if precision not in ("fp32", "bf16"):
        raise InputError(f"--precision {precision}: unknown value; known: fp32, bf16.")
    require_writable(out, overwrite)
    from hypermixer.data.parts import evaluation_split
    from hypermixer.data.sources import load
    from hypermixer.inference import embed as run
    from hypermixer.training.directory import read_encoder
    from hypermixer.training.environment import threads
    from hypermixer.training.precision import choose_device

    encoder, tokenizer = read_encoder(model, choose_device(device))
    split = evaluation_split(source) if split is None else split
    data = load(source, split=split, columns=Columns(text, pair), need_label=False)
    start = time.perf_counter()
    with threads(count), progress("Embedding") as report:
        vectors = run(encoder, tokenizer, data, batch_size=size, bf16=precision == "bf16", progress=report)
    _write(out, vectors, [example.origin for example in data.examples])
    seconds = round(time.perf_counter() - start, 3)
    if as_json:
        show_json({"out": str(out), "examples": len(data), "width": vectors.shape[1], "seconds": seconds})
    else:
        show(f"{out}: {len(data):,} vectors of {vectors.shape[1]} numbers in {seconds:.1f} s.")


def _write(out: Path, vectors: Any, origins: list[str]) -> None:
    with whole_file(out) as temporary:
        if out.suffix == ".npy":
            import numpy as np

            with temporary.open("wb") as file:
                np.save(file, vectors)
        else:
            import pyarrow as pa
            from pyarrow import parquet

            values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
            parquet.write_table(pa.table({"origin": origins, "embedding": values}), temporary)
