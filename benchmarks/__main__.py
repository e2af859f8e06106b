"""Measurements, each written to disk with its machine and versions.

python -m benchmarks run          the layer alone beside its peers, by length: benchmarks/results/
python -m benchmarks compare REV  this tree against another revision, row by row
python -m benchmarks verify       the correctness gate alone, every dtype
python -m benchmarks training     training steps of whole classifiers: benchmarks/results/
python -m benchmarks mixers       every token mixer on the same texts: results/
python -m benchmarks readme       figure, tables and the measured part of README.md from those rows
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import torch

from benchmarks import compare, layer, mixers, peers, readme, targets, training
from benchmarks.ceilings import described_machine
from benchmarks.document import as_json
from benchmarks.memory import memory_rows
from hypermixer.ops.compare import TOLERANCES
from hypermixer.ops.hypermixing.gate import gate_all


def main(words: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(words)
    if "threads" in arguments:
        torch.set_num_threads(arguments.threads)
    match arguments.command:
        case "run":
            return run(arguments)
        case "compare":
            return compare.run(arguments.revision, arguments.dtype, arguments.lengths, arguments.threads)
        case "verify":
            return verify(torch.device(arguments.device))
        case "training":
            return training.run(readme.RESULTS)
        case "mixers":
            mixers.run(arguments.tasks, backwards=arguments.backwards)
            if arguments.speeds or not mixers.SPEEDS.exists():
                mixers.speeds()
            mixers.TABLE.write_text(mixers.table())
        case "readme":
            readme.write()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="the layer alone beside its peers")
    run.add_argument("--peers", nargs="+", choices=(*peers.PEERS, "all"), default=peers.DEFAULT_PEERS)
    run.add_argument("--budget", type=float, default=270.0, help="seconds for all rows; fewer rounds where it is short")
    run.add_argument("--out", type=Path, default=readme.RESULTS, help="folder of the rows; a file there is replaced")
    other = commands.add_parser("compare", help="this tree against another revision")
    other.add_argument("revision", metavar="REV", help="anything that git understands: a hash, a tag, HEAD~1")
    for command in (run, other):
        command.add_argument("--dtype", choices=layer.DTYPES, default="float32")
        command.add_argument("--threads", type=_positive, default=torch.get_num_threads())
        command.add_argument("--lengths", type=_positive, nargs="+", default=layer.LENGTHS)
    gate = commands.add_parser("verify", help="the correctness gate alone, every dtype")
    for command in (run, gate):
        command.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    steps = commands.add_parser("training", help="training steps of whole classifiers")
    steps.add_argument("--threads", type=_positive, default=torch.get_num_threads())
    each = commands.add_parser("mixers", help="every token mixer on the same texts")
    each.add_argument("--tasks", nargs="+", choices=mixers.TASKS, default=list(mixers.TASKS))
    each.add_argument("--speeds", action="store_true", help="time training steps anew")
    each.add_argument("--backwards", action="store_true", help="the last mixer first, to meet another process half way")
    commands.add_parser("readme", help="figure and tables of README.md")
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and writes the rows of one dtype; 1 where the gate is red."""
    device, dtype = torch.device(arguments.device), layer.DTYPES[arguments.dtype]
    wanted = peers.PEERS if "all" in arguments.peers else arguments.peers
    request = layer.Request(dtype, device, sorted(set(arguments.lengths)), peers=wanted, budget=arguments.budget)
    try:
        rows, skipped, limits = layer.measure(request)
    except layer.GateRed as red:
        print(red, file=sys.stderr)
        return 1
    used = memory_rows(device, dtype)
    print(layer.printed(rows), *(f"Not measured: {s.name}: {s.reason}" for s in skipped), sep="\n")
    print("", targets.table(rows), targets.memory_table(used), sep="\n")
    here = described_machine(device)
    path = arguments.out / f"layer-{here['slug']}-torch{torch.__version__}-{arguments.dtype}.json"
    document = {
        "format": readme.FORMAT, "date": datetime.now().isoformat(timespec="seconds"), "dtype": arguments.dtype,
        "tokens": request.tokens, "threads": arguments.threads, "gate": "green", "machine": here,
        "ceilings": asdict(limits), "skipped": [asdict(s) for s in skipped], "memory": used, "rows": rows,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(document))
    print(f"Rows in {path}")
    return 0


def verify(device: torch.device) -> int:
    """Prints the gate's verdict on every form and dtype; 1 where one is red."""
    red = 0
    print("dtype     backend  form       error ratio  allowed  verdict  where it stood")
    for name, dtype in layer.DTYPES.items():
        for verdict in gate_all(device, dtype):
            red += not verdict.passed
            print(
                f"{name:9s} {verdict.backend:8s} {verdict.form:10s} {verdict.worst:11.1e} "
                f"{TOLERANCES[dtype].rounded:8.0e}  "
                f"{'green' if verdict.passed else 'RED':7s}  {verdict.where}"
            )
    return 1 if red else 0


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"'{word}' is not a whole number from 1 on")
    return int(word)


if __name__ == "__main__":
    sys.exit(main())
