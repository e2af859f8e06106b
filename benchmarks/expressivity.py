"""`python -m benchmarks.expressivity`: how long exact ranks take, and how much memory, each in a process of its own.

Writes benchmarks/results/expressivity-MACHINE.json and prints a table: measured beside target.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from hypermixer.cores import cores
from hypermixer.expressivity.known import verify
from hypermixer.expressivity.rank import rank_mod
from hypermixer.expressivity.separation import separation_rank
from hypermixer.expressivity.spec import spec_of

RESULTS = Path(__file__).parent / "results"
#: Seconds and GiB that each task may take on two cores; None: no limit was set.
TARGETS: dict[str, tuple[float, float | None]] = {"table": (120, None), "rank of 4,000": (60, None), "15,691": (180, 6)}


def table() -> str:
    """The ranks by depth of all three kinds at both sizes, without the largest."""
    large = spec_of("hypermixing", depth=3)
    sizes = ((2, 4), (3, 6))
    found = []
    for width, tokens in sizes:
        for kind in ("attention", "static", "hypermixing"):
            for depth in (1, 2, 3):
                spec = spec_of(kind, depth=depth, width=width, tokens=tokens)
                if spec == large or (kind, width, depth) == ("hypermixing", 3, 3):
                    continue
                found.append(separation_rank(spec).told)
    return " ".join(found)


def rank_of_4000() -> str:
    matrix = np.random.default_rng(0).integers(0, 2**31 - 1, (4000, 4000))
    matrix[3000:] = matrix[:1000] - matrix[1000:2000]
    return f"{rank_mod(matrix):,}"


def largest() -> str:
    return separation_rank(spec_of("hypermixing", depth=3)).told


TASKS = {"table": table, "rank of 4,000": rank_of_4000, "15,691": largest}


def measured(name: str) -> dict[str, Any]:
    """One task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.expressivity", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return json.loads(done.stdout)


def run(name: str) -> None:
    """Here: prints what was found, its seconds and the process's peak memory."""
    start = time.perf_counter()
    found = TASKS[name]()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 2**30
    print(json.dumps({"task": name, "found": found, "seconds": seconds, "peak_gib": peak}))


def main() -> None:
    if sys.argv[1:]:
        run(sys.argv[1])
        return
    from hypermixer.machine import machine, processor

    rows = [measured(name) for name in TASKS]
    differ = [one for one in verify(slow=False) if not one.same]
    record = {"machine": machine(), "cores": cores(), "rows": rows, "targets": TARGETS, "differ": len(differ)}
    path = RESULTS / f"expressivity-{'-'.join(processor().lower().split())}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{'task':<15} {'seconds':>8} {'target':>7} {'GiB':>6}  found")
    for row in rows:
        target = TARGETS[row["task"]][0]
        print(f"{row['task']:<15} {row['seconds']:>8.1f} {target:>7} {row['peak_gib']:>6.2f}  {row['found']}")
    print(f"Known values that differ: {len(differ)}. Written: {path.relative_to(Path.cwd())}.")


if __name__ == "__main__":
    main()
