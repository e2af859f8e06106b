"""Measurements, each written to disk with its machine and versions.

python -m benchmarks run       the layer alone against attention, by length: benchmarks/results/
python -m benchmarks quality   the paper-size classifiers on SST-2: results/
python -m benchmarks readme    the tables of README.md from those rows
"""

import argparse
import json
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

import torch

from benchmarks import quality, readme
from benchmarks.peers import FusedAttention, copy_rate, matrix_rate
from benchmarks.timing import seconds
from hypermixer import HyperMixing
from hypermixer.machine import machine
from hypermixer.ops.hypermixing.gate import gate_all

RESULTS = Path(__file__).parent / "results"
LENGTHS = (32, 128, 512, 1024, 2048, 8192)
HEADS = (1, 4)
D_MODEL, D_HIDDEN, TOKENS = 256, 512, 8192
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="the layer alone against attention")
    run.add_argument("--dtype", choices=DTYPES, default="float32")
    run.add_argument("--threads", type=int, default=torch.get_num_threads())
    run.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    commands.add_parser("quality", help="the paper-size classifiers on SST-2")
    commands.add_parser("readme", help="the tables of README.md")
    arguments = parser.parse_args()
    if arguments.command == "quality":
        return quality.run()
    if arguments.command == "readme":
        return readme.write()
    torch.set_num_threads(arguments.threads)
    dtype = DTYPES[arguments.dtype]
    for verdict in gate_all("cpu", dtype):
        print(f"gate: {verdict.form} {arguments.dtype} worst error ratio {verdict.worst:.1e} at {verdict.where}")
        if not verdict.passed:
            sys.exit("The gate is red: no timing is reported.")
    rows = forward_rows(dtype, arguments.lengths)
    path = RESULTS / f"layer-{machine()['slug']}-torch{torch.__version__}-{arguments.dtype}.json"
    path.parent.mkdir(exist_ok=True)
    document = {"date": date.today().isoformat(), "machine": machine(), "threads": arguments.threads, "rows": rows}
    path.write_text(json.dumps(document, indent=1) + "\n")
    print(f"Rows in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


def forward_rows(dtype: torch.dtype, lengths: list[int]) -> list[dict[str, object]]:
    """One row per length and number of heads: forward pass of the tied layer, about `TOKENS` tokens a call."""
    torch.manual_seed(0)
    attention = FusedAttention(D_MODEL).to(dtype)
    layers = {heads: HyperMixing(D_MODEL, D_HIDDEN, heads).to(dtype) for heads in HEADS}
    operations, product_seconds = matrix_rate(dtype)
    copied, copy_seconds = copy_rate()
    ceiling = operations / product_seconds
    print(
        f"ceilings: {ceiling / 1e9:.0f} GFLOP/s in a {dtype} product, {copied / copy_seconds / 1e9:.0f} GB/s in a copy"
    )
    print("length  heads  form      attention ms  hypermixing ms  ratio  of the matrix ceiling")
    rows: list[dict[str, object]] = []
    for length in lengths:
        batch = max(1, TOKENS // length)
        x = torch.randn(batch, length, D_MODEL).to(dtype)
        with torch.inference_mode():
            attention_time, *times = seconds(
                [lambda x=x: attention(x), *(lambda x=x, layer=layer: layer(x) for layer in layers.values())]
            )
        for (heads, layer), time in zip(layers.items(), times, strict=True):
            plan = layer.plan(length, batch=batch, element_bytes=x.element_size())
            fraction = batch * layer.flops(length) / time.median / ceiling
            ratio = attention_time.median / time.median
            rows.append(
                {
                    "pass": "forward", "length": length, "batch": batch, "heads": heads, "dtype": str(dtype),
                    "d_model": D_MODEL, "d_hidden": D_HIDDEN, "tied": True, "plan": plan.as_dict(),
                    "seconds": asdict(time), "attention_seconds": asdict(attention_time),
                    "ratio": ratio, "flops": batch * layer.flops(length), "fraction_of_matrix_rate": fraction,
                    "matrix_flops_per_second": ceiling, "copy_bytes_per_second": copied / copy_seconds,
                }
            )  # fmt: skip
            print(
                f"{length:6d}  {heads:5d}  {plan.form:8s}  {attention_time.median * 1e3:12.2f}  "
                f"{time.median * 1e3:14.2f}  {ratio:5.2f}  {fraction:8.0%}"
            )
    return rows


if __name__ == "__main__":
    main()
