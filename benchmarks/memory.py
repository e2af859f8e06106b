"""Memory of one training step of the layer: what is kept for the backward pass, and the highest point.

The numbers are the allocator's own, read from the profiler's trace: every allocation and release between the start of
the step and its end. Parameters and the input are there before and do not count; their gradients do.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.peers import build
from hypermixer import HyperMixing
from hypermixer.ops import scratch
from hypermixer.ops.hypermixing import native

BATCH, LENGTH, HEADS = 64, 16, 1


@dataclass(frozen=True)
class Usage:
    """Bytes above what was there before: at the highest point of a step, and between its two passes.

    `working_bytes` is what HyperMixing's operators keep from call to call in this process; it is in neither of them.
    """

    peak_bytes: int
    kept_bytes: int
    working_bytes: int


def memory_rows(
    device: torch.device,
    dtype: torch.dtype,
    *,
    batch: int = BATCH,
    length: int = LENGTH,
    heads: int = HEADS,
    d_model: int = 256,
    d_hidden: int = 512,
) -> list[dict[str, Any]]:
    """One row per contender. `hidden_bytes` is what the hidden activations [K, D] of all sequences would take (per
    head [K/H, D/H]): kept_bytes below it shows that they are not kept."""
    options: dict[str, Any] = {"d_model": d_model, "d_hidden": d_hidden, "heads": (heads,)}
    torch.manual_seed(0)
    contenders, _ = build(("attention", "reference", "official_order"), **options, device=device, dtype=dtype)
    x = torch.randn(batch, length, d_model, device=device).to(dtype)
    rows = []
    for contender in contenders:
        plan = None
        if isinstance(contender.module, HyperMixing) and contender.name == "hypermixing":
            plan = contender.module.how(length, batch=batch, element_bytes=x.element_size())
        rows.append(
            {
                "contender": contender.name, "heads": contender.heads, "tied": contender.tied, "batch": batch,
                "length": length, "d_model": d_model, "d_hidden": d_hidden, "dtype": str(dtype).removeprefix("torch."),
                "plan": plan, "hidden_bytes": batch * d_hidden * d_model // heads * x.element_size(),
            }
            | asdict(step_usage(contender.module, contender.parameters, x))
        )  # fmt: skip
    return rows


def step_usage(module: Callable[[Tensor], Tensor], parameters: tuple[nn.Parameter, ...], x: Tensor) -> Usage:
    """Memory of a forward and a backward pass of `module` on `x`, gradients of input and parameters included."""
    leaf, grad = x.detach().clone().requires_grad_(), torch.randn_like(x)

    def clear() -> None:
        for tensor in (leaf, *parameters):
            tensor.grad = None

    module(leaf).backward(grad)  # tables and scratch that stay are made in the first call
    clear()
    kept, y = _traced(lambda: module(leaf), x.device)
    del y
    whole, _ = _traced(lambda: module(leaf).backward(grad), x.device)
    clear()
    return Usage(max(whole, default=0), kept[-1] if kept else 0, _working_bytes(module))


def _working_bytes(module: Callable[[Tensor], Tensor]) -> int:
    name = module.backend.name if isinstance(module, HyperMixing) else None
    return native.bytes_held() if name == "native" else scratch.bytes_held() if name == "dense" else 0


def _traced(run: Callable[[], Any], device: torch.device) -> tuple[list[int], Any]:
    """Bytes held above the start after each allocation and release of `run`, in order of time; and its result."""
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities, profile_memory=True) as profiler:
        result = run()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    kind = 1 if device.type == "cuda" else 0
    changes = [e for e in events if e.get("name") == "[memory]" and e["args"]["Device Type"] == kind]
    changes.sort(key=lambda event: event["ts"])
    return list(accumulate(event["args"]["Bytes"] for event in changes)), result
