"""python -m benchmarks compare REV: this tree and another revision, measured in turn on the same rows.

Each tree has its own process with its own src first on PYTHONPATH; this file is the script of both, and asks of the
library nothing but `hypermixer.HyperMixing`, so that older revisions answer too. The two take turns, ABBA.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def _timing() -> Any:
    """This tree's clock, by its path: in the other tree's process the package is not this one."""
    spec = spec_from_file_location("timing", ROOT / "src" / "hypermixer" / "costs" / "timing.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


timing = _timing()
ALTERNATIONS, ROUNDS = 4, 3
TOKENS, D_MODEL, D_HIDDEN = 8_192, 256, 512
PASSES, HEADS = ("forward", "forward+backward"), (1, 4)


class UnknownRevision(Exception):
    """Git knows no commit of this name."""


class WorkerFailed(Exception):
    """A tree's process gave no answer; the message is its last line."""


def run(
    revision: str, dtype: str, lengths: Sequence[int], threads: int, *, root: Path = ROOT, tokens: int = TOKENS
) -> int:
    """Prints, row by row, how many times as fast this tree is; 1 where a tree fails, 2 where REV is unknown."""
    try:
        with (
            worktree(revision, root) as old,
            worker(root, dtype, threads) as new_tree,
            worker(old, dtype, threads) as old_tree,
        ):
            print(f"this tree against {revision}, {dtype}, {threads} threads; above 1 this tree is faster")
            print("pass              length  heads  tied    old ms  new ms  x as fast (quartiles)")
            for request in requests(lengths, tokens):
                print(_line(request, *alternate(new_tree, old_tree, request)), flush=True)
    except UnknownRevision as unknown:
        print(unknown, file=sys.stderr)
        return 2
    except WorkerFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


def requests(lengths: Sequence[int], tokens: int = TOKENS) -> list[dict[str, Any]]:
    """The rows of HyperMixing that `run` measures."""
    return [
        {"pass": name, "length": n, "batch": max(1, tokens // n), "heads": heads, "tied": tied, "rounds": ROUNDS}
        for name in PASSES for n in lengths for heads in HEADS for tied in (True, False)
    ]  # fmt: skip


def alternate(
    new: "subprocess.Popen[str]", old: "subprocess.Popen[str]", request: dict[str, Any]
) -> tuple[list[float], list[float]]:
    """The fastest call of each turn, new and old: a pair of turns lies side by side, and both trees begin as often."""
    times: dict[int, list[float]] = {id(new): [], id(old): []}
    for turn in range(ALTERNATIONS):
        for process in (new, old) if turn % 2 else (old, new):
            times[id(process)].append(min(ask(process, request)))
    return times[id(new)], times[id(old)]


def _line(request: dict[str, Any], new: list[float], old: list[float]) -> str:
    faster, tied = timing.ratio(old, new), "yes" if request["tied"] else "no"
    return (
        f"{request['pass']:16s} {request['length']:7,d}  {request['heads']:5d}  {tied:4s} "
        f"{timing.spread(old).median * 1e3:8.2f} {timing.spread(new).median * 1e3:7.2f}  {faster.median:9.3f} "
        f"({faster.low:.3f}-{faster.high:.3f})"
    )


@contextmanager
def worktree(revision: str, root: Path = ROOT) -> Iterator[Path]:
    """A checkout of `revision` in a temporary folder; gone afterwards, whatever happens.

    Raises:
        UnknownRevision: git does not know it.
    """
    known = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if known.returncode:
        raise UnknownRevision(f"Git knows no revision '{revision}' here: give a hash, a branch, a tag or HEAD~1.")
    with tempfile.TemporaryDirectory(prefix="hypermixer-compare-") as folder:
        tree = Path(folder) / "tree"
        added = _git(root, "worktree", "add", "--detach", str(tree), known.stdout.strip())
        try:
            if added.returncode:
                said = added.stderr.strip().splitlines() or [f"it ended with {added.returncode} and gave no reason."]
                raise WorkerFailed(f"Git could not check out '{revision}': {said[-1]}")
            yield tree
        finally:
            _git(root, "worktree", "remove", "--force", str(tree))


def _git(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True)


@contextmanager
def worker(tree: Path, dtype: str, threads: int) -> Iterator["subprocess.Popen[str]"]:
    """A process that imports `tree`'s hypermixer and times what it is asked to; it has passed its tree's gate.

    Raises:
        WorkerFailed: it could not start, or its gate is red.
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tree / "src"), str(ROOT)))}
    command = [sys.executable, "-m", "benchmarks.compare", str(tree / "src"), dtype, str(threads)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        _answer(process)
        yield process
    finally:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait()


def ask(process: "subprocess.Popen[str]", request: dict[str, Any]) -> list[float]:
    """Seconds of the requested calls in that tree."""
    assert process.stdin is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return _answer(process)["seconds"]


def _answer(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise WorkerFailed("A tree's process ended before it answered; what it said stands above.")
    answer = json.loads(line)
    if "error" in answer:
        raise WorkerFailed(answer["error"])
    return answer


def serve(source: Path, dtype_name: str, threads: int) -> None:
    """A tree's process: passes the gate, then answers one line of JSON with another until its input ends."""
    import torch

    import hypermixer

    torch.set_num_threads(threads)
    dtype = getattr(torch, dtype_name)
    print(json.dumps(_ready(Path(hypermixer.__file__), source, dtype)), flush=True)
    layers: dict[tuple[int, bool], Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = (request["heads"], request["tied"])
        if key not in layers:
            layers[key] = hypermixer.HyperMixing(D_MODEL, D_HIDDEN, key[0], tied=key[1]).to(dtype)
        torch.manual_seed(0)
        x = torch.randn(request["batch"], request["length"], D_MODEL).to(dtype)
        seconds = timing.interleaved([_step(layers[key], x, request["pass"])], rounds=request["rounds"])[0]
        print(json.dumps({"seconds": seconds}), flush=True)


def _ready(package: Path, source: Path, dtype: Any) -> dict[str, Any]:
    if not package.resolve().is_relative_to(source.resolve()):
        return {"error": f"{source} holds no hypermixer to measure: Python found another one."}
    try:
        from hypermixer.ops.hypermixing.gate import gate_all
    except ImportError:
        print("A revision without gate.py: its numbers are not checked.", file=sys.stderr)
        return {}
    red = [v for v in gate_all("cpu", dtype) if not v.passed]
    if not red:
        return {}
    backend = getattr(red[0], "backend", "dense")  # an older revision knows no other
    return {"error": f"The gate is red for {backend}, {red[0].form}, of {source}: no timing is reported."}


def _step(layer: Any, x: Any, pass_name: str) -> Any:
    import torch

    if pass_name == "forward":

        def forward() -> object:
            with torch.inference_mode():
                return layer(x)

        return forward
    leaf, grad = x.clone().requires_grad_(), torch.randn_like(x)

    def step() -> object:
        for tensor in (leaf, *layer.parameters()):
            tensor.grad = None
        return layer(leaf).backward(grad)

    return step


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
